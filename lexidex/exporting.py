"""A collection -> a file of records, from which the same collection can be made."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pyarrow as pa

from lexidex.encoders import Encoder
from lexidex.errors import ParameterError
from lexidex.index.dense import DenseRows
from lexidex.index.storage.files import Storage, replacing
from lexidex.index.storage.segment import Segment
from lexidex.index.vectors import Float32s, Vectors

from .copying import live_batches
from .export_file import Header, VectorForm, check_suffix, write_records
from .snapshot import Snapshot
from .write import describe

Progress = Callable[[int], None]
"""Called with the number of documents written so far."""


@dataclass(frozen=True)
class ExportReport:
    """What was exported: the collection as of `generation`."""

    generation: int
    n_documents: int


def write_export(
    snapshot: Snapshot,
    target: Storage,
    name: str,
    vectors: VectorForm | None = None,
    *,
    over: bool = False,
    progress: Progress | None = None,
) -> ExportReport:
    """Write every live document, in order of age, and what else makes up the collection.

    Args:
        vectors: None takes "terms" where the collection's components are words, which they are
            numbered by, and "components" elsewhere.
        over: replace a file of that name, in one step when the new one is complete.

    Raises:
        ParameterError: an argument is wrong; or there is a file of that name.
        StorageFull: no space left; nothing is left of the export.
    """
    check_suffix(Path(name))
    if vectors not in (None, *get_args(VectorForm)):
        known = ", ".join(get_args(VectorForm))
        raise ParameterError(f"vectors: {vectors!r}; choose among {known}")
    if not over and name in target.list():
        raise ParameterError(f"{target.location}/{name}: exists; choose another name, or replace")
    by_words = snapshot.n_terms > 0
    header = _header(snapshot, vectors or ("terms" if by_words else "components"))
    with replacing(target, name) as file:
        write_records(file, name, header, _records(snapshot, header.vectors, progress))
    return ExportReport(header.generation, header.n_documents)


def _header(snapshot: Snapshot, vectors: VectorForm) -> Header:
    vocabulary = snapshot.encoder.vocabulary
    length = sum(_live_length(segment) for segment in snapshot.segments)
    return Header(
        n_documents=snapshot.n_documents,
        generation=snapshot.generation,
        encoder=describe(snapshot.encoder),
        passages=asdict(snapshot.passage_params),
        dense=dict(snapshot.manifest.dense),
        vectors=vectors,
        vocabulary=None if vocabulary is None else vocabulary.terms[: snapshot.n_terms],
        average_length=length / max(snapshot.n_passages, 1),
    )


def _live_length(segment: Segment) -> float:
    share = segment.n_live_passages / max(segment.entry.n_passages, 1)
    return segment.entry.total_length * share


def _records(
    snapshot: Snapshot, form: VectorForm, progress: Progress | None
) -> Iterator[dict[str, Any]]:
    written = _Vectors(snapshot.encoder, form)
    n_done = 0
    for segment in snapshot.segments:
        for documents, vectors, passages in live_batches(segment):
            rows = _with_dense(written.of(vectors), passages.dense)
            spans = passages.spans.tolist()
            ends = passages.starts[1:].tolist()
            first = 0
            for document, end in zip(documents, ends, strict=True):
                record: dict[str, Any] = {"id": document.id}
                if document.title is not None:
                    record["title"] = document.title
                record |= {"text": document.text, "metadata": document.metadata}
                if end - first == 1 and spans[first] == [0, len(document.text)]:
                    record |= rows[first]
                else:
                    record["passages"] = [
                        {"start": spans[place][0], "end": spans[place][1], **rows[place]}
                        for place in range(first, end)
                    ]
                first = end
                yield record
            n_done += len(documents)
            if progress:
                progress(n_done)


def _with_dense(rows: list[dict[str, Any]], dense: DenseRows | None) -> list[dict[str, Any]]:
    """What each passage's record has, with its dense vectors: one flat list, or several."""
    if dense is None:
        return rows
    vectors = shortest(dense.vectors).tolist()
    found = []
    for row, (start, end) in zip(rows, pairwise(dense.starts.tolist()), strict=True):
        own = vectors[start:end]
        found.append({**row, "dense": own[0] if len(own) == 1 else own} if own else row)
    return found


class _Vectors:
    """Vectors as records have them."""

    def __init__(self, encoder: Encoder, form: VectorForm) -> None:
        self._terms = _Terms(encoder)
        self._form = form

    def of(self, vectors: Vectors) -> list[dict[str, Any]]:
        """{"vector": ...} of each row; {} where vectors are not written."""
        if self._form == "none":
            return [{}] * vectors.shape[0]
        components = vectors.indices.tolist()
        values = shortest(vectors.data).tolist()
        bounds = vectors.indptr.tolist()
        found = []
        for start, end in pairwise(bounds):
            vector: dict[str, Any]
            if self._form == "terms":
                terms = map(self._terms.__getitem__, components[start:end])
                vector = dict(zip(terms, values[start:end], strict=True))
            else:
                vector = {"components": components[start:end], "values": values[start:end]}
            found.append({"vector": vector})
        return found


class _Terms(dict[int, str]):
    """Component -> the word that it alone stands for."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self._encoder = encoder

    def __missing__(self, component: int) -> str:
        term = self._encoder.term(component)
        if self._encoder.component(term) != component:
            raise ParameterError(
                f"vectors: component {component} has no word of its own ({term!r}); export "
                "components instead"
            )
        self[component] = term
        return term


def shortest(values: Float32s) -> np.ndarray[Any, np.dtype[np.float64]]:
    """float64 of the fewest digits that are these float32 values when they are read again."""
    flat = pa.array(values.reshape(-1))
    digits = flat.cast(pa.string()).cast(pa.float64()).to_numpy().reshape(values.shape)
    same = digits.astype(np.float32) == values
    return np.where(same, digits, values.astype(np.float64))
