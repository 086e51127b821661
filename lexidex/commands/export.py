"""`lexidex export` and `lexidex import`: documents with their vectors, to files and from them."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .left_out import PARTIAL, left_out, show_left_out
from .output import AsJson, Quiet, out, print_json, progress
from .search import Directory
from .target import check_same, opened_or_created

if TYPE_CHECKING:
    from lexidex.collection import Collection
    from lexidex.encoders import Encoder
    from lexidex.export_file import VectorForm
    from lexidex.importing import Export
    from lexidex.index.storage.building import Building
    from lexidex.results import WriteResult

    from .output import Counter


class Vectors(StrEnum):
    """How vectors are written."""

    terms = "terms"
    components = "components"
    none = "none"


def export(
    directory: Directory,
    to: Annotated[
        Path, typer.Option("--to", help="A name that ends in .ndjson, .jsonl (or .gz), .parquet.")
    ],
    vectors: Annotated[
        Vectors | None,
        typer.Option(
            help="Components by their words, by their numbers, or no vectors; words by default "
            "where the vocabulary grows with the documents."
        ),
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Put it in the place of a file of that name.")
    ] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Write every document with its vectors to a file that other tools read, too."""
    from lexidex.collection import Collection

    collection = Collection.open(directory, merge="off")
    form: VectorForm | None = vectors.value if vectors else None
    with progress("Exporting", total=len(collection), quiet=quiet) as count:
        made = collection.export(to, form, replace=replace, progress=count)
    if as_json:
        print_json(
            {"export": str(to), "documents": made.n_documents, "generation": made.generation}
        )
    else:
        out.print(
            f"{made.n_documents:,} documents of generation {made.generation} in {to}",
            markup=False,
            highlight=False,
        )


def import_(
    file: Annotated[Path, typer.Argument(help="A file that `lexidex export` wrote.")],
    to: Annotated[Path, typer.Option("--to", help="Folder of the collection.")],
    encoder: Annotated[
        str | None,
        typer.Option(help="Encode the texts anew by this encoder; the file's vectors are left."),
    ] = None,
    replace: Annotated[
        bool,
        typer.Option("--replace", help="Put the content in place of the old, in one step."),
    ] = False,
    memory: Annotated[
        str | None,
        typer.Option(help="What vectors and indexes in the making may take, such as 2GB."),
    ] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Make a collection of an export, or add its documents to one; nothing is encoded.

    A file that is damaged or not complete is refused as a whole, with exit status 4. By --encoder,
    documents that cannot be encoded are reported and left out, and the exit status is 4, too.
    """
    from lexidex.errors import NothingTaken
    from lexidex.index.storage.building import Building

    try:
        with progress("Importing", quiet=quiet) as count:
            building = Building(memory, lambda at: count.stage(at.stage, at.done, at.total))
            collection, result = _imported(file, to, encoder, replace, count, building)
    except NothingTaken as error:
        show_left_out(left_out((), error.failed), "none can be taken")
        raise
    records = left_out((), result.failed)
    described = {
        "collection": str(to),
        "upserted": result.upserted,
        "failed": records,
        "documents": len(collection),
        "generation": result.generation,
    }
    if as_json:
        print_json(described)
    else:
        out.print(
            f"{to} holds {len(collection):,} documents, generation {result.generation}",
            markup=False,
            highlight=False,
        )
    show_left_out(records, "--json lists them all")
    if records:
        raise typer.Exit(PARTIAL)


def _imported(
    file: Path, to: Path, encoder: str | None, replace: bool, count: Counter, building: Building
) -> tuple[Collection, WriteResult]:
    from lexidex.collection import exists
    from lexidex.encoders import load_encoder
    from lexidex.importing import Export
    from lexidex.passages import PassageParams

    export = Export(file)
    if encoder is not None:
        return _encoded_anew(export, to, load_encoder(encoder), replace, count, building)
    if exists(to):
        target = opened_or_created(to, None)
    else:
        chosen, passages = export.header.load_encoder(), PassageParams(**export.header.passages)
        target = opened_or_created(to, chosen, export.dense_side(chosen), passages)
    with target as collection:
        return collection, collection.import_from(
            file, replace=replace, progress=count, building=building
        )


def _encoded_anew(
    export: Export, to: Path, encoder: Encoder, replace: bool, count: Counter, building: Building
) -> tuple[Collection, WriteResult]:
    from lexidex.collection import exists

    dense = None if exists(to) else export.dense_side(encoder)
    with opened_or_created(to, encoder, dense) as collection:
        export.check_anew(collection.dense_side)
        if replace or not len(collection):
            return collection, collection.replace(export.documents(), encoder, count, building)
        check_same(to, collection, encoder)
        return collection, collection.upsert(export.documents(), count, building)
