"""Opening benchmark of whole collections: what each first use costs, in time and in memory."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from lexidex.collection import Collection

from .harness import BenchmarkError, Say
from .memory import cached_share, drop_cache, fill_cache
from .record import Line, Record
from .tables import Table, megabytes, number
from .workload import Workload, rows

KIND = "open-collection"
ABOUT = """A fresh process, with `lexidex` imported, opens a collection of documents with vectors,
texts of some 300 characters and metadata, and uses it, one first time after the other. Wall time;
kernels are compiled before, and loading their machine code counts. What is touched is verified
first. Memory after each step: the process' own, above what it held before opening, and what is
mapped of files, which the system takes back when it needs it; it maps 64 KB around each byte that
is touched. Cold files are those that the system was asked to drop from its page cache."""

COLD, WARM = "cold", "warm"
_WORDS = 40
"""Words of a document's text."""


@dataclass(frozen=True)
class FirstUse:
    """One step of a process, medians over fresh ones.

    Attributes:
        cached: share of the files' bytes in the page cache before; None where that is not told.
        ms: wall time of the first time, and of the second.
        own: bytes of memory above those before opening.
        mapped: bytes of files that are mapped and in memory, of programs and libraries, too.
    """

    step: str
    cache: str
    cached: float | None
    ms: float
    again_ms: float
    own: float
    mapped: float


def run_collection_opening(
    workload: Workload, *, record: Record, say: Say, rounds: int = 3
) -> None:
    """Make a collection of the workload's documents, and use it in fresh processes.

    Raises:
        BenchmarkError: a process failed.
    """
    folder = built_collection(workload, say)
    files = [path for path in folder.rglob("*") if path.is_file() and path.stat().st_size]
    n_bytes = sum(path.stat().st_size for path in files)
    _used(workload, folder)  # compiles
    say("opening it in fresh processes")
    told: dict[str, list[tuple[float | None, list[dict[str, Any]]]]] = {COLD: [], WARM: []}
    for _ in range(rounds):
        for cache, rounds_of in told.items():
            for path in files:
                (drop_cache if cache == COLD else fill_cache)(path)
            rounds_of.append((_cached(files, n_bytes), _used(workload, folder)))
    for cache, rounds_of in told.items():
        shares = [share for share, _ in rounds_of if share is not None]
        for step in zip(*(steps for _, steps in rounds_of), strict=True):
            figures = FirstUse(
                step=step[0]["step"],
                cache=cache,
                cached=median(shares) if shares else None,
                ms=median(one["ms"] for one in step),
                again_ms=median(one["again_ms"] for one in step),
                own=median(one["own"] for one in step),
                mapped=median(one["mapped"] for one in step),
            )
            record.add(KIND, **vars(figures), bytes=n_bytes)


def built_collection(workload: Workload, say: Say) -> Path:
    """The workload's documents as a collection, kept beside it."""
    folder = workload.folder / "collection"
    if not folder.exists():
        say(f"indexing {workload.n_documents:,} documents")
        made = workload.folder / "collection.part"
        with Collection.create(made, "vectors", merge="off") as collection:
            collection.upsert(_documents(workload))
        made.rename(folder)
    return folder


def tables(lines: Sequence[Line]) -> list[Table]:
    """A row for each step, cold and warm side by side."""
    by_step: dict[str, dict[str, Line]] = {}
    for line in lines:
        by_step.setdefault(line["step"], {})[line["cache"]] = line
    columns = ("step", "cold ms", "warm ms", "again ms", "own MB", "mapped MB")
    body = [
        [
            step,
            *(number(of[cache]["ms"], 1) for cache in (COLD, WARM)),
            number(of[WARM]["again_ms"], 2),
            megabytes(of[WARM]["own"]),
            megabytes(of[WARM]["mapped"]),
        ]
        for step, of in by_step.items()
    ]
    note = f"The files have {megabytes(lines[0]['bytes'])} MB."
    cold = next(line["cached"] for line in lines if line["cache"] == COLD)
    if cold is not None:
        note += f" {cold:.0%} of them were in the page cache in the cold runs."
    return [Table("the first uses of a collection", columns, body, note)]


def _documents(workload: Workload) -> Iterator[dict[str, Any]]:
    for place, (components, values) in enumerate(rows(workload.documents())):
        words = " ".join(f"word{c}" for c in components[:_WORDS].tolist())
        yield {
            "id": f"d{place}",
            "text": words,
            "metadata": {"year": 1900 + place % 125, "tags": [f"t{place % 7}", f"u{place % 11}"]},
            "vector": {"components": components, "values": values},
        }


def _used(workload: Workload, folder: Path) -> list[dict[str, Any]]:
    worker = [sys.executable, "-m", f"{__package__}.collection_worker"]
    arguments = [str(folder), str(workload.folder / "test")]
    done = subprocess.run([*worker, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or ["without a word"]
        raise BenchmarkError(f"opening {folder}: the process ended; {last[0]}")
    steps: list[dict[str, Any]] = json.loads(done.stdout)
    return steps


def _cached(files: Sequence[Path], n_bytes: int) -> float | None:
    shares = [(path.stat().st_size, cached_share(path)) for path in files]
    if any(share is None for _, share in shares):
        return None
    return sum(size * (share or 0) for size, share in shares) / n_bytes
