"""Encoders in messages: what one is called, and what tells two apart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_WITHOUT_EFFECT = {"path", "batch_tokens", "backend"}
"""Options that change no vector, or stand as the name."""


def named(encoder: Mapping[str, Any]) -> str:
    """An encoder, as a manifest describes it: its model or kind."""
    return str(encoder.get("options", {}).get("path") or encoder.get("kind"))


def told_apart(one: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    """Two encoders, as manifests describe them: "lexidex-mini with max_length 64, not 256".

    Names nothing that they have in common; fingerprints where nothing else differs.
    """
    names = named(one), named(other)
    if names[0] != names[1]:
        return f"{names[0]}, not {names[1]}"
    mine, its = (described.get("options", {}) for described in (one, other))
    differences = [
        f"{name} {_shown(mine.get(name))}, not {_shown(its.get(name))}"
        for name in {**mine, **its}
        if name not in _WITHOUT_EFFECT and mine.get(name) != its.get(name)
    ]
    if not differences:
        prints = one.get("fingerprint"), other.get("fingerprint")
        differences = [f"fingerprint {prints[0]}, not {prints[1]}"]
    return f"{names[0]} with {', and '.join(differences)}"


def _shown(value: object) -> str:
    return "its default" if value is None else str(value)
