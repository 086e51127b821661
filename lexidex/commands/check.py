"""`lexidex check`: is every byte of a collection as it was written?"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from .output import AsJson, err, out, print_json
from .search import Directory

if TYPE_CHECKING:
    from lexidex.index.storage.repair import Repair

CORRUPT = 5


def check(
    directory: Directory,
    repair: Annotated[
        bool, typer.Option("--repair", help="Drop what is damaged, and tell what is lost.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Verify a collection against its checksums; exit status 5 when something is damaged.

    With --repair, what is damaged is dropped, so that the rest can be used: nothing is asked, and
    what is sound is not touched. The exit status then is that of the repaired collection.
    """
    from lexidex.index.storage.files import FileStorage
    from lexidex.index.storage.integrity import check as verify
    from lexidex.index.storage.repair import repair as mend

    storage = FileStorage(directory)
    done = mend(storage) if repair else None
    report = verify(storage)
    if as_json:
        print_json({**asdict(report), **({"repair": asdict(done)} if done else {})})
    else:
        if done:
            _tell(done)
        verdict = f"{len(report.problems)} problems" if report.problems else "all intact"
        out.print(
            f"generation {report.generation}: {report.n_files} files, {report.n_bytes:,} bytes, "
            f"{verdict}",
            highlight=False,
        )
        for line in report.problems + report.notes:
            err.print(line, markup=False, highlight=False)
    if report.problems:
        raise typer.Exit(CORRUPT)


def _tell(done: Repair) -> None:
    for line in done.actions or ["nothing to repair"]:
        err.print(line, markup=False, highlight=False)
    if done.n_unnamed:
        err.print(f"lost: {done.n_unnamed:,} documents whose ids cannot be read", highlight=False)
    for doc_id in done.lost_ids:
        err.print(f"lost: {doc_id}", markup=False, highlight=False)
