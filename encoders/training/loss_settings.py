"""Settings of objectives and regularisers: their ranges, and which of them look at which."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from lexidex.errors import ParameterError

_KL = ("kl", "kl-margin-mse")
_USED_BY: Mapping[str, Sequence[str]] = {
    "temperature": ("info-nce", *_KL),
    "kl_weight": ("kl-margin-mse",),
    "margin_weight": ("kl-margin-mse",),
    "skip_false_negatives": ("info-nce",),
    "form": ("idf-flops",),
    "threshold": ("masked-flops",),
    "alpha": ("df-flops",),
    "beta": ("df-flops",),
    "per_position": ("flops", "idf-flops", "masked-flops"),
}
"""Settings that only some objectives and regularisers look at."""


def check_used(part: Any) -> None:
    """Refuse a setting that the objective or regulariser would never look at.

    Args:
        part: a dataclass with a name.

    Raises:
        ParameterError: names those that do look at it.
    """
    for setting in fields(part):
        value = getattr(part, setting.name)
        users = _USED_BY.get(setting.name, (part.name,))
        if part.name not in users and value != setting.default:
            raise ParameterError(
                f"{setting.name}: {value!r}; {part.name} does not look at it, "
                f"only {', '.join(users)}"
            )


def check_known(what: str, name: str | None, known: Sequence[str]) -> None:
    """Refuse a name that is not known."""
    if name not in known:
        raise ParameterError(f"{what}: {name!r}; known are {', '.join(known)}")


def check_range(
    what: str, value: float, low: float, below: float = math.inf, *, open_below: bool = False
) -> None:
    """The value is at least `low`, above it if that end is open, and below the other end."""
    if not low <= value < below or (open_below and value == low):
        wanted = f"above {low:g}" if open_below else f"at least {low:g}"
        upper = "" if math.isinf(below) else f" and below {below:g}"
        raise ParameterError(f"{what}: {value:g}; expected {wanted}{upper}")
