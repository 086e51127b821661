"""`lexidex encode`: files -> vectors in a Parquet file."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from .encoder_options import (
    EncoderName,
    EncoderOptions,
    Passages,
    Prune,
    PruneQueries,
    chosen_encoder,
)
from .left_out import PARTIAL, LeftOut, left_out, show_left_out
from .output import AsJson, Quiet, err, json_line, out, print_json, write_file

if TYPE_CHECKING:
    from lexidex.encoding import Report, State

_LINE_SECONDS = 30.0
"""Time between lines of progress where stderr is no terminal."""


def encode(
    sources: Annotated[
        list[Path],
        typer.Argument(
            help="BEIR folder, .jsonl[.gz], .tsv, .csv, .parquet, text or Markdown; or a folder."
        ),
    ],
    to: Annotated[Path, typer.Option("--to", help="The Parquet file to make.")],
    encoder: EncoderName = None,
    encoder_options: EncoderOptions = None,
    prune: Prune = None,
    prune_queries: PruneQueries = None,
    passages: Passages = None,
    queries: Annotated[
        bool,
        typer.Option("--queries", help="Encode queries; of a BEIR folder, queries.jsonl."),
    ] = False,
    processes: Annotated[
        int | None,
        typer.Option(help="Processes that encode; 1, or one for each GPU, unless given."),
    ] = None,
    threads: Annotated[
        int | None, typer.Option(help="Threads of each; processors are shared unless given.")
    ] = None,
    device: Annotated[
        list[str] | None,
        typer.Option(help="cpu, cuda or cuda:1; more than one are taken in turn."),
    ] = None,
    errors: Annotated[
        Path | None, typer.Option(help="Write records left out to this file, as JSON lines.")
    ] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Encode documents, or queries, by a model; `lexidex index` takes the result.

    Memory does not grow with the input. Killed or interrupted, the same command run again goes on
    where it was. Records that cannot be encoded are reported and left out; the exit status is 4.
    """
    from lexidex.encoders import DEFAULT_ENCODER, load_encoder
    from lexidex.encoding import Workforce, encode_files

    chosen = chosen_encoder(encoder, encoder_options, prune, prune_queries, quiet=quiet)
    workforce = Workforce(processes, threads, device or ())
    if errors:
        write_file(errors, "")
    with _progress(quiet) as show:
        report = encode_files(
            sources,
            to,
            chosen or load_encoder(DEFAULT_ENCODER),
            side="queries" if queries else "documents",
            passages=passages,
            workforce=workforce,
            progress=show,
        )
    records = left_out(report.bad, report.failed)
    if errors:
        write_file(errors, "".join(map(json_line, records)))
    _report(to, report, records, as_json)
    if records:
        raise typer.Exit(PARTIAL)


def _report(to: Path, report: Report, records: LeftOut, as_json: bool) -> None:
    state = report.state
    if as_json:
        print_json(
            {
                "file": str(to),
                "texts": state.n_texts,
                "encoded": state.n_encoded,
                "resumed": state.n_resumed,
                "failed": records,
                "nnz": round(state.nnz, 2),
                "seconds": round(state.seconds, 3),
                "texts_per_s": round(state.rate, 2),
                "tokens_per_s": round(state.token_rate, 2),
            }
        )
    else:
        resumed = f", {state.n_resumed:,} of them by earlier runs" if state.n_resumed else ""
        out.print(
            f"{state.n_texts:,} texts encoded{resumed}, in {state.seconds:.1f} s "
            f"({_speed(state)}); {to} holds them",
            highlight=False,
        )
    show_left_out(records)


@contextmanager
def _progress(quiet: bool) -> Iterator[Callable[[State], None]]:
    """Shows how far it is on stderr: a line that changes, or a line now and then."""
    last = time.monotonic()

    def print_line(state: State) -> None:
        nonlocal last
        if not quiet and time.monotonic() - last >= _LINE_SECONDS:
            last = time.monotonic()
            err.print(f"{state.n_texts:,} texts encoded ({_progress_of(state)})", highlight=False)

    if not err.is_terminal:
        yield print_line
        return
    columns = (
        SpinnerColumn(),
        TextColumn("Encoding"),
        BarColumn(),
        TextColumn("{task.completed:,} {task.fields[speed]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=err, disable=quiet) as bar:
        task = bar.add_task("", total=None, speed="")
        yield lambda state: bar.update(
            task,
            completed=state.n_texts,
            total=max(state.n_expected, state.n_texts),
            speed=_progress_of(state),
        )


def _speed(state: State) -> str:
    return f"{state.rate:,.1f}/s, {state.token_rate:,.0f} tokens/s, {state.nnz:.0f} nnz"


def _progress_of(state: State) -> str:
    """The speed, and how long it will take at that."""
    left = state.seconds_left
    return f"{_speed(state)}, {_duration(left)} left" if left and left >= 1 else _speed(state)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
