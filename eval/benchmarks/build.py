"""Building: the indexes of a workload, and the seconds, memory and bytes on disk that they take."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import lexidex.index

from .engines import Variant
from .harness import BenchmarkError, EngineProcess, Say
from .record import Line, Record
from .tables import Table, megabytes, number
from .workload import Workload

KIND = "build"
ABOUT = """Each index is built once, in a process of its own, from vectors in memory to files on
disk. CPU seconds are of all threads together; memory is resident, at its highest and with the input
alone."""


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


class Indexes:
    """The indexes of a workload on disk: built when first asked for; a context that removes them.

    Kept ones are found again by the next run with the same code, options and threads.
    """

    def __init__(
        self,
        workload: Workload,
        n_threads: int,
        record: Record | None,
        say: Say,
        *,
        keep: bool = False,
    ) -> None:
        """Indexes under the workload's folder, built by n_threads threads; builds are recorded."""
        self._workload = workload
        self._n_threads = n_threads
        self._record = record
        self._say = say
        self._keep = keep
        root = workload.folder / "indexes"
        root.mkdir(exist_ok=True)
        self._root = root if keep else Path(tempfile.mkdtemp(dir=root))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not self._keep:
            shutil.rmtree(self._root, ignore_errors=True)

    def folder(self, variant: Variant) -> Path:
        """Where the variant is, or would be: the index in `index`, logs beside it."""
        return self._root / f"{variant.slug}-{_digest(variant, self._n_threads)}"

    def build(self, variant: Variant) -> BuildFigures:
        """Build the variant unless it is there; what that took.

        Raises:
            BenchmarkError: the engine failed.
        """
        folder = self.folder(variant)
        complete = folder / "built.json"
        if complete.exists():
            figures = BuildFigures(**json.loads(complete.read_text(encoding="utf-8")))
        else:
            self._say(f"building {variant.name}")
            shutil.rmtree(folder, ignore_errors=True)
            figures = build_index(self._workload, variant, folder, self._n_threads)
            complete.write_text(json.dumps(asdict(figures)), encoding="utf-8")
        if self._record:
            self._record.add(KIND, variant=variant.name, options=variant.options, figures=figures)
        return figures

    def remove(self, variant: Variant) -> None:
        """Make room on the disk, unless indexes are kept."""
        if not self._keep:
            shutil.rmtree(self.folder(variant), ignore_errors=True)


def build_index(workload: Workload, variant: Variant, folder: Path, n_threads: int) -> BuildFigures:
    """Build one variant into `folder`/index, in a fresh process.

    Raises:
        BenchmarkError: the engine failed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with EngineProcess(variant, folder / "build.log", n_threads) as process:
        return BuildFigures(**process.build(workload, folder / "index", n_threads))


def run_build(indexes: Indexes, variants: Sequence[Variant], say: Say) -> None:
    """Build every variant, one after the other; a failing one is told of and left out."""
    for variant in variants:
        try:
            indexes.build(variant)
        except BenchmarkError as error:
            say(str(error))
        indexes.remove(variant)


def tables(lines: Sequence[Line]) -> list[Table]:
    """One table, a row for each index."""
    columns = ("index", "CPU s", "wall s", "MB on disk", "peak MB", "MB of it before")
    rows = []
    for line in lines:
        figures = line["figures"]
        seconds = [number(figures["cpu_s"], 1), number(figures["wall_s"], 1)]
        sizes = [megabytes(figures[name]) for name in ("bytes", "rss_peak", "rss_before")]
        rows.append([line["variant"], *seconds, *sizes])
    return [Table("", columns, rows)]


def _digest(variant: Variant, n_threads: int) -> str:
    """Changes with the options, the threads, and the code or version of the library."""
    made_by = [variant.version or ""]
    if variant.package == "lexidex":
        (folder,) = lexidex.index.__path__
        made_by = [path.read_text(encoding="utf-8") for path in sorted(Path(folder).rglob("*.py"))]
    described = json.dumps([variant.options, n_threads, made_by], sort_keys=True)
    return hashlib.sha256(described.encode()).hexdigest()[:8]
