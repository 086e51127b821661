"""A single metadata value: of which kind it is, and which number or moment it stands for."""

from __future__ import annotations

import re
import sys
from datetime import date
from typing import Literal, TypeAlias

Scalar: TypeAlias = bool | int | float | str

Kind: TypeAlias = Literal["boolean", "float", "integer", "string"]
"""Of a stored value. Booleans are no numbers; integers and floats compare with each other."""

KINDS: tuple[Kind, ...] = ("boolean", "float", "integer", "string")

_INTEGERS = range(-(2**63), 2**63)
_MICROSECONDS = 1_000_000
_EPOCH = date(1970, 1, 1).toordinal()
_MOMENT = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)"
    r"(?:[Tt ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d+))?)?(?:([Zz])|([+-])(\d\d):?(\d\d))?)?",
    re.ASCII,
)


def as_number(value: int | float) -> int | float:
    """The number that columns hold: an int within 64 bits, or a float; never -0.0.

    Whole numbers beyond 64 bits become the nearest finite float.
    """
    if isinstance(value, float):
        return float(value) + 0.0
    if value in _INTEGERS:
        return int(value)
    try:
        return float(value)
    except OverflowError:
        return sys.float_info.max if value > 0 else -sys.float_info.max


def as_moment(text: str) -> int | None:
    """Microseconds since 1970 in UTC, if the text is a date or a date-time, else None.

    The forms are those of ISO 8601 with dashes and colons: `2024-05-01`, or with a time after a T
    or a space, `2024-05-01T09:30`, perhaps with seconds, a fraction and a zone (`Z`, `+02:00`).
    Without a time it is midnight, without a zone UTC. Digits after the sixth of a fraction are
    dropped.
    """
    if text[4:5] != "-":
        return None
    found = _MOMENT.fullmatch(text)
    if found is None:
        return None
    year, month, day, hours, minutes, seconds, fraction, _, sign, zone_hours, zone_minutes = (
        found.groups()
    )
    try:
        days = date(int(year), int(month), int(day)).toordinal() - _EPOCH
    except ValueError:
        return None
    hour, minute, second = int(hours or 0), int(minutes or 0), int(seconds or 0)
    ahead_hours, ahead_minutes = int(zone_hours or 0), int(zone_minutes or 0)
    if max(hour, ahead_hours) > 23 or max(minute, second, ahead_minutes) > 59:
        return None
    ahead = 60 * ahead_hours + ahead_minutes
    total = 24 * 60 * days + 60 * hour + minute - (-ahead if sign == "-" else ahead)
    micros = int((fraction or "0")[:6].ljust(6, "0"))
    return _MICROSECONDS * (60 * total + second) + micros
