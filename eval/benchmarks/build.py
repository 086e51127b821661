"""Build benchmark: seconds, memory and bytes on disk of every variant."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .engines import Variant
from .harness import BenchmarkError, EngineProcess, Record, Say
from .workload import Workload


@dataclass(frozen=True)
class BuildFigures:
    """What building one index took.

    Attributes:
        cpu_s, wall_s: seconds of CPU time over all threads, and of wall time, saving included.
        bytes: on disk.
        rss_before, rss_peak: resident bytes of the building process, with its input and at most.
    """

    cpu_s: float
    wall_s: float
    bytes: int
    rss_before: int
    rss_peak: int


def build_index(
    workload: Workload, variant: Variant, folder: Path, n_threads: int, record: Record
) -> BuildFigures:
    """Build one variant into `folder`, in a fresh process.

    Raises:
        BenchmarkError: the engine failed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with EngineProcess(variant, folder / "build.log", n_threads) as process:
        figures = BuildFigures(**process.build(workload, folder / "index", n_threads))
    record.add("build", variant=variant.name, options=variant.options, figures=figures)
    return figures


def run_build(
    workload: Workload, variants: Sequence[Variant], n_threads: int, record: Record, say: Say
) -> dict[str, BuildFigures]:
    """Build every variant once, one after the other; a failing one is told of and left out."""
    figures = {}
    with tempfile.TemporaryDirectory(dir=workload.folder) as scratch:
        for variant in variants:
            say(f"building {variant.name}")
            folder = Path(scratch) / variant.slug
            try:
                figures[variant.name] = build_index(workload, variant, folder, n_threads, record)
            except BenchmarkError as error:
                say(str(error))
            shutil.rmtree(folder, ignore_errors=True)
    return figures
