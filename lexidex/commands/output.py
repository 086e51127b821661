"""What all commands share: data on stdout, progress and messages on stderr, options in common."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from lexidex.errors import LexidexError

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress on stderr.")]

# No emoji: an id or a text with ":key:" in it is shown as it is.
out = Console(soft_wrap=True, emoji=False)
"""Data for people; `print_json` is for programs."""

err = Console(stderr=True, soft_wrap=True, emoji=False)


def print_json(value: Any) -> None:
    """One JSON value on stdout, on one line."""
    sys.stdout.write(json_line(value, sys.stdout.encoding or "utf-8"))


def json_line(value: Any, encoding: str = "utf-8") -> str:
    """One JSON value and a line end; other characters than ASCII as they are if `encoding` can."""
    line = json.dumps(value, ensure_ascii=False)
    try:
        line.encode(encoding)
    except UnicodeEncodeError:
        line = json.dumps(value)
    return line + "\n"


def write_file(path: Path, text: str) -> None:
    """Write a file that the user named; LexidexError when that cannot be done."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise LexidexError(f"{path}: cannot be written: {error.strerror}") from None


class Counter:
    """Sets the count of a progress line, and shows a line below it for each stage of a step."""

    def __init__(self, bar: Progress, task: TaskID) -> None:
        """Set the count of this task."""
        self._bar = bar
        self._task = task
        self._stages: dict[str, TaskID] = {}

    def __call__(self, count: int) -> None:
        elapsed = self._bar.tasks[self._task].elapsed
        rate = f"{count / elapsed:,.0f}/s" if elapsed else ""
        self._bar.update(self._task, completed=count, rate=rate)

    def stage(self, name: str, done: int, total: int) -> None:
        """Show how far a stage is; its line goes when it is complete."""
        if name not in self._stages:
            self._stages[name] = self._bar.add_task(f"  {name}", rate="")
        visible = done < total
        self._bar.update(self._stages[name], completed=done, total=total, visible=visible)


@contextmanager
def progress(what: str, *, total: int | None = None, quiet: bool = False) -> Iterator[Counter]:
    """A progress line on stderr, where that is a terminal; gives what sets its count."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=err, disable=quiet or not err.is_terminal) as bar:
        yield Counter(bar, bar.add_task(what, total=total, rate=""))
