"""A storage that dies at its k-th operation, or is full then; and what a power loss leaves."""

from contextlib import contextmanager

from lexidex.errors import StorageFull
from lexidex.index.storage.files import MemoryStorage


class Crash(BaseException):
    """The process is gone; nothing may catch this and go on."""


class Inode:
    """A file's content: what is on the disk for sure, and what may have got there as well."""

    def __init__(self, synced):
        self.synced = synced
        self.data = synced
        self.cut = len(synced)
        self.overwritten = []

    def after_power_loss(self, rng):
        if self.data == self.synced or rng.random() < 0.25:
            return self.synced
        left = bytearray(self.data[: rng.integers(self.cut, len(self.data) + 1)])
        for at, end in self.overwritten:
            if rng.random() < 0.5:
                left[at:end] = self.synced[at:end]
        return bytes(left)


class FaultyStorage(MemoryStorage):
    """Counts changing operations and fails at the chosen one, and at every later one.

    A write that fails has left some of its bytes: half of what was written so far. `files` is what
    a process that was killed leaves; `after_power_loss` draws what remains when the power went:
    names whose folder was not synced since may be there or not, each on its own, of bytes that were
    appended and not synced any number from the first on, and of what was overwritten the old or the
    new. With `once`, later operations
    succeed again.
    """

    def __init__(self, files=None, fail_at=None, error=Crash, once=False):
        super().__init__()
        self.files = {name: bytes(data) for name, data in (files or {}).items()}
        self.operations = 0
        self.fail_at = fail_at
        self.error = error
        self.once = once
        self.inodes = {name: Inode(data) for name, data in self.files.items()}
        self.durable = dict(self.inodes)
        self.pending = []

    def _count(self):
        if self.fail_at is not None and self.operations >= self.fail_at:
            failed = self.operations
            if self.once:
                self.fail_at = None
            raise self.error("operation", failed)
        self.operations += 1

    @contextmanager
    def create(self, name):
        self._count()
        inode = self.inodes[name] = Inode(b"")
        self.pending.append({name: inode})
        try:
            with super().create(name) as file:
                yield file
                self._count()
        except Crash:
            self.files[name] = inode.data = file.getvalue()[: len(file.getvalue()) // 2]
            raise
        except Exception:
            self.inodes.pop(name)
            self.pending.append({name: None})
            raise
        inode.synced = inode.data = self.files[name]

    def append(self, name, at, data):
        try:
            self._count()
        except BaseException:
            self._append(name, at, data[: len(data) // 2])
            raise
        self._append(name, at, data)

    def _append(self, name, at, data):
        super().append(name, at, data)
        inode = self.inodes[name]
        inode.cut = min(at, len(inode.data))
        inode.data = bytes(self.files[name])

    def overwrite(self, name, at, data):
        try:
            self._count()
        except Crash:
            data = data[: len(data) // 2]
            self._overwrite(name, at, data)
            raise
        self._overwrite(name, at, data)

    def _overwrite(self, name, at, data):
        super().overwrite(name, at, data)
        inode = self.inodes[name]
        inode.data = bytes(self.files[name])
        inode.overwritten.append((at, at + len(data)))

    def sync(self, name):
        self._count()
        inode = self.inodes[name]
        inode.synced, inode.cut, inode.overwritten = inode.data, len(inode.data), []

    def rename(self, old, new):
        self._count()
        super().rename(old, new)
        inode = self.inodes[new] = self.inodes.pop(old)
        self.pending.append({old: None, new: inode})

    def remove(self, name):
        self._count()
        inside = [file for file in self.files if file == name or file.startswith(f"{name}/")]
        super().remove(name)
        for file in inside:
            del self.inodes[file]
            self.pending.append({file: None})

    def sync_folder(self, folder=""):
        self._count()
        super().sync_folder(folder)
        here = [step for step in self.pending if folder_of(next(iter(step))) == folder]
        for step in here:
            change_names(self.durable, step)
            self.pending.remove(step)

    def after_power_loss(self, rng):
        """One of the states that the disk may be in: {name: bytes}."""
        names = dict(self.durable)
        for step in self.pending:
            if rng.random() < 0.5:
                change_names(names, step)
        return {name: inode.after_power_loss(rng) for name, inode in names.items()}


def folder_of(name):
    return name.rpartition("/")[0]


def change_names(names, step):
    """Carry out one atomic change of a folder: names that are set, and names that go."""
    for name, inode in step.items():
        if inode is None:
            names.pop(name, None)
        else:
            names[name] = inode


def full_disk(files, fail_at, once=False):
    """A storage on which the k-th operation, and every later one or not, finds no space left."""

    class Full(StorageFull):
        def __init__(self, *args):
            super().__init__("no space left on the device")

    return FaultyStorage(files, fail_at, Full, once)
