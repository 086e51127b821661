"""`lexidex compact`: one segment without what was deleted."""

from __future__ import annotations

from .output import AsJson, Quiet, out, print_json, progress
from .search import Directory


def compact(directory: Directory, as_json: AsJson = False, quiet: Quiet = False) -> None:
    """Merge everything into one segment; the space of deleted documents becomes free."""
    from lexidex.collection import Collection
    from lexidex.index.storage.building import Building

    with Collection.open(directory, merge="off") as collection:
        before = collection.check().n_bytes
        with progress("Compacting", total=len(collection), quiet=quiet) as count:
            told = Building(progress=lambda at: count.stage(at.stage, at.done, at.total))
            collection.compact(count, told)
        after = collection.check().n_bytes
        described = {
            "collection": str(directory),
            "documents": len(collection),
            "generation": collection.generation,
            "bytes_before": before,
            "bytes": after,
        }
    if as_json:
        print_json(described)
    else:
        out.print(
            f"{described['documents']:,} documents; {before:,} bytes before, {after:,} now",
            highlight=False,
        )
