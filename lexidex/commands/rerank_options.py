"""Options that say how a search is reranked, of every command that searches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from .output import err

if TYPE_CHECKING:
    from lexidex.reranking import RerankParams

RerankOption = Annotated[
    str | None,
    typer.Option(
        "--rerank",
        metavar="MODEL",
        help="Order the first documents anew: by 'attention' over their stored dense vectors, a "
        "folder of trained attention, or the folder or hub id of a cross-encoder.",
    ),
]
RerankDepth = Annotated[
    int | None, typer.Option(min=1, help="How many documents --rerank looks at; 100 by default.")
]
RerankFusion = Annotated[
    str | None,
    typer.Option(
        help="How scores of --rerank are fused with those before, such as 'min-max,first=1,"
        "rerank=2'; by default attention is, and a cross-encoder decides alone."
    ),
]


def chosen_reranking(
    model: str | None, depth: int | None, fusion: str | None, *, quiet: bool = False
) -> RerankParams | None:
    """What the options ask for; None for nothing. Tells a model's licence on stderr.

    Raises:
        ParameterError: details of no reranking.
    """
    from lexidex.errors import ParameterError
    from lexidex.index.fusion import FusionParams
    from lexidex.rerankers import CrossEncoderReranker, load_reranker
    from lexidex.reranking import DEPTH, RerankParams

    if model is None:
        for option, value in (("--rerank-depth", depth), ("--rerank-fusion", fusion)):
            if value is not None:
                raise ParameterError(f"{option}: of no use without --rerank")
        return None
    fused = None if fusion is None else FusionParams.parse(fusion)
    reranker = load_reranker(model)
    if isinstance(reranker, CrossEncoderReranker) and not quiet:
        told = f"{model}: licence: {reranker.model.licence or 'not stated'}"
        err.print(told, markup=False, highlight=False)
    return RerankParams(reranker, DEPTH if depth is None else depth, fused)
