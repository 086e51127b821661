"""Which encoder a command uses, its options, and what becomes of long documents."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lexidex.errors import ParameterError

from .output import err

if TYPE_CHECKING:
    from lexidex.encoders import Encoder

EncoderName = Annotated[
    str | None,
    typer.Option(
        "--encoder",
        help="lexidex-mini, bm25, deepct, vectors (documents bring their own), the folder of a "
        "saved encoder or of a model, or organisation/model on the hub.",
    ),
]

EncoderOptions = Annotated[
    list[str] | None,
    typer.Option(
        "--encoder-option",
        metavar="NAME=VALUE",
        help="An option of the encoder, such as preset=splade-doc, max_length=256 or "
        "query_path=FOLDER; may be repeated.",
    ),
]

Prune = Annotated[
    str | None,
    typer.Option(
        help="Which values of document vectors are kept: some of top_k=N, threshold=T, "
        "max_ratio=R, mass=A, by commas."
    ),
]

PruneQueries = Annotated[
    str | None, typer.Option(help="Which values of query vectors are kept, as --prune.")
]


Passages = Annotated[
    str | None,
    typer.Option(
        help="What becomes of long documents: split (several passages), max (one vector of all) or "
        "truncate, perhaps with ',tokens=N' of a passage and ',overlap=N'. Default: split what the "
        "encoder would cut off."
    ),
]


def chosen_encoder(
    name: str | None,
    options: list[str] | None = None,
    prune: str | None = None,
    prune_queries: str | None = None,
    *,
    quiet: bool = False,
) -> Encoder | None:
    """The encoder that a command line asks for; its licence is told on stderr where it has one.

    Raises:
        ParameterError: options for no encoder, or one that the encoder does not have.
    """
    from lexidex.encoders import load_encoder

    rules = {"document_pruning": prune, "query_pruning": prune_queries}
    given = read_options("--encoder-option", options)
    given |= {option: rule for option, rule in rules.items() if rule is not None}
    if name is None:
        if given:
            raise ParameterError(f"{', '.join(given)}: give the encoder as well, by --encoder")
        return None
    encoder = load_encoder(name, **given)
    if encoder.has_licence and not quiet:
        err.print(
            f"{name}: licence: {encoder.licence or 'not stated'}", markup=False, highlight=False
        )
    return encoder


def read_options(option: str, given: list[str] | None) -> dict[str, Any]:
    """Each NAME=VALUE that an option was given, the value as JSON where it is that."""
    values: dict[str, Any] = {}
    for one in given or []:
        name, equals, value = one.partition("=")
        if not equals or not name:
            raise ParameterError(f"{option}: {one!r}; expected NAME=VALUE")
        try:
            values[name] = json.loads(value)
        except ValueError:
            values[name] = value
    return values
