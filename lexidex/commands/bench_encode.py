"""`lexidex bench encode`: how fast texts become vectors, and what faster ways cost."""

from __future__ import annotations

import importlib.util
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lexidex.errors import NotFound, ParameterError

from .bench_run import command_line, show, teller
from .output import AsJson, Quiet

if TYPE_CHECKING:
    from lexidex.eval.benchmarks.encode import EncodeVariant


def maps(
    ctx: typer.Context,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds of which medians are told.")] = 9,
    seed: Annotated[int, typer.Option(min=0, help="Of weights and tokens.")] = 7,
    to: Annotated[
        Path | None, typer.Option("--out", help="Append all figures to this file, as JSON lines.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """One linear map: floats by torch, and integers by our kernels, dense and block-sparse."""
    from lexidex.eval.benchmarks.maps import run_maps
    from lexidex.eval.benchmarks.record import Record, machine

    record = Record(_facts(ctx, "random maps", 0, seed, 1) | machine(_versions()), to)
    run_maps(record, rounds, seed)
    show(record.read(), as_json)


def encode(
    ctx: typer.Context,
    model: Annotated[Path, typer.Argument(help="A checkpoint's folder.")],
    pruned: Annotated[
        list[Path] | None,
        typer.Option(help="Folders that `models prune` made of it; repeat for several."),
    ] = None,
    passages: Annotated[int, typer.Option(min=12, help="How many passages are encoded.")] = 96,
    judged: Annotated[
        list[Path] | None,
        typer.Option(help="BEIR folders to measure nDCG@10 on; repeat for several."),
    ] = None,
    batches: Annotated[
        str, typer.Option(help="Batch sizes of sentence-transformers on torch, by commas.")
    ] = "32,8",
    speed: Annotated[
        bool, typer.Option("--speed/--no-speed", help="Measure speed and memory.")
    ] = True,
    peers: Annotated[
        bool, typer.Option("--peers/--no-peers", help="Compare with sentence-transformers.")
    ] = True,
    peer_python: Annotated[
        str | None,
        typer.Option(
            help="Interpreter with sentence-transformers' ONNX and OpenVINO backends, where those "
            "cannot be installed beside us."
        ),
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds of which medians are told.")] = 3,
    seed: Annotated[int, typer.Option(min=0, help="Of the choice of passages.")] = 7,
    variants: Annotated[
        str, typer.Option(help="Only ways whose names contain one of these, by commas.")
    ] = "",
    n_threads: Annotated[
        int, typer.Option("--threads", min=1, help="Threads of every library.")
    ] = 1,
    to: Annotated[
        Path | None, typer.Option("--out", help="Append all figures to this file, as JSON lines.")
    ] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Encoding: our ways to run a model next to sentence-transformers', and what they cost."""
    from lexidex.eval.benchmarks.encode import passages as read_passages
    from lexidex.eval.benchmarks.encode import run_encode, run_quality
    from lexidex.eval.benchmarks.record import Record, machine

    data = os.environ.get("LEXIDEX_DATA")
    if not data:
        raise NotFound("LEXIDEX_DATA: not set; it has to name the data folder")

    say = teller(quiet)
    texts = read_passages(Path(data), passages, seed)
    record = Record(_facts(ctx, "passages", len(texts), seed, n_threads) | machine(_versions()), to)
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        chosen = _variants(model, pruned or [], texts, scratch, batches, peers, peer_python)
        names = [name.strip() for name in variants.split(",")]
        chosen = [one for one in chosen if any(name in one.name for name in names)]
        if speed:
            run_encode(
                chosen, texts, scratch, n_threads=n_threads, rounds=rounds, record=record, say=say
            )
        if judged:
            own = [one for one in chosen if one.library == "lexidex"]
            run_quality(own, judged, scratch, n_threads=n_threads, record=record, say=say)
    show(record.read(), as_json)


def _variants(
    model: Path,
    pruned: list[Path],
    texts: list[str],
    scratch: Path,
    batches: str,
    peers: bool,
    peer_python: str | None,
) -> list[EncodeVariant]:
    from lexidex.encoders.engines.export import export
    from lexidex.eval.benchmarks.encode import (
        EncodeVariant,
        inference_free,
        own_variants,
        peer_variants,
    )

    chosen = own_variants(model, pruned)
    if importlib.util.find_spec("onnx") and importlib.util.find_spec("onnxruntime"):
        exported = scratch / "exported"
        export(model, exported, texts[:12])
        onnx = EncodeVariant("onnx, int8", "lexidex", exported, {"backend": "onnx"})
        chosen.insert(1, onnx)
    table = inference_free(model, scratch / "inference-free", texts)
    chosen.append(EncodeVariant("inference-free queries", "lexidex", table, {}, documents=False))
    if peers:
        try:
            sizes = [int(size) for size in batches.split(",")]
        except ValueError:
            raise ParameterError(f"--batches: {batches!r}; expected numbers, by commas") from None
        chosen += peer_variants(model, scratch, sizes, peer_python)
    return chosen


def _facts(
    ctx: typer.Context, collection: str, n_texts: int, seed: int, n_threads: int
) -> dict[str, Any]:
    return {
        "command": command_line(ctx),
        "collection": collection,
        "documents": n_texts,
        "queries": min(n_texts, 50),
        "seed": seed,
        "threads": n_threads,
    }


def _versions() -> dict[str, str]:
    from importlib.metadata import PackageNotFoundError, version

    found = {}
    for name in ("torch", "transformers", "onnxruntime", "sentence-transformers"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
