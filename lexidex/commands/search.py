"""`lexidex search` and `lexidex explain`: questions -> documents, and why."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from .encoder_options import TrustRemoteCode
from .output import AsJson, out, print_json
from .rerank_options import RerankDepth, RerankFusion, RerankOption, chosen_reranking

if TYPE_CHECKING:
    from lexidex.documents import SparseInput
    from lexidex.index.fusion import FusionParams
    from lexidex.results import Explanation, Hit, LegScore, SearchResult

_SNIPPET = 160
_SHOWN_TERMS = 6
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class SearchMode(StrEnum):
    """Which vectors are searched."""

    sparse = "sparse"
    dense = "dense"
    hybrid = "hybrid"


ModeOption = Annotated[
    SearchMode, typer.Option(help="Search sparse vectors, dense ones, or both, fused.")
]
FusionOption = Annotated[
    str | None,
    typer.Option(
        help="How hybrid search fuses: convex, min-max, z-score, l2, dbsf, rrf or max, perhaps "
        "with weights and depth, such as 'convex,dense=2,sparse=1,depth=100'."
    ),
]
Directory = Annotated[Path, typer.Argument(metavar="DIR", help="Folder of the collection.")]
FilterOption = Annotated[
    str | None,
    typer.Option(
        "--filter",
        metavar="JSON",
        help='Only documents whose metadata meet this, such as {"year": {"gte": 2000}}.',
    ),
]


def search(
    directory: Directory,
    query: Annotated[str | None, typer.Argument(help="What to look for.")] = None,
    k: Annotated[int, typer.Option("-k", min=1, help="Number of documents.")] = 10,
    sparse: Annotated[
        str | None,
        typer.Option(help='Sparse vector instead of a text, as JSON: {"term": weight, ...}.'),
    ] = None,
    mode: ModeOption = SearchMode.sparse,
    dense: Annotated[
        str | None, typer.Option(help="Dense vector instead of the text's, as JSON: [0.1, ...].")
    ] = None,
    fusion: FusionOption = None,
    only: FilterOption = None,
    exact: Annotated[bool, typer.Option("--exact", help="Approximate nothing.")] = False,
    accuracy: Annotated[
        float | None,
        typer.Option(help="Share of the exact results to find, by the cheapest search known to."),
    ] = None,
    rerank: RerankOption = None,
    rerank_depth: RerankDepth = None,
    rerank_fusion: RerankFusion = None,
    with_terms: Annotated[
        bool,
        typer.Option(
            "--explain", help="Show what each word, and each side of a hybrid search, adds."
        ),
    ] = False,
    trust_remote_code: TrustRemoteCode = False,
    as_json: AsJson = False,
) -> None:
    """Search a collection, best documents first."""
    from lexidex.collection import Collection

    vector = None if sparse is None else parse_json("--sparse", sparse)
    row = None if dense is None else parse_json("--dense", dense)
    _check_query(query, vector, row, mode)
    condition = None if only is None else parse_json("--filter", only)
    reranking = chosen_reranking(rerank, rerank_depth, rerank_fusion)
    collection = Collection.open(directory, trust_remote_code=trust_remote_code)
    collection.warm_up()
    result = collection.search(
        query,
        k,
        mode=mode.value,
        sparse=vector,
        dense=row,
        exact=exact,
        accuracy=accuracy,
        fusion=chosen_fusion(fusion),
        filter=condition,
        rerank=reranking,
    )
    asked = query if vector is None else vector
    explained = (
        [collection.explain(asked or "", hit.doc_id, hit.sparse_passage) for hit in result]
        if with_terms and mode is not SearchMode.dense
        else []
    )
    if as_json:
        print_json(_as_json(result, explained))
    else:
        show_hits(result, explained, with_legs=with_terms)


def explain(
    directory: Directory,
    query: Annotated[str, typer.Argument(help="The query.")],
    doc_id: Annotated[str, typer.Argument(metavar="ID", help="The document.")],
    trust_remote_code: TrustRemoteCode = False,
    as_json: AsJson = False,
) -> None:
    """Show which words give a document its score for a query."""
    from lexidex.collection import Collection

    collection = Collection.open(directory, trust_remote_code=trust_remote_code)
    explanation = collection.explain(query, doc_id)
    if as_json:
        print_json(_explanation_as_json(explanation))
        return
    table = Table("term", "query", "document", "product", "share", box=None, pad_edge=False)
    for term in explanation.terms:
        share = term.product / explanation.score if explanation.score else 0.0
        numbers = (f"{x:.4f}" for x in (term.query, term.document, term.product))
        table.add_row(_text(term.term), *numbers, f"{share:.0%}")
    out.print(table)
    out.print(f"score {explanation.score:.4f}", highlight=False)
    _show_ignored(explanation.ignored_terms)


def parse_json(option: str, text: str) -> Any:
    """The value of an option that takes JSON; ParameterError when it is none."""
    from lexidex.errors import ParameterError

    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ParameterError(f"{option}: not JSON: {error}") from None


def show_hits(
    result: SearchResult, explained: list[Explanation], *, with_legs: bool = False
) -> None:
    """Print hits for people: rank, score, id, title, the beginning of the passage, and terms.

    Args:
        with_legs: tell how each leg's part of the score comes about, and not only how much it is.
    """
    told = _leg_explained if with_legs else _leg
    for rank, hit in enumerate(result, start=1):
        score = Text(f"{hit.score:8.4f}", "green")
        out.print(Text(f"{rank:>2}", "bold"), score, _text(hit.doc_id, "bold"), _text(_title(hit)))
        snippet = " ".join((hit.passage.text or "").split())[:_SNIPPET]
        if snippet:
            cut = "... " if hit.passage.start else ""
            out.print(_text(f"            {cut}{snippet}", "dim"))
        if hit.legs:
            shown = "  ".join(told(name, leg) for name, leg in hit.legs.items())
            out.print(_text(f"            {shown}", "magenta"))
        if explained:
            terms = explained[rank - 1].terms[:_SHOWN_TERMS]
            shown = "  ".join(f"{t.term} {t.product:.3f}" for t in terms)
            out.print(_text(f"            {shown}", "cyan"))
    if not result.hits:
        out.print("no document matches")
    _show_ignored(result.ignored_terms)
    timings = result.timings
    reranking = "" if timings.rerank_us is None else f"rerank {timings.rerank_us:,.0f} us, "
    out.print(
        f"encode {timings.encode_us:,.0f} us, search {timings.search_us:,.0f} us, "
        f"fuse {timings.fuse_us:,.0f} us, {reranking}fetch {timings.fetch_us:,.0f} us "
        f"({', '.join(dict.fromkeys(result.plan))})",
        style="dim",
        highlight=False,
    )


def _leg(name: str, leg: LegScore) -> str:
    return f"{name} {leg.contribution:.3f} (rank {leg.rank}, score {leg.score:.3f})"


def _leg_explained(name: str, leg: LegScore) -> str:
    """Weight, normalised score and what they make; less where only the largest leg counts."""
    product = leg.weight * leg.normalised
    made = "=" if abs(product - leg.contribution) < 1e-6 else "gives"
    return (
        f"{name} {leg.weight:.3g} x {leg.normalised:.3f} {made} {leg.contribution:.3f} "
        f"(rank {leg.rank}, score {leg.score:.3f})"
    )


def _show_ignored(terms: list[str]) -> None:
    if terms:
        out.print(_text(f"in no document: {', '.join(terms)}", "yellow"))


def _text(content: str, style: str = "") -> Text:
    """Text of documents and queries: no markup in it, nor anything that a terminal obeys."""
    return Text(_CONTROL.sub(" ", content), style)


def _title(hit: Hit) -> str:
    """The title, unless it only repeats the id with other separators."""
    title = hit.title or ""
    return "" if _letters(title) == _letters(hit.doc_id) else title


def _letters(text: str) -> str:
    return "".join(filter(str.isalnum, text))


def _check_query(
    query: str | None, sparse: SparseInput | None, dense: object, mode: SearchMode
) -> None:
    from lexidex.errors import ParameterError

    if query is not None and sparse is not None:
        raise ParameterError("give a query, or a vector by --sparse, and not both")
    if query is None and sparse is None and dense is None:
        option = "--dense" if mode is SearchMode.dense else "--sparse"
        raise ParameterError(f"give a query, or a vector by {option}")


def chosen_fusion(text: str | None) -> FusionParams | None:
    """What --fusion asks for; None where it is not given."""
    from lexidex.index.fusion import FusionParams

    return None if text is None else FusionParams.parse(text)


def _as_json(result: SearchResult, explained: list[Explanation]) -> dict[str, Any]:
    hits: list[dict[str, Any]] = []
    for place, hit in enumerate(result):
        described = asdict(hit)
        described["id"] = described.pop("doc_id")
        del described["passage"]["text"]  # which "text" has
        if explained:
            described["terms"] = _explanation_as_json(explained[place])["terms"]
        hits.append(described)
    return {
        "hits": hits,
        "timings": asdict(result.timings),
        "generation": result.generation,
        "ignored_terms": result.ignored_terms,
        "counters": asdict(result.counters),
        "plan": list(result.plan),
    }


def _explanation_as_json(explanation: Explanation) -> dict[str, Any]:
    described = asdict(explanation)
    described["id"] = described.pop("doc_id")
    return described
