"""`lexidex bench` of hybrid search: its cost, dense indexes, densified vectors, and fusion."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lexidex.errors import ParameterError

from .bench_run import Run, benchmark, command_line, show, teller
from .output import AsJson, Quiet

if TYPE_CHECKING:
    from lexidex.dense_side import DenseSide
    from lexidex.encoders import Encoder
    from lexidex.eval.benchmarks.record import Record

Sparse = Annotated[str, typer.Option(help="Of the sparse vectors, as `lexidex index` takes it.")]
Dense = Annotated[str, typer.Option(help="Of the dense vectors, as `lexidex index` takes it.")]
Out = Annotated[
    Path | None, typer.Option("--out", help="Append all figures to this file, as JSON lines.")
]


@benchmark()
def hybrid(
    run: Run,
    dense_index: Annotated[
        str | None, typer.Option(help="As FAISS names it; default: by the number of vectors.")
    ] = None,
) -> None:
    """What a search by both legs costs in time and memory, next to each leg alone."""
    from lexidex.eval.benchmarks.hybrid import run_hybrid

    run_hybrid(run.workload, record=run.record, say=run.say, factory=dense_index)


@benchmark()
def dense(
    run: Run,
    indexes: Annotated[
        str, typer.Option(help="Only those whose names contain one of these, by semicolons.")
    ] = "",
) -> None:
    """Which of FAISS's indexes dense vectors should have: accuracy, time, building, size."""
    from lexidex.eval.benchmarks.dense import FAMILIES, run_dense

    names = [part.strip() for part in indexes.split(";")]
    chosen = [family for family in FAMILIES if any(name in family for name in names)]
    if not chosen:
        raise ParameterError(f"--indexes: {indexes!r}; expected some of {'; '.join(FAMILIES)}")
    run_dense(run.workload, chosen, record=run.record, say=run.say)


def dsr(
    ctx: typer.Context,
    data: Annotated[
        Path | None,
        typer.Option(help="BEIR folder; default: NFCorpus' sparse vectors from LEXIDEX_DATA."),
    ] = None,
    encoder: Sparse = "bm25",
    dense: Annotated[
        str | None, typer.Option(help="Of the dense vectors; needed with --data.")
    ] = None,
    to: Out = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Densified sparse vectors, alone and with dense ones, next to Seismic and FAISS fused."""
    from lexidex.encoders import load_encoder
    from lexidex.eval.benchmarks.dsr import encoded, ready_made, run_dsr
    from lexidex.eval.benchmarks.real import COLLECTION, prepare_real

    say = teller(quiet)
    with tempfile.TemporaryDirectory() as scratch:
        if data is None:
            found, name = ready_made(prepare_real(Path(scratch), say=say)), COLLECTION
        elif dense is None:
            raise ParameterError("--data: needs dense vectors; name their model by --dense")
        else:
            sparse = load_encoder(encoder)
            side = _dense(dense, sparse).encoder
            assert side is not None
            found, name = encoded(data, sparse, side, say), data.absolute().name
        counts = len(found.doc_ids), len(found.query_ids)
        record = _record(ctx, name, *counts, to)
        run_dsr(found, record=record, say=say)
    show(record.read(), as_json)


def fusion(
    ctx: typer.Context,
    data: Annotated[list[Path], typer.Option(help="BEIR folders; repeat for several.")],
    dense: Dense,
    encoder: Sparse = "bm25",
    collections: Annotated[
        Path | None,
        typer.Option(help="Folder that keeps the indexed collections for the next run."),
    ] = None,
    to: Out = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Each leg alone and every method of fusing them, on judged collections."""
    from lexidex.encoders import load_encoder
    from lexidex.eval.benchmarks.fusion import run_fusion
    from lexidex.eval.benchmarks.judged_collection import splits
    from lexidex.eval.judged import read_judged

    sparse = load_encoder(encoder)
    side = _dense(dense, sparse)
    n_queries = sum(
        len(read_judged(folder, split).queries) for folder in data for split in splits(folder)[0]
    )
    names = ", ".join(folder.absolute().name for folder in data)
    record = _record(ctx, names, 0, n_queries, to)
    with tempfile.TemporaryDirectory() as scratch:
        run_fusion(
            data,
            sparse,
            side,
            collections or Path(scratch),
            record=record,
            say=teller(quiet),
        )
    show(record.read(), as_json)


def effectiveness(
    ctx: typer.Context,
    data: Annotated[list[Path], typer.Option(help="BEIR folders; repeat for several.")],
    encoder: Annotated[
        str | None, typer.Option(help="As `lexidex index` takes it; default: as there.")
    ] = None,
    dense: Annotated[
        str | None, typer.Option(help="A dense side beside it: 'joint' for the encoder's own.")
    ] = None,
    collections: Annotated[
        Path | None,
        typer.Option(help="Folder that keeps the indexed collections for the next run."),
    ] = None,
    to: Out = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """How good an encoder's results are, next to BM25's, on judged collections."""
    from lexidex.encoders import DEFAULT_ENCODER, load_encoder
    from lexidex.eval.benchmarks.effectiveness import run_effectiveness

    sparse = load_encoder(encoder or DEFAULT_ENCODER)
    side = None if dense is None else _dense(dense, sparse)
    record = _record(ctx, ", ".join(folder.absolute().name for folder in data), 0, 0, to)
    with tempfile.TemporaryDirectory() as scratch:
        place = collections or Path(scratch)
        run_effectiveness(data, sparse, side, place, record=record, say=teller(quiet))
    show(record.read(), as_json)


def _dense(name: str, sparse: Encoder) -> DenseSide:
    """The dense side of that name beside a sparse encoder, with an encoder of its own.

    Raises:
        ParameterError: it encodes no texts.
    """
    from lexidex.dense_side import DenseSide

    side = DenseSide.of(name, sparse)
    if side is None or side.encoder is None:
        raise ParameterError(f"--dense: {name!r} encodes no texts; name a model")
    return side


def _record(
    ctx: typer.Context, collection: str, n_documents: int, n_queries: int, to: Path | None
) -> Record:
    from lexidex.eval.benchmarks.record import Record, facts
    from lexidex.eval.benchmarks.workload import Workload

    workload = Workload(Path(), n_documents, n_queries, 0, collection)
    return Record(facts(workload, [], 1, command_line(ctx)) | {"judged": True}, to)
