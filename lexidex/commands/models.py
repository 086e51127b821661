"""`lexidex models`: what a model is, and making it faster to run on a CPU."""

from __future__ import annotations

from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lexidex.errors import ParameterError

from .encoder_options import EncoderOptions, given_options
from .output import AsJson, Quiet, out, print_json, progress

if TYPE_CHECKING:
    from lexidex.encoders.engines.exported import Exported

_SAMPLE = 64
"""Texts that an export is compared on."""

_LEAST_CHARACTERS = 200
"""Of documentation that is compared on where no texts are given."""

models = typer.Typer(
    help="Learned models: what they are, and making them faster to run on a CPU.",
    no_args_is_help=True,
)

Model = Annotated[str, typer.Argument(help="A model's folder, or organisation/model on the hub.")]


@models.command()
def show(model: Model, encoder_options: EncoderOptions = None, as_json: AsJson = False) -> None:
    """Show a model's kind, licence, dimensions, fingerprint, and whether it has an export."""
    from lexidex.encoders import load_encoder
    from lexidex.encoders.engines.export import exports_of

    encoder = load_encoder(model, **given_options(encoder_options))
    described: dict[str, Any] = {
        "model": model,
        "kind": encoder.kind,
        "licence": getattr(encoder, "licence", None),
        "dimensions": encoder.dim,
        "fingerprint": encoder.fingerprint,
    }
    exports = [_described(each) for each in exports_of(encoder)]
    if as_json:
        print_json({**described, "exports": exports})
        return
    for name, value in described.items():
        out.print(f"{name}: {'not stated' if value is None else value}", highlight=False)
    for each in exports:
        out.print(f"export: {_told(each)}", highlight=False)


@models.command()
def export(
    model: Model,
    to: Annotated[
        Path,
        typer.Option(help="New folder for model and export; the model's own gets the export only."),
    ],
    encoder_options: EncoderOptions = None,
    int8: Annotated[
        bool, typer.Option("--int8/--fp32", help="Multiply integers of a byte, or floats.")
    ] = True,
    texts: Annotated[
        list[Path] | None,
        typer.Option(
            help="Files or folders, as for `index`, whose first texts vectors are compared on; "
            "Python's documentation where none are given."
        ),
    ] = None,
    sample: Annotated[int, typer.Option(min=1, help="How many texts.")] = _SAMPLE,
    tolerance: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="How far below 1 the cosine of a text's two vectors may be; .03 for int8, .0001 "
            "for fp32 where nothing is given.",
        ),
    ] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Write a model for onnxruntime, if its vectors agree; it is then picked by itself.

    Vectors by torch and by the export are compared on the given texts, and nothing is written
    where they differ by more than the tolerance. Needs `pip install 'lexidex\\[onnx]'`.
    """
    from lexidex.encoders.engines.export import export as write

    options, chosen = given_options(encoder_options), _texts(texts, sample)
    with progress("Exporting", quiet=quiet):
        made = write(model, to, chosen, int8=int8, tolerance=tolerance, options=options)
    for exported in made:
        if as_json:
            print_json(_described(exported))
        else:
            out.print(_told(_described(exported)), highlight=False)


@models.command()
def prune(
    model: Model,
    to: Annotated[Path, typer.Option(help="New folder for the pruned model.")],
    encoder_options: EncoderOptions = None,
    sparsity: Annotated[
        float, typer.Option(help="Share of the feed-forward maps' 4x1 blocks that become 0.")
    ] = 0.8,
    texts: Annotated[
        list[Path] | None,
        typer.Option(
            help="Files or folders, as for `index`, whose first texts the weights that are left "
            "are fitted to; Python's documentation where none are given."
        ),
    ] = None,
    sample: Annotated[int, typer.Option(min=1, help="How many texts.")] = 4 * _SAMPLE,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Write a block-sparse version of a model, which `backend="kernels"` runs faster.

    Needs no training: blocks are chosen by their weights and inputs, and the rest is fitted to the
    unpruned model's outputs. Vectors change: measure what that costs before you use it.
    """
    from lexidex.encoders.engines.pruning import prune as write

    options, chosen = given_options(encoder_options), _texts(texts, sample)
    with progress("Pruning", quiet=quiet):
        maps = write(model, to, chosen, sparsity, options)
    described = {"model": str(to), "sparsity": sparsity, "maps": maps}
    if as_json:
        print_json(described)
    else:
        out.print(f"{to}: {maps} maps, {sparsity:.0%} of their blocks are 0", highlight=False)


@models.command()
def pack(
    model: Annotated[str, typer.Argument(help="A model's folder, or lexidex-mini.")],
    to: Annotated[Path, typer.Option(help="New folder for the packed model.")],
    as_json: AsJson = False,
) -> None:
    """Write a small copy of a model: half floats, and embeddings as bytes.

    Only Lexidex reads it; encoders that are loaded from it and saved again are as others read them.
    """
    from lexidex.encoders.packing import pack as write
    from lexidex.encoders.shipped import shipped_folder

    folder = shipped_folder(model) or Path(model)
    write(folder, to)
    sizes = [_size(each) for each in (folder, to)]
    if as_json:
        print_json({"model": str(to), "bytes": sizes[1], "bytes_before": sizes[0]})
    else:
        before, after = (size / 1e6 for size in sizes)
        out.print(f"{to}: {after:.1f} MB, {before:.1f} MB before", highlight=False)


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def _texts(sources: list[Path] | None, count: int) -> list[str]:
    """The first texts of the sources, or of the standard library's documentation."""
    if not sources:
        from lexidex.eval.stdlib_docs import collect

        whole = [document["text"] for document in collect()]
        return [text for text in whole if len(text) >= _LEAST_CHARACTERS][:count]
    from lexidex.sources import Reader

    reader = Reader(sources, "last")
    found = [each.full_text for each in islice(reader, count) if each.full_text]
    if not found:
        raise ParameterError(f"--texts: {', '.join(map(str, sources))}: no texts there")
    return found


def _described(exported: Exported) -> dict[str, Any]:
    return {
        **asdict(exported),
        "graph": str(exported.graph),
        "bytes": exported.graph.stat().st_size,
    }


def _told(described: dict[str, Any]) -> str:
    agreement = described["agreement"]
    return (
        f"{described['graph']}: {described['precision']}, {described['bytes'] / 1e6:,.0f} MB, "
        f"{described['speedup']:.1f} times torch's speed here; on {agreement['texts']} texts: "
        f"cosine {agreement['cosine']:.4f}, at least {agreement['least_cosine']:.4f}; "
        f"{agreement['top_terms']:.0%} of the heaviest terms shared; {agreement['nnz']:.0f} terms, "
        f"{agreement['torch_nnz']:.0f} by torch"
    )
