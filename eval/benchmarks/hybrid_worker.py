"""The process that searches a collection in one way: by a leg alone, or by both, fused."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from lexidex.collection import Collection
from lexidex.results import SearchResult

from .answering import answer
from .memory import resident
from .timing import one_by_one
from .workload import load_vectors, rows

PARTS = ("search_us", "fuse_us", "fetch_us")


class Worker:
    """A collection, opened, and the way that it is searched."""

    def __init__(self, folder: str, sparse: str, dense: str, mode: str) -> None:
        """Open it.

        Args:
            sparse: the stem of the sparse queries.
            dense: the file of the dense ones.
            mode: as `Collection.search` takes it.
        """
        self._sparse = [
            {"components": components, "values": values}
            for components, values in rows(load_vectors(Path(sparse)))
        ]
        self._dense = np.load(dense)
        self._mode = mode
        self._before = resident("RssAnon")
        self._collection = Collection.open(folder, merge="off")

    def search(
        self, k: int, offset: int = 0, exact: bool = False, limit: int | None = None
    ) -> dict[str, Any]:
        """One pass over the queries: ns of CPU time, ids found, and wall us of each part."""
        search = self._way(k, offset, exact)
        ns, results = one_by_one(search, range(len(self._sparse))[:limit])
        return {
            "ns": ns.tolist(),
            "ids": [[hit.doc_id for hit in result] for result in results],
            "parts": {
                name: float(np.median([getattr(result.timings, name) for result in results]))
                for name in PARTS
            },
            "plan": sorted({name for result in results for name in result.plan}),
        }

    def memory(self) -> dict[str, int]:
        """Bytes of this process above those before opening, and of mapped files in memory."""
        return {"own": resident("RssAnon") - self._before, "mapped": resident("RssFile")}

    def _way(self, k: int, offset: int, exact: bool) -> Callable[[int], SearchResult]:
        """A search for the query of that number, with nothing fetched but ids."""
        options: dict[str, Any] = {
            "k": k,
            "offset": offset,
            "mode": self._mode,
            "exact": exact,
            "fields": (),
        }
        given: dict[str, Any] = {}
        if self._mode != "dense":
            given["sparse"] = self._sparse
        if self._mode != "sparse":
            given["dense"] = self._dense

        def search(number: int) -> SearchResult:
            query = {name: queries[number] for name, queries in given.items()}
            return self._collection.search(**options, **query)

        return search


if __name__ == "__main__":
    answer(lambda: Worker(*sys.argv[1:]))
