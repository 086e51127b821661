"""`lexidex eval`: how good are the results on a judged test collection?"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from .encoder_options import TrustRemoteCode
from .output import AsJson, Quiet, err, out, print_json, progress, write_file
from .rerank_options import RerankDepth, RerankFusion, RerankOption, chosen_reranking
from .search import FusionOption, ModeOption, SearchMode, chosen_fusion

if TYPE_CHECKING:
    from lexidex.eval.judged import JudgedQueries
    from lexidex.eval.runs import Run
    from lexidex.index.fusion import FusionParams


def evaluate(
    data: Annotated[Path, typer.Option("--data", help="BEIR folder with queries and qrels.")],
    directory: Annotated[
        Path | None, typer.Argument(metavar="DIR", help="Folder of the collection.")
    ] = None,
    split: Annotated[str, typer.Option(help="Which of the folder's qrels.")] = "test",
    measures: Annotated[
        str, typer.Option(help="Measures by their usual names, separated by spaces.")
    ] = "nDCG@10 R@100",
    run: Annotated[
        Path | None, typer.Option("--run", help="Write the results to this TREC run file.")
    ] = None,
    from_run: Annotated[
        Path | None, typer.Option(help="Evaluate this TREC run file instead of searching DIR.")
    ] = None,
    depth: Annotated[
        int | None, typer.Option(min=1, help="Results a query; default: what the measures need.")
    ] = None,
    mode: ModeOption = SearchMode.sparse,
    fusion: FusionOption = None,
    exact: Annotated[bool, typer.Option("--exact", help="Approximate nothing.")] = False,
    rerank: RerankOption = None,
    rerank_depth: RerankDepth = None,
    rerank_fusion: RerankFusion = None,
    keep_self: Annotated[
        bool, typer.Option("--keep-self", help="Keep a document whose id is the query's own.")
    ] = False,
    per_query: Annotated[
        Path | None, typer.Option(help="Write each query's values to this TSV file.")
    ] = None,
    n_threads: Annotated[int, typer.Option("--threads", min=1, help="Threads over queries.")] = 1,
    trust_remote_code: TrustRemoteCode = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Search every judged query and measure the results; queries without results count as 0."""
    from lexidex.errors import ParameterError
    from lexidex.eval.judged import read_judged
    from lexidex.eval.measures import depth_of, parse_measures
    from lexidex.eval.measures import evaluate as measure
    from lexidex.eval.runs import read_run, write_run

    chosen = parse_measures(measures)
    judged = read_judged(data, split)
    if (directory is None) == (from_run is None):
        raise ParameterError("give a collection to search, or a run by --from-run, and not both")
    reranking = chosen_reranking(rerank, rerank_depth, rerank_fusion, quiet=quiet)
    if reranking and from_run:
        raise ParameterError("--rerank: of no use with --from-run, whose results are as they are")
    fused = chosen_fusion(fusion)
    found = (
        read_run(from_run)
        if from_run
        else _search(
            directory,
            trust_remote_code,
            judged,
            _within(depth or depth_of(chosen), mode, fused, quiet),
            {"mode": mode.value, "exact": exact, "fusion": fused, "rerank": reranking},
            keep_self,
            n_threads,
            quiet,
        )
    )
    if run:
        write_run(found, run)
    evaluation = measure(judged.qrels, found, chosen)
    if per_query:
        _write_per_query(per_query, evaluation.per_query)
    if as_json:
        print_json(
            {
                "measures": {name: round(value, 5) for name, value in evaluation.means.items()},
                "queries": len(judged.qrels),
                "data": str(data),
                "split": split,
            }
        )
        return
    _show(evaluation.means, len(judged.qrels))


def _show(means: Mapping[str, float], n_queries: int) -> None:
    table = Table(*means, "queries", box=None, pad_edge=False)
    table.add_row(*(f"{value:.4f}" for value in means.values()), str(n_queries))
    out.print(table)


def _within(depth: int, mode: SearchMode, fusion: FusionParams | None, quiet: bool) -> int:
    """A depth; in hybrid mode no more than there are candidates, of which one may be the query."""
    from lexidex.index.fusion import FusionParams

    most = 2 * (fusion or FusionParams()).depth - 1
    if mode is not SearchMode.hybrid or depth <= most:
        return depth
    if not quiet:
        err.print(
            f"measured on the first {most:,} of each query, since hybrid search ranks no more; for "
            f"all {depth:,} give --fusion a depth of {depth:,}",
            highlight=False,
        )
    return most


def _search(
    directory: Path | None,
    trust_remote_code: bool,
    judged: JudgedQueries,
    depth: int,
    options: dict[str, Any],
    keep_self: bool,
    n_threads: int,
    quiet: bool,
) -> Run:
    from lexidex.collection import Collection
    from lexidex.eval.runs import search_all

    collection = Collection.open(directory or Path(), trust_remote_code=trust_remote_code)
    with progress("Searching", total=len(judged.queries), quiet=quiet) as count:
        return search_all(
            collection,
            judged,
            depth,
            options,
            keep_self=keep_self,
            n_threads=n_threads,
            progress=count,
        )


def _write_per_query(path: Path, values: dict[str, dict[str, float]]) -> None:
    """A line a query: its id, then a column a measure."""
    names = list(next(iter(values.values())))
    lines = ["\t".join(["query_id", *names])]
    lines += ["\t".join([q, *(f"{one[n]:.5f}" for n in names)]) for q, one in values.items()]
    write_file(path, "\n".join(lines) + "\n")
