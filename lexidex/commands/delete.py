"""`lexidex delete`: documents out of a collection, by their ids or by a filter."""

from __future__ import annotations

from typing import Annotated

import typer

from .output import AsJson, out, print_json
from .search import Directory, FilterOption, parse_json


def delete(
    directory: Directory,
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="[ID]...", help="Ids of the documents.")
    ] = None,
    only: FilterOption = None,
    as_json: AsJson = False,
) -> None:
    """Remove documents with these ids, or all that a filter lets through; asks nothing.

    Ids that are not there are passed over. A filter without any condition is refused.
    """
    from lexidex.collection import Collection

    condition = None if only is None else parse_json("--filter", only)
    collection = Collection.open(directory, merge="inline")
    result = collection.delete(ids or None, filter=condition)
    if as_json:
        print_json(
            {
                "collection": str(directory),
                "deleted": result.deleted,
                "documents": len(collection),
                "generation": result.generation,
            }
        )
    else:
        out.print(
            f"{result.deleted:,} documents deleted; {directory} holds {len(collection):,}",
            markup=False,
            highlight=False,
        )
