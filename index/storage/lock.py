"""One writer at a time: a lock that the system releases when its holder dies, and who holds it."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from lexidex.errors import LexidexError, Locked

from . import layout


@contextmanager
def file_lock(root: Path, name: str) -> Iterator[None]:
    """Hold a lock of the collection at `root`; Locked names who holds it instead."""
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LexidexError(f"{root}: cannot hold a collection: {error.strerror}") from None
    lock = FileLock(root / name, timeout=0, thread_local=False)
    holder = root / layout.holder_of(name)
    try:
        lock.acquire()
    except Timeout:
        raise Locked(f"{root}: {_held_by(holder)}; wait for it, then try again") from None
    try:
        described = {
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "since": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        with suppress(OSError):  # on a full disk the lock holds all the same
            holder.write_text(json.dumps(described), encoding="utf-8")
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()


def _held_by(holder: Path) -> str:
    try:
        described = json.loads(holder.read_text(encoding="utf-8"))
        return (
            f"process {described['pid']} on {described['host']} has been writing "
            f"since {described['since']}"
        )
    except (OSError, ValueError, KeyError):
        return "another process is writing"
