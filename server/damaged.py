"""Which collections of the folder cannot be used, and why; they keep no other from being served."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import Generic, TypeVar

from lexidex.errors import CorruptCollection, LexidexError

_AGAIN_SECONDS = 10.0
"""After this time one is tried again, even if its newest manifest is the same: a file that was
damaged may have been put back."""

S = TypeVar("S")

_LOG = logging.getLogger("lexidex.server")


@dataclass(frozen=True)
class _Damage(Generic[S]):
    """What came of trying to use a collection, which stamp it had, and when to try again."""

    reason: Exception
    stamp: S
    due: float


class Damaged(Generic[S]):
    """Collections that cannot be used, by name. Stamps tell one from what takes its place."""

    def __init__(self) -> None:
        """Begin with none."""
        self._found: dict[str, _Damage[S]] = {}
        self._told: dict[str, str] = {}

    def __contains__(self, name: object) -> bool:
        return name in self._found

    @property
    def codes(self) -> dict[str, str]:
        """What is wrong with each: the error's code, by name."""
        return {name: _code(damage.reason) for name, damage in [*self._found.items()]}

    def note(self, name: str, stamp: S, reason: Exception) -> None:
        """This one cannot be used."""
        self._found[name] = _Damage(reason, stamp, time.monotonic() + _AGAIN_SECONDS)
        self.tell(name, "cannot be served", reason)

    def tell(self, name: str, what: str, reason: Exception) -> None:
        """One line in the log, unless it was the last; more where nobody expected that error."""
        line = f"collection {name!r} {what}: {_described(reason)}"
        if self._told.get(name) != line:
            self._told[name] = line
            expected = isinstance(reason, LexidexError)
            _LOG.error("%s", line, exc_info=None if expected else reason)

    def forget(self, name: str) -> None:
        """It is gone, or can be used again."""
        self._found.pop(name, None)
        self._told.pop(name, None)

    def is_due(self, name: str, stamp: S) -> bool:
        """Whether to try to use it; also if nothing is known to be wrong with it."""
        damage = self._found.get(name)
        return damage is None or damage.stamp != stamp or time.monotonic() >= damage.due

    def check(self, name: str) -> None:
        """Raise CorruptCollection if it cannot be used."""
        damage = self._found.get(name)
        if damage is not None:
            raise CorruptCollection(
                f"collection {name!r} cannot be served: {_described(damage.reason)}"
            ) from damage.reason


def _code(reason: Exception) -> str:
    return reason.code if isinstance(reason, LexidexError) else LexidexError.code


def _described(reason: Exception) -> str:
    told = str(reason) if isinstance(reason, LexidexError) else repr(reason)
    return told.replace("\n", " ")
