"""A storage that dies: at its k-th operation, or with the disk full."""

from contextlib import contextmanager

from lexidex.errors import StorageFull
from lexidex.index.storage.files import MemoryStorage


class Crash(BaseException):
    """The process is gone; nothing may catch this and go on."""


class FaultyStorage(MemoryStorage):
    """Counts changing operations and fails at the chosen one, and at every later one.

    A write that fails has left some of its bytes: half of what was written so far.
    """

    def __init__(self, files=None, fail_at=None, error=Crash):
        super().__init__()
        self.files = dict(files or {})
        self.operations = 0
        self.fail_at = fail_at
        self.error = error

    def _count(self):
        if self.fail_at is not None and self.operations >= self.fail_at:
            raise self.error("operation", self.operations)
        self.operations += 1

    @contextmanager
    def create(self, name):
        self._count()
        try:
            with super().create(name) as file:
                yield file
                self._count()
        except Crash:
            self.files[name] = file.getvalue()[: len(file.getvalue()) // 2]
            raise

    def rename(self, old, new):
        self._count()
        super().rename(old, new)

    def remove(self, name):
        self._count()
        super().remove(name)

    def sync_folder(self, folder=""):
        self._count()
        super().sync_folder(folder)


def full_disk(files, fail_at):
    """A storage on which the k-th operation, and every later one, finds no space left."""

    class Full(StorageFull):
        def __init__(self, *args):
            super().__init__("no space left on the device")

    return FaultyStorage(files, fail_at, Full)
