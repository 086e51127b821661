"""Which encoders clients may name: any whose code is ours.

A server that was started with --trust-remote-code runs the code of the models of its collections.
Clients may then name no models: whoever can send a request could have code of their own run.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lexidex.dense_side import JOINT, VECTORS, DenseSide
from lexidex.encoders import Encoder, load_encoder
from lexidex.encoders.shipped import SHIPPED
from lexidex.errors import ParameterError

_OURS = ("bm25", VECTORS, *SHIPPED)
_OPTIONS = ("path", "revision", "query_path", "query_revision")
"""Options that name a model."""


def load_named(name: str, options: Mapping[str, Any], *, trusting: bool) -> Encoder:
    """The encoder that a client names.

    Args:
        trusting: whether the server runs code of models' repositories.

    Raises:
        ParameterError: the client asks for code to be run, or names a model where it may not.
    """
    _refuse_code(options)
    models = [*([] if name in _OURS else [name]), *_models(options)]
    if trusting and models:
        raise _refused("encoder", models[0])
    return load_encoder(name, **options)


def named_dense_side(
    asked: Mapping[str, Any], encoder: Encoder, *, trusting: bool
) -> DenseSide | None:
    """The dense side that a client asks for: "model", "options", "metric" and "index", or nothing.

    Raises:
        ParameterError: as `load_named`.
    """
    name, options = asked.get("model"), asked.get("options") or {}
    _refuse_code(options)
    models = [*([] if name in (None, JOINT, VECTORS, *SHIPPED) else [name]), *_models(options)]
    if trusting and models:
        raise _refused("dense", models[0])
    return DenseSide.named(
        name, encoder, factory=asked.get("index"), metric=asked.get("metric"), options=options
    )


def _models(options: Mapping[str, Any]) -> list[str]:
    return [f"{option}={options[option]}" for option in _OPTIONS if option in options]


def _refuse_code(options: Mapping[str, Any]) -> None:
    if "trust_remote_code" in options:
        raise ParameterError(
            "trust_remote_code: code is not taken over HTTP; make the collection with "
            "'lexidex index --encoder', or in Python"
        )


def _refused(what: str, name: str) -> ParameterError:
    return ParameterError(
        f"{what}: {name!r}; this server runs code that models bring (--trust-remote-code), so "
        f"clients may name {', '.join(_OURS)} alone; make the collection with 'lexidex index'"
    )
