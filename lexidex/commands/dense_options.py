"""Which dense vectors a new collection has, and what is made of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from .encoder_options import given_options

if TYPE_CHECKING:
    from lexidex.dense_side import DenseSide
    from lexidex.encoders import Encoder

Dense = Annotated[
    str | None,
    typer.Option(
        help="Dense vectors, too, for hybrid search: folder or hub id of a dense model, "
        "'lexidex-mini', 'joint' for the encoder's own, or 'vectors' for documents that bring "
        "theirs."
    ),
]

DenseIndex = Annotated[
    str | None,
    typer.Option(
        help="What is made of dense vectors, as FAISS names it, such as SQ8 or HNSW32_SQ8; "
        "default: by their number."
    ),
]

DenseMetric = Annotated[
    Literal["cosine", "inner-product"] | None,
    typer.Option(help="How dense vectors are compared; default: as their model says."),
]

DenseOptions = Annotated[
    list[str] | None,
    typer.Option(
        "--dense-option",
        metavar="NAME=VALUE",
        help="An option of the dense model, such as pooling=mean or max_length=256; may be "
        "repeated.",
    ),
]


def chosen_dense_side(
    encoder: Encoder | None,
    dense: str | None,
    factory: str | None,
    metric: Literal["cosine", "inner-product"] | None,
    options: list[str] | None,
) -> DenseSide | None:
    """The dense side that a command line asks for, beside an encoder; None where it asks for none.

    Raises:
        ParameterError: options without dense vectors, or of what is no model.
    """
    from lexidex.dense_side import DenseSide

    given = given_options(options, "--dense-option")
    return DenseSide.named(dense, encoder, factory=factory, metric=metric, options=given)
