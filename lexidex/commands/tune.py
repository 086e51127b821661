"""`lexidex tune`: which search parameters reach which accuracy?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from .encoder_options import TrustRemoteCode
from .output import AsJson, out, print_json, progress
from .search import Directory

if TYPE_CHECKING:
    from lexidex.documents import SparseInput
    from lexidex.tuning import Tuned, TuningReport


OF_SEARCHES = ("queries", "k", "accuracy", "n_threads")
OF_FUSION = ("split", "measure")
"""Options of `tune` that are of use in one of its two ways alone."""


def tune(
    context: typer.Context,
    directory: Directory,
    queries: Annotated[
        Path | None,
        typer.Option(
            help="Queries like those to come: texts, one a line; JSON lines with text or vector; "
            "or a BEIR folder. Without them, documents serve."
        ),
    ] = None,
    k: Annotated[int, typer.Option("-k", min=1, help="Number of results.")] = 10,
    accuracy: Annotated[
        float, typer.Option(help="Share of the exact results that is to be found.")
    ] = 0.95,
    fusion: Annotated[
        bool,
        typer.Option("--fusion", help="Find weights of a hybrid search instead; needs --data."),
    ] = False,
    data: Annotated[
        Path | None, typer.Option(help="BEIR folder whose judgments --fusion is measured by.")
    ] = None,
    split: Annotated[str, typer.Option(help="Which of that folder's qrels.")] = "dev",
    measure: Annotated[str, typer.Option(help="What --fusion is measured by.")] = "nDCG@10",
    n_threads: Annotated[int, typer.Option("--threads", min=1, help="Threads over queries.")] = 1,
    trust_remote_code: TrustRemoteCode = False,
    as_json: AsJson = False,
) -> None:
    """Measure search parameters and keep what was found, for `search --accuracy`.

    With --fusion: which weights a hybrid search should have, and whether it helps at all.
    """
    from lexidex.collection import Collection

    if fusion or data is not None:
        _refuse(context, OF_SEARCHES, "with --fusion, which takes its queries from --data")
        tune_weights(directory, data, split, measure, as_json, trust_remote_code)
        return
    _refuse(context, OF_FUSION, "without --fusion")
    sample = None if queries is None else read_sample(queries)
    collection = Collection.open(directory, trust_remote_code=trust_remote_code)
    report = collection.tune(sample, k, accuracy, n_threads=n_threads)
    if as_json:
        print_json(_as_json(report))
    elif not report.segments:
        out.print(
            "nothing to tune: every part of the collection is small enough to be searched exactly"
        )
    else:
        for tuned in report.segments:
            _show(tuned, report)


def _refuse(context: typer.Context, names: Sequence[str], when: str) -> None:
    """Raise ParameterError if one of these options is given, be it with its default value."""
    from lexidex.errors import ParameterError

    for parameter in context.command.params:
        source = context.get_parameter_source(parameter.name or "")
        if parameter.name in names and source and source.name == "COMMANDLINE":
            raise ParameterError(f"{parameter.opts[0]}: of no use {when}")


def tune_weights(
    directory: Path,
    data: Path | None,
    split: str,
    measure: str,
    as_json: bool,
    trust_remote_code: bool = False,
) -> None:
    """Find weights of a hybrid search on judged queries."""
    from lexidex.collection import Collection
    from lexidex.errors import ParameterError
    from lexidex.eval.fusion_tuning import tune_fusion
    from lexidex.eval.judged import read_judged
    from lexidex.eval.measures import parse_measures

    if data is None:
        raise ParameterError("--fusion: needs judged queries; give their folder by --data")
    (chosen, *more) = parse_measures(measure)
    if more:
        raise ParameterError(f"--measure: {measure!r}; expected one")
    judged = read_judged(data, split)
    collection = Collection.open(directory, trust_remote_code=trust_remote_code)
    with progress("Searching", total=len(judged.queries), quiet=as_json) as count:
        report = tune_fusion(collection, judged, chosen, progress=count)
    if as_json:
        print_json({**asdict(report), "helps": report.helps, "verdict": report.verdict})
        return
    table = Table("", report.measure, box=None, pad_edge=False)
    for leg, mean in report.legs.items():
        table.add_row(f"{leg} alone", f"{mean:.4f}")
    for method, mean in report.cross_validated.items():
        table.add_row(f"{method}, cross-validated", f"{mean:.4f}")
    out.print(table)
    best = report.chosen
    weights = f"{best.method},dense={best.dense:g},sparse={1 - best.dense:g}"
    out.print(f"best on all {report.n_queries:,} queries: --fusion {weights}", highlight=False)
    out.print(report.verdict, highlight=False)


def read_sample(path: Path) -> list[str | SparseInput]:
    """Queries from a file or a BEIR folder.

    Raises:
        InputError: it is missing, has no query, or has a bad line, which is named.
    """
    from lexidex.errors import InputError
    from lexidex.sources import JSON_LINES, beir_file

    file = beir_file(path, "queries.jsonl") if path.is_dir() else path
    if file is None:
        raise InputError(f"{path}: no queries.jsonl in it; expected a BEIR folder, or a file")
    if file.name.removesuffix(".gz").endswith(JSON_LINES):
        found = _json_queries(file)
    else:
        try:
            lines = file.read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{file}: cannot be read: {error}") from None
        found = [line for line in lines if line.strip()]
    if not found:
        raise InputError(f"{file}: no queries in it")
    return found


def _json_queries(file: Path) -> list[str | SparseInput]:
    from lexidex.documents import check_sparse
    from lexidex.errors import InputError
    from lexidex.sources import json_lines

    found: list[str | SparseInput] = []
    for line, record in json_lines(file):
        if isinstance(record, InputError):
            raise InputError(f"{file}:{line}: {record}")
        if record.get("vector") is not None:
            try:
                found.append(check_sparse(record["vector"]))
            except InputError as error:
                raise InputError(f"{file}:{line}: {error}") from None
        elif isinstance(record.get("text"), str):
            found.append(record["text"])
        else:
            raise InputError(f"{file}:{line}: field 'text' is missing or no string")
    return found


def _show(tuned: Tuned, report: TuningReport) -> None:
    """The curve of a segment, and which point is chosen."""
    kind = "queries made from its documents" if tuned.held_out else "queries"
    columns = ("accuracy", "assured", "query_cut", "heap_factor", "us", "documents scored", "")
    table = Table(
        *columns,
        title=f"segment {tuned.segment}: {tuned.n_passages:,} passages, {tuned.n_queries:,} {kind}",
        box=None,
        pad_edge=False,
    )
    chosen = tuned.chosen(report.accuracy)
    for trial in tuned.trials:
        point = trial.point
        table.add_row(
            f"{point.accuracy:.4f}",
            f"{point.assured:.4f}",
            str(point.query_cut),
            f"{point.heap_factor:g}",
            f"{trial.us:,.0f}",
            f"{point.documents:,.0f}",
            "chosen" if trial is chosen else "",
        )
    out.print(table)
    wanted = f"accuracy@{report.k} of {report.accuracy:g}"
    out.print(
        f"{wanted}: by query_cut {chosen.point.query_cut}, heap_factor {chosen.point.heap_factor:g}"
        if chosen
        else f"{wanted}: by none of them; searches that ask for it are exact",
        highlight=False,
    )


def _as_json(report: TuningReport) -> dict[str, Any]:
    segments = []
    for tuned in report.segments:
        chosen = tuned.chosen(report.accuracy)
        points = [
            {**asdict(trial.point), "us": round(trial.us, 1), "chosen": trial is chosen}
            for trial in tuned.trials
        ]
        segments.append(
            {
                "name": tuned.segment,
                "passages": tuned.n_passages,
                "queries": tuned.n_queries,
                "held_out": tuned.held_out,
                "points": points,
            }
        )
    return {
        "k": report.k,
        "accuracy": report.accuracy,
        "generation": report.generation,
        "segments": segments,
    }
