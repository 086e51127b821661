"""Which collections are served, by name: one, or those in a folder, where they come and go."""

from __future__ import annotations

import logging
import secrets
import shutil
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any, Self

from lexidex.collection import Collection, exists
from lexidex.encoders import DEFAULT_ENCODER, Encoder
from lexidex.errors import (
    CollectionExists,
    CollectionNotFound,
    CollectionsFixed,
    LexidexError,
    ParameterError,
)
from lexidex.index.storage import layout
from lexidex.index.storage.files import FileStorage, waiting

from .damaged import Damaged
from .named_encoders import load_named, named_dense_side
from .stamps import Stamp, is_replaced, stamp_of

_REMOVED = ".removed-"
"""Folders of this name are collections that were removed, and perhaps not yet to the last file."""

_LOCK_SECONDS = 1.0
"""How long removing waits for another process that writes or merges."""

_LOG = logging.getLogger("lexidex.server")


@dataclass
class _Served:
    """A collection that is served, and how many writes to it are under way."""

    collection: Collection
    stamp: Stamp | None
    writes: int = field(default=0)


class Catalog:
    """Collections by name. Safe to use from many threads."""

    def __init__(self, path: Path, folder: Path | None, trust_remote_code: bool = False) -> None:
        """Use `open` instead.

        Args:
            path: the one collection, unless there is a folder of them.
        """
        self._trusts = trust_remote_code
        self._path = path
        self._folder = folder
        self._served: dict[str, _Served] = {}
        self._damaged: Damaged[Stamp | None] = Damaged()
        self._removing: set[str] = set()
        self._opening = threading.Lock()
        self._changed = threading.Condition()

    @classmethod
    def open(cls, directory: str | PathLike[str], trust_remote_code: bool = False) -> Self:
        """Serve a collection under its folder's name, or every collection in a folder.

        Args:
            trust_remote_code: run code that the models of these collections bring; clients may
                then name no models.

        Raises:
            CollectionNotFound: `directory` neither is a collection, nor holds one, nor is empty.
            CorruptFile, UnsupportedVersion: it is one that cannot be used; in a folder, such a one
                is told of in the log, and keeps no other from being served.
        """
        path = Path(directory).resolve()
        catalog = cls(path, None if exists(path) else path, trust_remote_code)
        catalog.refresh_all()
        if not catalog.names and (not path.is_dir() or any(map(_is_shown, path.iterdir()))):
            raise CollectionNotFound(
                f"{directory}: no collection here, and none in a folder of it; make one with "
                "'lexidex index', or give an empty folder to make some over HTTP"
            )
        return catalog

    @property
    def names(self) -> list[str]:
        """Names of the collections, in order; also of those that cannot be used."""
        return sorted({*self._served, *self._damaged.codes})

    @property
    def items(self) -> list[tuple[str, Collection]]:
        """The collections that can be used with their names, in order of these."""
        return [(name, served.collection) for name, served in sorted(self._served.items())]

    @property
    def damaged(self) -> dict[str, str]:
        """The names of those that cannot, and the code of what is wrong with each."""
        return self._damaged.codes

    def get(self, name: str) -> Collection:
        """The collection of that name.

        Raises:
            CollectionNotFound: there is none.
            CorruptCollection: it cannot be used.
        """
        return self._find(name).collection

    @contextmanager
    def writing(self, name: str) -> Iterator[Collection]:
        """The collection of that name, which is not removed before the block ends."""
        self._reopen_if_replaced(name)
        with self._changed:
            served = self._find(name)
            served.writes += 1
        try:
            yield served.collection
        finally:
            with self._changed:
                served.writes -= 1
                self._changed.notify_all()

    def create(
        self,
        name: str,
        encoder: str | None,
        options: Mapping[str, Any],
        dense: str | Mapping[str, Any] | None = None,
        passages: str | None = None,
    ) -> None:
        """Make an empty collection; see `Collection.create`.

        Args:
            dense: as `create` has it, or "model" with "options", "metric" and "index".

        Raises:
            CollectionsFixed: not a folder of collections is served.
            CollectionExists, EncoderNotFound, ParameterError: it cannot be made.
        """
        path = self.own_folder() / name
        if not is_name(name):
            raise ParameterError(f"collection {name!r}: no name for a folder")
        chosen = self.load_encoder(DEFAULT_ENCODER if encoder is None else encoder, options)
        asked = {"model": dense} if isinstance(dense, str) else dense or {}
        side = named_dense_side(asked, chosen, trusting=self._trusts)
        with self._opening:
            if name in self._served:
                raise CollectionExists(f"collection {name!r} exists; remove it first")
            try:
                collection = Collection.create(path, chosen, dense=side, passages=passages)
            except CollectionExists:
                raise CollectionExists(f"collection {name!r}: other files stand there") from None
            self._served[name] = _Served(collection, stamp_of(path))

    def load_encoder(self, name: str, options: Mapping[str, Any]) -> Encoder:
        """The encoder that a client names; ParameterError where it may not."""
        return load_named(name, options, trusting=self._trusts)

    def remove(self, name: str) -> None:
        """Remove a collection and its files; writes to it that are under way end first.

        Raises:
            CollectionsFixed: not a folder of collections is served.
            CollectionNotFound: there is none of that name.
            Locked: another process is writing to it.
        """
        path = self.own_folder() / name
        with self._changed:
            served = None if name in self._damaged else self._find(name)
            self._removing.add(name)
            self._served.pop(name, None)
            while served is not None and served.writes:
                self._changed.wait()
        gone = path.with_name(f"{_REMOVED}{secrets.token_hex(8)}")
        storage = FileStorage(path)
        try:
            with suppress(LexidexError):  # flushing what is about to go may fail, on a full disk
                if served is not None:
                    served.collection.close()
            with (
                waiting(storage, layout.MERGE_LOCK, _LOCK_SECONDS),
                waiting(storage, layout.LOCK, _LOCK_SECONDS),
            ):
                path.rename(gone)
            self._damaged.forget(name)
        except BaseException:
            if served is not None:
                self._served[name] = served
            raise
        finally:
            self._removing.discard(name)
        self._sweep()

    def warm_up(self) -> None:
        """Do now what would make a first search slow; what cannot be used shows at the latest."""
        for name, served in sorted(self._served.items()):
            try:
                served.collection.warm_up()
            except Exception as error:
                if self._folder is None:
                    raise
                with self._opening:
                    if self._served.get(name) is served:
                        self._give_up(name, served.stamp, error)

    def refresh(self, name: str) -> None:
        """Follow what other processes have done to one collection: written, made or removed it."""
        self._reopen_if_replaced(name)
        served = self._served.get(name)
        if served is not None:
            served.collection.refresh()

    def refresh_all(self) -> None:
        """`refresh` every collection; in a folder, one that fails keeps no other from it."""
        for name in sorted({*self.names, *self._inside()}):
            try:
                self.refresh(name)
            except Exception as error:
                if self._folder is None:
                    raise
                # What is served of it stays as it is.
                self._damaged.tell(name, "cannot follow a write", error)
            else:
                if name in self._served:
                    self._damaged.forget(name)

    def own_folder(self) -> Path:
        """The folder of collections; CollectionsFixed if one collection is served."""
        if self._folder is None:
            raise CollectionsFixed(
                f"only collection {self._path.name!r} is served; start 'lexidex serve' with the "
                "folder that it is in to make and remove collections, and to keep snapshots"
            )
        return self._folder

    def close(self) -> None:
        """Close every collection, as far as that can be: what was written is safe without it."""
        for name, collection in self.items:
            try:
                collection.close()
            except LexidexError as error:
                _LOG.warning("closing %s: %s", name, error)
        if self._folder is not None:
            self._sweep()

    def _find(self, name: str) -> _Served:
        try:
            return self._served[name]
        except KeyError:
            self._damaged.check(name)
            raise CollectionNotFound(f"no collection {name!r} is served here") from None

    def _inside(self) -> list[str]:
        """Names that collections may have, as the folder has them."""
        if self._folder is None:
            return [self._path.name]
        if not self._folder.is_dir():
            return []
        return [path.name for path in self._folder.iterdir() if is_name(path.name)]

    def _reopen_if_replaced(self, name: str) -> None:
        """Open a collection that is new, or stands in the place of one; forget one that is gone."""
        served = self._served.get(name)
        path = self._path if self._folder is None else self._folder / name
        if not is_name(name) or path.name != name or name in self._removing:
            return
        stamp = stamp_of(path)
        if served is not None and not is_replaced(served.stamp, stamp):
            served.stamp = stamp
            return
        with self._opening:
            if self._served.get(name) is not served or name in self._removing:
                return  # another thread was faster
            if self._folder is None:
                if stamp is not None:
                    self._served[name] = self._opened(path, stamp)
            elif stamp is None:
                self._served.pop(name, None)
                self._damaged.forget(name)
            elif self._damaged.is_due(name, stamp):
                self._open(name, path, stamp)

    def _open(self, name: str, path: Path, stamp: Stamp) -> None:
        try:
            served = self._opened(path, stamp)
            if name in self._damaged:
                served.collection.warm_up()  # what was wrong may show only then
        except CollectionNotFound:
            raise  # it has been removed meanwhile
        except Exception as error:
            self._give_up(name, stamp, error)
        else:
            self._served[name] = served
            self._damaged.forget(name)

    def _give_up(self, name: str, stamp: Stamp | None, error: Exception) -> None:
        # First, so that at no time it is not there at all.
        self._damaged.note(name, stamp, error)
        self._served.pop(name, None)

    def _opened(self, path: Path, stamp: Stamp) -> _Served:
        return _Served(Collection.open(path, trust_remote_code=self._trusts), stamp)

    def _sweep(self) -> None:
        """Delete the files of what was removed."""
        for path in self.own_folder().glob(f"{_REMOVED}*"):
            shutil.rmtree(path, ignore_errors=True)


def is_name(name: str) -> bool:
    """Whether a folder of this name stands in the folder of collections itself."""
    return 0 < len(name) == len(Path(name).name) and name[0] != "." and "\0" not in name


def _is_shown(path: Path) -> bool:
    """Whether it is more than what is kept beside collections, or left of some."""
    return not path.name.startswith(".")
