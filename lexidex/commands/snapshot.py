"""`lexidex snapshot` and `lexidex restore`: a collection in one file, and back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .output import AsJson, Quiet, out, print_json, progress
from .search import Directory


def snapshot(
    directory: Directory,
    to: Annotated[Path, typer.Option("--to", help="The file, a tar archive.")],
    replace: Annotated[
        bool, typer.Option("--replace", help="Put it in the place of a file of that name.")
    ] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Keep a collection as it is now in one file, while others may write to it.

    Every file is compared with its checksum on the way; a damaged collection gives no snapshot, and
    exit status 5.
    """
    from lexidex.collection import Collection

    collection = Collection.open(directory, merge="off")
    with progress("Copying bytes", quiet=quiet) as count:
        made = collection.snapshot(to, replace=replace, progress=count)
    if as_json:
        print_json(
            {
                "snapshot": str(to),
                "generation": made.generation,
                "files": made.n_files,
                "bytes": made.n_bytes,
            }
        )
    else:
        out.print(
            f"generation {made.generation} in {to}: {made.n_files} files, {made.n_bytes:,} bytes",
            markup=False,
            highlight=False,
        )


def restore(
    file: Annotated[Path, typer.Argument(help="A file that `lexidex snapshot` wrote.")],
    to: Annotated[Path, typer.Option("--to", help="Folder of the collection.")],
    replace: Annotated[
        bool,
        typer.Option("--replace", help="Put it in the place of the collection that is there."),
    ] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Make a collection of a snapshot.

    Every byte of the snapshot is verified before anything is written; a damaged one is refused with
    exit status 5. With --replace, the old content stays until the new is complete on disk.
    """
    from lexidex.collection import Collection

    with progress("Copying bytes", quiet=quiet) as count:
        collection = Collection.restore(file, to, replace=replace, merge="off", progress=count)
    if as_json:
        print_json(
            {
                "collection": str(to),
                "documents": len(collection),
                "generation": collection.generation,
            }
        )
    else:
        out.print(
            f"{to} holds {len(collection):,} documents, generation {collection.generation}",
            markup=False,
            highlight=False,
        )
