"""How benchmarks measure: engines in processes of their own, and accuracy.

Times are CPU time of the engine's process, so that other work on the machine counts little. What
is compared runs in turns, round after round, and medians over the rounds are reported.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import numpy as np
from numpy.typing import NDArray

from lexidex.errors import LexidexError

from .engines import Point, Variant
from .workload import Workload

Say = Callable[[str], None]
"""Tells a person what is going on."""

ALLOCATOR = ":".join(
    (
        "glibc.malloc.hugetlb=1",
        "glibc.malloc.mmap_threshold=33554432",
        "glibc.malloc.trim_threshold=1073741824",
    )
)
"""Gives Rust's large arrays the huge pages that NumPy's get by themselves. The thresholds keep
freed memory in the process: without them a peer that allocates for each query gives its huge page
back and clears it anew each time, which costs it 50 microseconds."""


class BenchmarkError(LexidexError):
    """An engine failed; says which, and what it said."""

    code = "benchmark_error"


@dataclass(frozen=True)
class Answers:
    """One pass over a query set: each query's time in ns, and the ordinals that it found."""

    ns: NDArray[np.int64]
    ordinals: list[list[int]]


class WorkerProcess:
    """A process that answers requests, a line of JSON each way; a context that ends it."""

    def __init__(
        self, module: str, arguments: Sequence[str], log: Path, environment: Mapping[str, str]
    ) -> None:
        """Start the process.

        Args:
            module: what runs in it, by `answer`; beside this one.
            arguments: of the module.
            log: the file that gets what the process prints.
            environment: what differs from this process's own.
        """
        self._log = log
        with log.open("a", encoding="utf-8") as errors:
            self._process = subprocess.Popen(
                [self._interpreter(), "-m", f"{__package__}.{module}", *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env={**os.environ, **environment},
                text=True,
                encoding="utf-8",
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def name(self) -> str:
        """What errors call it."""
        return self._log.stem

    def close(self) -> None:
        """End the process."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe:
                pipe.close()
        self._process.wait()

    def ask(self, do: str, **arguments: Any) -> Any:
        """What the process replies; BenchmarkError where that is an error, or nothing."""
        requests, replies = self._process.stdin, self._process.stdout
        line = ""
        if requests and replies:
            line = _exchanged(requests, replies, json.dumps({"do": do, **arguments}))
        reply = json.loads(line) if line else {"error": f"the process ended; {self._last_words()}"}
        if "error" in reply:
            raise BenchmarkError(f"{self.name}: {do}: {reply['error']}")
        return reply

    def _interpreter(self) -> str:
        return sys.executable

    def _last_words(self) -> str:
        lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines()
        return lines[-1] if lines else "without a word"


class EngineProcess(WorkerProcess):
    """An engine in a process of its own.

    Rust's thread pool and glibc's allocator are set by the environment, which must stand before
    the process starts: see ALLOCATOR.
    """

    def __init__(self, variant: Variant, log: Path, n_threads: int = 1) -> None:
        """Start the process; what the library prints goes to the file `log`."""
        self.variant = variant
        environment = {
            "RAYON_NUM_THREADS": str(n_threads),
            "NUMBA_NUM_THREADS": str(n_threads),
            "OMP_NUM_THREADS": str(n_threads),
            "GLIBC_TUNABLES": ALLOCATOR,
        }
        if variant.own_kernels:
            environment["NUMBA_CACHE_DIR"] = str(log.parent / f"kernels-{variant.engine}")
        arguments = [variant.engine, json.dumps(variant.options)]
        super().__init__("worker", arguments, log, environment)

    @property
    def name(self) -> str:
        return self.variant.name

    def build(self, workload: Workload, folder: Path, n_threads: int) -> dict[str, Any]:
        """Build into `folder`: cpu_s, wall_s, bytes, rss_before, rss_peak."""
        documents = str(workload.folder / "documents")
        figures: dict[str, Any] = self.ask(
            "build",
            documents=documents,
            folder=str(folder),
            n_threads=n_threads,
            seed=workload.seed,
        )
        return figures

    def open(self, folder: Path) -> dict[str, float]:
        """Load the index: rss_before, rss."""
        figures: dict[str, float] = self.ask("open", folder=str(folder))
        return figures

    def search(
        self, workload: Workload, queries: str, k: int, point: Point, limit: int | None = None
    ) -> Answers:
        """One pass over a query set, or over the first `limit` of it."""
        stem = str(workload.folder / queries)
        reply = self.ask("search", queries=stem, k=k, point=point, limit=limit)
        return Answers(np.array(reply["ns"], dtype=np.int64), reply["ordinals"])

    def search_batch(
        self, workload: Workload, queries: str, k: int, point: Point, n_threads: int
    ) -> dict[str, float | None]:
        """The query set in one call: cpu_us and wall_us a query, None where there is no such."""
        stem = str(workload.folder / queries)
        figures: dict[str, float | None] = self.ask(
            "search_batch", queries=stem, k=k, point=point, n_threads=n_threads
        )
        return figures


def _exchanged(requests: IO[str], replies: IO[str], line: str) -> str:
    try:
        requests.write(line + "\n")
        requests.flush()
        return replies.readline()
    except BrokenPipeError:
        return ""


def accuracy(found: Iterable[Sequence[int]], exact: NDArray[np.int64], k: int) -> float:
    """Mean share of a query's exact top k that was found, in [0, 1].

    Args:
        exact: int64 (n_queries, at least k), best first, -1 where a query has fewer results.
    """
    shares = []
    for ordinals, row in zip(found, exact[:, :k], strict=True):
        true = row[row >= 0]
        if true.size:
            shares.append(np.isin(true, ordinals[:k]).mean())
    return float(np.mean(shares)) if shares else 1.0


def usable(variants: Iterable[Variant], say: Say) -> list[Variant]:
    """The variants whose library is installed; for each missing library, one line."""
    chosen, missing = [], set()
    for variant in variants:
        if variant.installed:
            chosen.append(variant)
        elif variant.package not in missing:
            missing.add(variant.package)
            say(f"{variant.package} is not installed: skipped (pip install {variant.package})")
    return chosen
