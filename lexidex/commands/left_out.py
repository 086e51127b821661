"""Records of the input that were left out: as JSON for a file, and the first of them on stderr."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeAlias

from .output import err

if TYPE_CHECKING:
    from lexidex.sources import BadRecord

PARTIAL = 4
"""Exit status when some records were left out."""

LeftOut: TypeAlias = "list[dict[str, Any]]"

_SHOWN = 10


def left_out(bad: Iterable[BadRecord], failed: Iterable[tuple[str, str]]) -> LeftOut:
    """What could not be read, by file and line, and what could not be taken, by id."""
    unread = [
        {"file": str(record.place.file), "line": record.place.line, "reason": record.reason}
        for record in bad
    ]
    return unread + [{"id": doc_id, "reason": reason} for doc_id, reason in failed]


def show_left_out(records: LeftOut, where_all: str = "--errors FILE lists them all") -> None:
    """A line for each of the first records; `where_all` tells where the others can be seen."""
    for record in records[:_SHOWN]:
        where = [f"{record['file']}:{record['line']}"] if "file" in record else []
        where += [record["id"]] if "id" in record else []
        told = ": ".join(["left out", *where, record["reason"]])
        err.print(told, markup=False, highlight=False)
    if len(records) > _SHOWN:
        err.print(f"... and {len(records) - _SHOWN:,} more; {where_all}")
