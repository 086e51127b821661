"""How a process that only reads knows, before each answer, whether another has written."""

from __future__ import annotations

from typing import Protocol

from .catalog import Catalog


class Count(Protocol):
    """A number that the process that writes raises with every write, in memory that all share."""

    value: int


class Following:
    """Shows every write that was acknowledged before a read. Safe to use from many threads.

    To ask costs nothing as long as nothing is written; to catch up is work for a thread.
    """

    def __init__(self, catalog: Catalog, written: Count) -> None:
        """Follow, in `catalog`, the writes that `written` counts."""
        self._catalog = catalog
        self._written = written
        self._seen: dict[str | None, int] = {}

    def is_behind(self, name: str | None) -> bool:
        """Whether there may be writes that a collection does not show; None for any of all."""
        return self._seen.get(name) != self._written.value

    def catch_up(self, name: str | None) -> None:
        """Show what was written up to now."""
        written = self._written.value
        if name is None:
            self._catalog.refresh_all()
        else:
            self._catalog.refresh(name)
        if name is None or name in self._catalog.names:
            self._seen[name] = written
        else:
            self._seen.pop(name, None)
