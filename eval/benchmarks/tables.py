"""Tables of figures, from the record's lines; shown on a terminal or written as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

MB = 1_000_000


@dataclass(frozen=True)
class Table:
    """Cells as text; the first column holds names, the others mostly numbers."""

    title: str
    columns: tuple[str, ...]
    rows: list[list[str]]
    note: str = ""

    def markdown(self) -> str:
        """The table in GitHub's Markdown, under its title."""
        head = [self.columns, ["---", *["---:"] * (len(self.columns) - 1)]]
        lines = ["| " + " | ".join(row) + " |" for row in [*head, *self.rows]]
        title = [f"**{self.title}**", ""] if self.title else []
        note = ["", self.note] if self.note else []
        return "\n".join([*title, *lines, *note])


LATENCY = ("mean", "p50", "p90", "p99")
"""Columns of `latency_cells`."""


def latency_cells(latency: dict[str, float]) -> list[str]:
    """A Latency, as read back, in microseconds."""
    return [number(latency[name]) for name in LATENCY]


POINT_NOTE = "Parameters: query_cut / heap_factor; ef_search for kannolo."


def number(value: float | None, digits: int = 0) -> str:
    """With commas and that many digits after the point; empty for None."""
    return "" if value is None else f"{value:,.{digits}f}"


def megabytes(n_bytes: float | None) -> str:
    """Bytes in MB, a million bytes each."""
    if n_bytes is None:
        return ""
    return number(n_bytes / MB, 0 if n_bytes >= 10 * MB else 1)


def point_cell(point: dict[str, float]) -> str:
    """Search parameters; tables say which by POINT_NOTE."""
    return " / ".join(f"{value:g}" for value in point.values())


def distinct(lines: Sequence[dict[str, Any]], name: str) -> list[Any]:
    """The values of a field, each once, in the order of the lines."""
    return list(dict.fromkeys(line[name] for line in lines))
