"""Sizes of memory as people write them: "2GB", "512MB", "1.5GiB", or a number of bytes."""

from __future__ import annotations

import re

from lexidex.errors import ParameterError

_UNITS = {"": 1, "B": 1}
for _power, _letter in enumerate("KMGT", start=1):
    _UNITS |= {f"{_letter}B": 1000**_power, f"{_letter}IB": 1024**_power}

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]*)", re.IGNORECASE | re.ASCII)


def as_bytes(size: str | int, *, name: str = "memory") -> int:
    """The number of bytes, at least 1, that a size stands for.

    Args:
        size: an integer, or a number and a unit: B, KB, MB, GB, TB (powers of 1000), KiB, MiB, GiB,
            TiB (of 1024), in capitals or not; none stands for bytes.
        name: of the parameter, for the message.

    Raises:
        ParameterError: it is no size.
    """
    n_bytes = 0
    if isinstance(size, str) and (found := _SIZE.fullmatch(size.strip())):
        number, unit = found.groups()
        n_bytes = int(float(number) * _UNITS.get(unit.upper(), 0))
    elif isinstance(size, int) and not isinstance(size, bool):
        n_bytes = size
    if n_bytes < 1:
        raise ParameterError(
            f"{name}: {size!r}; expected a size such as 2GB, 512MB or 1.5GiB, or a number of bytes"
        )
    return n_bytes


def in_words(n_bytes: int) -> str:
    """A number of bytes in MiB, rounded up: what `as_bytes` takes."""
    return f"{-(-n_bytes // 2**20)}MiB"
