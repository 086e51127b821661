"""Encoders and dense sides that clients name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lexidex.dense_side import DenseSide
from lexidex.encoders import Encoder, load_encoder
from lexidex.errors import ParameterError


def load_served_encoder(name: str, options: Mapping[str, Any]) -> Encoder:
    """The encoder that a client names; ParameterError where it asks for code to be run."""
    _refuse_code(options)
    return load_encoder(name, **options)


def load_served_dense_side(
    dense: str | Mapping[str, Any] | None, encoder: Encoder
) -> DenseSide | None:
    """The dense side that a client asks for; ParameterError as `load_served_encoder`."""
    asked: Mapping[str, Any] = {"model": dense} if isinstance(dense, str) else dense or {}
    options = asked.get("options") or {}
    _refuse_code(options)
    return DenseSide.named(
        asked.get("model"),
        encoder,
        factory=asked.get("index"),
        metric=asked.get("metric"),
        options=options,
    )


def _refuse_code(options: Mapping[str, Any]) -> None:
    if "trust_remote_code" in options:
        raise ParameterError(
            "trust_remote_code: code is not taken over HTTP; make the collection with "
            "'lexidex index --encoder', or in Python"
        )
