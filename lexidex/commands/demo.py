"""`lexidex demo`: the main job from end to end on the Python standard library's documentation."""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .output import Quiet, out, progress
from .search import show_hits
from .serve import HOST, PORT, listen, run

if TYPE_CHECKING:
    from lexidex.collection import Collection
    from lexidex.eval.judged import Qrels

QUERIES = (
    "delete a folder and everything in it",
    "run a shell command and capture what it prints",
    "largest items of a list without sorting all of it",
)
MEASURES = "nDCG@10 R@10"
_HITS = 3


def demo(
    to: Annotated[Path, typer.Option("--to", help="Folder of the collection.")] = Path(
        "demo-collection"
    ),
    with_page: Annotated[
        bool, typer.Option("--serve/--no-serve", help="End by serving the page to search it.")
    ] = True,
    quiet: Quiet = False,
) -> None:
    """Index the documentation of this Python's standard library, search it, measure, serve it.

    Needs nothing but this machine: thousands of docstrings, and questions with known answers.
    """
    from lexidex.collection import Collection, exists
    from lexidex.eval.stdlib_docs import collect
    from lexidex.eval.stdlib_questions import questions

    with progress("Collecting docstrings", quiet=quiet) as count:
        documents = collect(lambda done, _total: count(done))
    started = time.perf_counter()
    collection = Collection.open(to) if exists(to) else Collection.create(to)
    with progress("Indexing", total=len(documents), quiet=quiet) as count:
        collection.replace(documents, progress=count)
    seconds = time.perf_counter() - started
    out.print(
        f"[bold]{len(collection):,} docstrings[/] indexed with {collection.encoder.name} "
        f"in {seconds:.1f} s into {to}/\n",
        highlight=False,
    )
    _show_searches(collection)
    _show_figures(collection, documents, *questions(documents))
    _show_next_steps(to)
    if with_page:
        _serve(to)


def _show_searches(collection: Collection) -> None:
    collection.warm_up()
    for query in QUERIES:
        out.print(f"[bold]lexidex search[/] {query!r}", highlight=False)
        result = collection.search(query, _HITS)
        show_hits(
            result, [collection.explain(query, hit.doc_id, hit.passage.number) for hit in result]
        )
        out.print()


def _show_figures(
    collection: Collection, documents: list[Any], queries: dict[str, str], qrels: Qrels
) -> None:
    """How good the results are, next to BM25's."""
    from lexidex.collection import Collection
    from lexidex.eval.judged import JudgedQueries
    from lexidex.eval.measures import depth_of, evaluate, parse_measures
    from lexidex.eval.runs import search_all
    from lexidex.index.storage.files import MemoryStorage

    measures = parse_measures(MEASURES)
    judged = JudgedQueries(dict(queries), qrels)
    baseline = Collection.create(MemoryStorage(), "bm25", "off")
    baseline.upsert(documents)
    out.print(f"[bold]{len(qrels)} questions with known answers[/]", highlight=False)
    for each in (collection, baseline):
        means = evaluate(qrels, search_all(each, judged, depth_of(measures)), measures).means
        figures = ", ".join(f"{name} {value:.3f}" for name, value in means.items())
        out.print(f"  {each.encoder.name}: {figures}", highlight=False)


def _show_next_steps(to: Path) -> None:
    program = "lexidex" if shutil.which("lexidex") else sys.argv[0]
    out.print(
        f"\nGo on with\n"
        f'  {program} search {to} "your own question" --explain\n'
        f'  {program} explain {to} "copy a file" shutil.copy\n'
        f"  {program} serve {to}\n"
        f"  {program} index YOUR_DOCUMENTS.jsonl --to YOUR_COLLECTION",
        highlight=False,
        markup=False,
    )


def _serve(to: Path) -> None:
    from lexidex.server.backend import Backend

    try:
        listener = listen(HOST, PORT)
    except OSError:
        listener = listen(HOST, 0)
    out.print()
    with listener:
        run(Backend.open(to), listener)
