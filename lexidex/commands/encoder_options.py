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


TrustRemoteCode = Annotated[
    bool,
    typer.Option(
        "--trust-remote-code",
        help="Run code that the repository of the collection's model brings; read it first. "
        "Collections do not keep this.",
    ),
]


def chosen_encoder(
    name: str | None,
    options: list[str] | None = None,
    prune: str | None = None,
    prune_queries: str | None = None,
    *,
    quiet: bool = False,
    trusts: bool = False,
) -> Encoder | None:
    """The encoder that a command line asks for; its licence is told on stderr where it has one.

    Args:
        trusts: whether --trust-remote-code was given, which a model then takes for its option.

    Raises:
        ParameterError: options for no encoder, or one that the encoder does not have.
    """
    from lexidex.encoders import load_encoder
    from lexidex.encoders.loading import KINDS

    rules = {"document_pruning": prune, "query_pruning": prune_queries}
    given = given_options(options)
    given |= {option: rule for option, rule in rules.items() if rule is not None}
    if name is None:
        if given:
            raise ParameterError(f"{', '.join(given)}: give the encoder as well, by --encoder")
        return None
    if trusts and name not in KINDS:
        given.setdefault("trust_remote_code", True)
    encoder = load_encoder(name, **given)
    if encoder.has_licence and not quiet:
        err.print(
            f"{name}: licence: {encoder.licence or 'not stated'}", markup=False, highlight=False
        )
    return encoder


def given_options(options: list[str] | None, flag: str = "--encoder-option") -> dict[str, Any]:
    """What a flag gives, by name: JSON where a value is that, and else text.

    Raises:
        ParameterError: one is not of the form NAME=VALUE.
    """
    if not options:
        return {}
    from lexidex.encoders.loading import text_options

    texts = text_options()
    return dict(_option(flag, given, texts) for given in options)


def _option(flag: str, given: str, texts: set[str]) -> tuple[str, Any]:
    """NAME=VALUE; for an option that is text, a number is one, too, such as a commit's."""
    name, equals, text = given.partition("=")
    if not equals or not name:
        raise ParameterError(f"{flag}: {given!r}; expected NAME=VALUE")
    try:
        value = json.loads(text)
    except ValueError:
        return name, text
    return name, value if name not in texts or isinstance(value, str | None) else text
