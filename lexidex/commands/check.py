"""`lexidex check`: is every byte of a collection as it was written?"""

from __future__ import annotations

from dataclasses import asdict

import typer

from .output import AsJson, err, out, print_json
from .search import Directory

CORRUPT = 5


def check(directory: Directory, as_json: AsJson = False) -> None:
    """Verify a collection against its checksums; exit status 5 when something is damaged."""
    from lexidex.index.storage.files import FileStorage
    from lexidex.index.storage.integrity import check as verify

    report = verify(FileStorage(directory))
    if as_json:
        print_json(asdict(report))
    else:
        verdict = f"{len(report.problems)} problems" if report.problems else "all intact"
        out.print(
            f"generation {report.generation}: {report.n_files} files, {report.n_bytes:,} bytes, "
            f"{verdict}",
            highlight=False,
        )
        for problem in report.problems:
            err.print(problem, markup=False, highlight=False)
    if report.problems:
        raise typer.Exit(CORRUPT)
