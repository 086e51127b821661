"""Our approximate index with a kernel replaced, to see what the kernel is worth.

The product has no switches for this. An engine here replaces a kernel by name before anything is
compiled; its process keeps its machine code in a folder of its own, and a name that is no longer
there is an error.
"""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

from numba import types
from numba.extending import intrinsic

from lexidex.index.jit import lean_kernel
from lexidex.index.seismic import estimates, search, traversal, workspace

from .engines import LexidexSeismic


class WithoutPrefetch(LexidexSeismic):
    """Memory is asked for when it is read, and not before."""

    def open(self, folder: Path) -> None:
        for module in (estimates, search, traversal):
            _replace(module, "prefetch", _ask_for_nothing)
        super().open(folder)


class ListByList(LexidexSeismic):
    """Blocks are visited one list after the other, as in Seismic, and not the best first."""

    def open(self, folder: Path) -> None:
        _replace(search, "order_blocks", _keep_order)
        super().open(folder)


class WithoutHeads(LexidexSeismic):
    """Every document that is found is scored; no head tells that it need not be."""

    def open(self, folder: Path) -> None:
        _replace(search, "_TAIL", 1e9)
        super().open(folder)


class WholeQueries(LexidexSeismic):
    """All components of a query are compared with summaries, not the heaviest alone."""

    def open(self, folder: Path) -> None:
        _replace(workspace, "COMPARED", 1 << 12)
        super().open(folder)


def _replace(module: ModuleType, name: str, replacement: Any) -> None:
    getattr(module, name)  # raises where the kernel has another name by now
    setattr(module, name, replacement)


@intrinsic  # as `prefetch` is: a call of anything else would cost time
def _ask_for_nothing(_context: Any, array: Any, index: Any) -> Any:
    """In the place of `prefetch`."""

    def generate(context: Any, _builder: Any, _signature: Any, _arguments: Any) -> Any:
        return context.get_dummy_value()

    return types.void(array, index), generate


@lean_kernel
def _keep_order(n_blocks: Any, work: Any) -> None:
    """In the place of `order_blocks`: lists by the query's values, a list's blocks as stored."""
    for i in range(n_blocks):
        work.sorted_estimates[i] = work.estimates[i]
        work.sorted_blocks[i] = work.blocks[i]
