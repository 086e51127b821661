"""What requests change: documents, which collections there are, and long work that is started.

Knows nothing of HTTP. Every method takes and returns what can be passed between processes, since
the one that is asked may not be the one that writes: see `handover.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from lexidex.collection import Collection
from lexidex.documents import Document
from lexidex.errors import DocumentNotFound, InputError, Locked
from lexidex.index.storage.building import Building
from lexidex.results import WriteResult

from .catalog import Catalog
from .snapshots import Snapshots
from .tasks import Running, Task, Tasks

P = ParamSpec("P")
R = TypeVar("R")


class Writes:
    """Changes what a catalog holds. Safe to use from many threads."""

    def __init__(self, catalog: Catalog, tasks: Tasks) -> None:
        """Write to these collections; long work goes to `tasks`."""
        self._catalog = catalog
        self._snapshots = Snapshots(catalog)
        self._tasks = tasks

    def upsert(self, name: str, documents: Sequence[Document | Mapping[str, Any]]) -> WriteResult:
        """Add or replace documents; what is wrong with some keeps no other out."""
        with self._collection(name) as collection:
            return collection.upsert(documents)

    def put(self, name: str, document: Mapping[str, Any]) -> WriteResult:
        """Add or replace one document; InputError says what is wrong with it."""
        return _succeeded(self.upsert(name, [document]))

    def update(self, name: str, updates: Sequence[Mapping[str, Any]]) -> WriteResult:
        """Give documents other metadata; those that are not there are among the failed."""
        with self._collection(name) as collection:
            return collection.update(updates)

    def patch(self, name: str, update: Mapping[str, Any]) -> WriteResult:
        """Give one document other metadata; DocumentNotFound if it is not there."""
        with self._collection(name) as collection:
            result = collection.update([update])
            if result.failed and update["id"] not in collection:
                raise _no_document(name)
            return _succeeded(result)

    def delete(
        self, name: str, ids: Sequence[str] | None, only: Mapping[str, Any] | None = None
    ) -> WriteResult:
        """Remove documents by their ids or by a filter; one of the two."""
        with self._collection(name) as collection:
            return collection.delete(ids, filter=only)

    def delete_one(self, name: str, doc_id: str) -> WriteResult:
        """Remove one document; DocumentNotFound if it is not there."""
        result = self.delete(name, [doc_id])
        if not result.deleted:
            raise _no_document(name)
        return result

    def create_collection(
        self,
        name: str,
        encoder: str | None,
        options: Mapping[str, Any],
        dense: str | Mapping[str, Any] | None = None,
        passages: str | None = None,
    ) -> None:
        """Make an empty collection."""
        self._catalog.create(name, encoder, options, dense, passages)

    def remove_collection(self, name: str) -> None:
        """Remove a collection, its files and what is being done with it."""
        self._tasks.cancel_all(name)
        with _holder_named(name):
            self._catalog.remove(name)

    def compact(self, name: str) -> Task:
        """Start to make one segment of a collection, without what was deleted."""
        self._catalog.get(name)

        def work(running: Running) -> dict[str, Any]:
            with self._collection(name) as collection:
                total = len(collection)
                collection.compact(
                    lambda done: running.progress(done, total, "copying"),
                    Building(progress=lambda at: running.progress(at.done, at.total, at.stage)),
                )
                return {"documents": len(collection), "generation": collection.generation}

        return self._tasks.start("compact", name, work)

    def reencode(
        self, name: str, encoder: str, options: Mapping[str, Any], passages: str | None = None
    ) -> Task:
        """Start to encode every document anew by another encoder; see `Collection.reencode`."""
        self._catalog.get(name)
        chosen = self._catalog.load_encoder(encoder, options)

        def work(running: Running) -> dict[str, Any]:
            with self._collection(name) as collection:
                total = len(collection)
                result = collection.reencode(
                    chosen,
                    lambda done: running.progress(done, total, "encoding"),
                    Building(progress=lambda at: running.progress(at.done, at.total, at.stage)),
                    passages=passages,
                )
                return {"documents": result.upserted, "generation": collection.generation}

        return self._tasks.start("reencode", name, work)

    def take_snapshot(self, name: str) -> Task:
        """Start to keep a collection as it is now in a file."""
        self._catalog.get(name)
        chosen, path = self._snapshots.new(name)

        def work(running: Running) -> dict[str, Any]:
            with self._collection(name) as collection:
                made = collection.snapshot(path, progress=running.progress)
            return {"snapshot": chosen, "generation": made.generation, "bytes": made.n_bytes}

        return self._tasks.start("snapshot", name, work)

    def restore_snapshot(self, name: str, snapshot: str) -> Task:
        """Start to put a snapshot in the place of its collection, which may have been removed."""
        path = self._snapshots.find(name, snapshot)
        folder = self._catalog.own_folder() / name

        def work(running: Running) -> dict[str, Any]:
            total = path.stat().st_size
            with _holder_named(name):
                restored = Collection.restore(
                    path,
                    folder,
                    replace=True,
                    merge="off",
                    progress=lambda done: running.progress(done, total),
                )
            self._catalog.refresh(name)
            return {"documents": len(restored), "generation": restored.generation}

        return self._tasks.start("restore", name, work)

    def remove_snapshot(self, name: str, snapshot: str) -> None:
        """Delete a snapshot."""
        self._snapshots.remove(name, snapshot)

    def tasks(self) -> list[Task]:
        """The tasks that are known, newest first."""
        return self._tasks.all()

    def task(self, task_id: str) -> Task:
        """One task."""
        return self._tasks.get(task_id)

    def cancel_task(self, task_id: str) -> Task:
        """Ask a task to end."""
        return self._tasks.cancel(task_id)

    def close(self) -> None:
        """End what is being done, and close the collections."""
        self._tasks.close()
        self._catalog.close()

    @contextmanager
    def _collection(self, name: str) -> Iterator[Collection]:
        with _holder_named(name), self._catalog.writing(name) as collection:
            yield collection


class WriteAccess(Protocol):
    """Reaches the `Writes` of this process or of another."""

    def call(
        self, method: Callable[Concatenate[Writes, P], R], /, *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """Call a method of `Writes`; raises what it raises."""

    def close(self) -> None:
        """Let go of it."""


class Direct:
    """The `Writes` of this process."""

    def __init__(self, writes: Writes) -> None:
        """Call the methods of `writes`."""
        self._writes = writes

    def call(
        self, method: Callable[Concatenate[Writes, P], R], /, *args: P.args, **kwargs: P.kwargs
    ) -> R:
        return method(self._writes, *args, **kwargs)

    def close(self) -> None:
        self._writes.close()


@contextmanager
def _holder_named(name: str) -> Iterator[None]:
    """Who holds a lock is told without the folder, which is none of a client's business."""
    try:
        yield
    except Locked as error:
        _, _, told = str(error).rpartition(": ")
        raise Locked(f"collection {name!r}: {told}") from None


def _succeeded(result: WriteResult) -> WriteResult:
    if result.failed:
        raise InputError(result.failed[0][1])
    return result


def _no_document(name: str) -> DocumentNotFound:
    return DocumentNotFound(f"collection {name!r} has no such document")
