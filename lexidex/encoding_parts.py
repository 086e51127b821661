"""The folder beside an output in which its parts collect until they are joined.

OUT.parquet.parts/
    run.json              whose parts these are: texts, encoder, side
    part-0000000.parquet  encoded texts, always the same ones in a part of that number
    lock                  held by the run that is at work
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from filelock import FileLock, Timeout

from .encoder_names import told_apart
from .errors import CorruptFile, EncoderMismatch, InputError, LexidexError, Locked
from .exchange import Described, read_description, row_groups, write_rows


class Parts:
    """Parts of one output. Made by `held`."""

    def __init__(self, target: Path, described: Described) -> None:
        """The parts of `target`, of which `described` says what it is to hold."""
        self._target = target
        self._described = described
        self.folder = parts_folder(target)

    def path(self, number: int) -> Path:
        """The file of a part, numbered from 0."""
        return self.folder / f"part-{number:07d}.parquet"

    def known(self, number: int, n_texts: int) -> Described | None:
        """What a part holds that is there already; None for one that is missing or useless."""
        path = self.path(number)
        if not path.exists():
            return None
        try:
            found = read_description(path)
        except CorruptFile:
            found = None
        if found is None or found[1] != n_texts or found[0].origin != self._described.origin:
            path.unlink()
            return None
        return found[0]

    def join(self, n_parts: int, described: Described) -> None:
        """Make the output of all parts, and remove them."""
        write_rows(self._target, row_groups(map(self.path, range(n_parts))), described)
        shutil.rmtree(self.folder)

    def begin(self) -> None:
        """Note whose parts these are to be, or make sure that they are.

        Raises:
            EncoderMismatch, InputError: they are of another encoder, or of other texts.
        """
        file = self.folder / "run.json"
        wanted = asdict(self._described)
        try:
            found = json.loads(file.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            if any(self.folder.glob("part-*.parquet")):
                raise CorruptFile(
                    f"{file}: missing or unreadable, so nothing tells whose parts these are; "
                    f"remove {self.folder}"
                ) from None
            temporary = file.with_suffix(".tmp")
            temporary.write_text(json.dumps(wanted), encoding="utf-8")
            os.replace(temporary, file)
            return
        way_out = f"run it as before to go on, or remove {self.folder} to begin anew"
        if found["encoder"]["fingerprint"] != wanted["encoder"]["fingerprint"]:
            raise EncoderMismatch(
                f"{self.folder}: was begun with encoder "
                f"{told_apart(found['encoder'], wanted['encoder'])}; {way_out}"
            )
        for what in ("side", "passages"):
            if found[what] != wanted[what]:
                raise InputError(
                    f"{self.folder}: was begun with {what} {found[what]!r}, not {wanted[what]!r}; "
                    f"{way_out}"
                )
        if found["source"] != wanted["source"]:
            raise InputError(
                f"{self.folder}: was begun with other sources, or they have changed; {way_out}"
            )


@contextmanager
def held(target: Path, described: Described) -> Iterator[Parts]:
    """The parts of an output, for this run alone.

    Raises:
        Locked: another run is at work.
        EncoderMismatch, InputError: see `Parts.begin`.
        LexidexError: the folder cannot be made.
    """
    parts = Parts(target, described)
    try:
        parts.folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LexidexError(f"{parts.folder}: cannot be made: {error.strerror}") from None
    lock = FileLock(parts.folder / "lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise Locked(f"{parts.folder}: another process is encoding into it; wait for it") from None
    try:
        parts.begin()
        yield parts
    finally:
        lock.release()


def already_made(target: Path, described: Described) -> tuple[Described, int] | None:
    """What an output holds that an earlier run has completed, and its rows; None without one.

    Raises:
        InputError: something else is there.
    """
    if not target.exists():
        return None
    try:
        found = read_description(target)
    except CorruptFile:
        found = None
    if found is None or found[0].origin != described.origin:
        raise InputError(
            f"{target}: exists, and holds something else than these texts by this encoder; remove "
            "it, or name another file"
        )
    shutil.rmtree(parts_folder(target), ignore_errors=True)  # killed before it got to that
    return found


def parts_folder(target: Path) -> Path:
    """Where the parts of an output collect."""
    return target.with_name(f"{target.name}.parts")
