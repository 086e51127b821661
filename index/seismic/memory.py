"""What a build takes beside the arrays that it makes: the least budget that it can keep to."""

from __future__ import annotations

from lexidex.errors import ParameterError

from ..memory_size import as_bytes, in_words
from .vocabulary import TABLE_LIMIT

FIXED = 32 << 20
"""Bytes for the documents that are being encoded, 2**20 entries or one document."""

A_THREAD = 24 << 20
"""Bytes a thread for the summaries of a share of lists."""

A_COMPONENT = 96
"""Bytes a component, and as many a thread, for counts of its postings and places in tables."""

A_TABLE_ENTRY = 8
"""Bytes a component below the highest, where components are looked up in a table."""


def least_budget(n_components: int, highest: int, n_threads: int) -> int:
    """Bytes that a build over so many components, the highest of them given, takes at least."""
    tables = A_COMPONENT * n_components * (1 + n_threads)
    return FIXED + A_THREAD * n_threads + tables + A_TABLE_ENTRY * min(highest, TABLE_LIMIT)


def check_least(memory: str | int, n_components: int, highest: int, n_threads: int) -> None:
    """Raise ParameterError where a budget, as `as_bytes` takes it, is below `least_budget`."""
    least = least_budget(n_components, highest, n_threads)
    if as_bytes(memory) >= least:
        return
    given = f"{int(memory):,} bytes" if str(memory).strip().isdecimal() else memory
    if not n_components:
        raise ParameterError(
            f"memory: {given}; a build takes at least {in_words(least)}: allow that, or more"
        )
    raise ParameterError(
        f"memory: {given}; with {n_components:,} components and {n_threads} threads a build takes "
        f"at least {in_words(least)}: allow that, or use fewer threads"
    )
