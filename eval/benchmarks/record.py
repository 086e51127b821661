"""The record of a benchmark: JSON lines, each of which says where its figures come from."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias

import numba
import numpy

from lexidex import __version__

from .engines import Variant
from .workload import Workload

Line: TypeAlias = dict[str, Any]
"""A line as read back: `kind`, figures, and `facts`."""


@dataclass
class Record:
    """Result lines, each written when it is added: what was measured before an error is kept.

    Attributes:
        facts: what every line carries.
        path: the file that lines are appended to, if any.
    """

    facts: dict[str, Any]
    path: Path | None = None
    lines: list[str] = field(default_factory=list)

    def add(self, kind: str, **figures: Any) -> None:
        """Add one line; dataclasses among the figures become objects."""
        line = json.dumps({"kind": kind, **figures, "facts": self.facts}, default=asdict) + "\n"
        self.lines.append(line)
        if self.path:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(line)

    def read(self) -> list[Line]:
        """The lines as they would be read back."""
        return [json.loads(line) for line in self.lines]


def read_lines(paths: Iterable[Path]) -> Iterator[Line]:
    """The lines of the files that records were written to."""
    for path in paths:
        with path.open(encoding="utf-8") as file:
            yield from (json.loads(line) for line in file)


def facts(
    workload: Workload, variants: Iterable[Variant], n_threads: int, command: str = ""
) -> dict[str, Any]:
    """Command, date, machine, versions, commit when known, collection, seed and threads."""
    return {
        "command": command,
        "collection": workload.collection,
        "documents": workload.n_documents,
        "queries": workload.n_queries,
        "seed": workload.seed,
        "threads": n_threads,
        **machine({variant.package: variant.version for variant in variants}),
    }


def machine(versions: Mapping[str, str | None]) -> dict[str, Any]:
    """Date, machine, commit when known, and versions: those given, and our own."""
    own = {"numpy": numpy.__version__, "numba": numba.__version__, "lexidex": __version__}
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M"),
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": {**own, **versions},
        "commit": _commit(Path(__file__).resolve().parents[2]),
    }


def _cpu() -> str:
    """The processor's name, where the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _commit(folder: Path) -> str | None:
    """The commit of the checkout that this package lies in, `-dirty` where files differ from it."""
    if not (folder / ".git").exists():
        return None
    git = ["git", "-C", str(folder), "describe", "--always", "--abbrev=40", "--exclude=*"]
    try:
        told = subprocess.run([*git, "--dirty"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return told.stdout.strip()
