"""`lexidex export` and `lexidex import`: documents with their vectors, to files and from them."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .output import AsJson, Quiet, out, print_json, progress
from .search import Directory

if TYPE_CHECKING:
    from lexidex.collection import Collection
    from lexidex.export_file import VectorForm
    from lexidex.index.storage.building import Building

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

    A file that is damaged or not complete is refused as a whole, with exit status 4.
    """
    from lexidex.index.storage.building import Building

    with progress("Importing", quiet=quiet) as count:
        building = Building(memory, lambda at: count.stage(at.stage, at.done, at.total))
        collection = _imported(file, to, encoder, replace, count, building)
    described = {
        "collection": str(to),
        "documents": len(collection),
        "generation": collection.generation,
    }
    if as_json:
        print_json(described)
    else:
        out.print(
            f"{to} holds {len(collection):,} documents, generation {collection.generation}",
            markup=False,
            highlight=False,
        )


def _imported(
    file: Path, to: Path, encoder: str | None, replace: bool, count: Counter, building: Building
) -> Collection:
    from lexidex.collection import Collection, exists
    from lexidex.encoders import load_encoder
    from lexidex.errors import EncoderMismatch
    from lexidex.importing import Export

    export = Export(file)
    there = exists(to)
    if encoder is None:
        if not there:
            return Collection.from_export(
                file, to, merge="inline", progress=count, building=building
            )
        collection = Collection.open(to, merge="inline")
        collection.import_from(file, replace=replace, progress=count, building=building)
        return collection
    chosen = load_encoder(encoder)
    if not there:
        collection = Collection.create(to, chosen, merge="inline")
    else:
        collection = Collection.open(to, merge="inline")
        if not replace and collection.encoder.fingerprint != chosen.fingerprint:
            raise EncoderMismatch(
                f"{to}: made with encoder {collection.encoder.kind} {collection.encoder.options}; "
                "use --replace to encode everything by another"
            )
    if replace or not there:
        collection.replace(export.documents(), chosen, count, building)
    else:
        collection.upsert(export.documents(), count, building)
    return collection
