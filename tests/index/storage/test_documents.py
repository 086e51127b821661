"""Stored documents: found by ordinal and by id, whatever the batches."""

import io
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lexidex.errors import CorruptFile
from lexidex.index.storage import documents as stored
from lexidex.index.storage.manifest import CountedFile


@dataclass
class Doc:
    id: str
    text: str = ""
    title: str | None = None
    metadata: dict = field(default_factory=dict)


json_values = st.none() | st.booleans() | st.integers() | st.text(max_size=5)
docs = st.builds(
    Doc,
    st.text(min_size=1, max_size=4),
    st.text(max_size=10),
    st.none() | st.text(max_size=5),
    st.dictionaries(st.text(max_size=3), json_values, max_size=3),
)


def reader_of(documents):
    file = CountedFile(io.BytesIO())
    writer = stored.DocumentWriter(file)
    for document in documents:
        writer.add(document)
    placed = writer.finish()
    ids = pa.chunked_array([pa.array([d.id for d in documents], pa.large_string())])
    data = memoryview(file.file.getvalue())
    assert file.size == len(data)
    placed["id_order"] = stored.sort_ids(ids)
    return stored.DocumentReader(data, placed, "here"), ids


@given(st.lists(docs, max_size=30), st.integers(1, 7))
@settings(max_examples=50)
def test_documents_come_back_and_ids_are_found(documents, rows):
    former, stored._BATCH_ROWS = stored._BATCH_ROWS, rows
    try:
        reader, ids = reader_of(documents)
    finally:
        stored._BATCH_ROWS = former
    assert len(reader) == len(documents)
    last = {document.id: ordinal for ordinal, document in enumerate(documents)}
    for ordinal, document in enumerate(documents):
        found = reader.fetch(ordinal, ("id", "title", "text", "metadata"))
        assert found == vars(document)
        assert reader.find(document.id) == last[document.id]
    assert reader.find("none has this id") is None
    assert reader.ids().to_pylist() == [d.id for d in documents]
    repeated = stored.repeated_ids(ids, stored.sort_ids(ids))
    assert np.flatnonzero(~repeated).tolist() == sorted(last.values())


def test_something_else_than_documents_is_refused():
    placed = {"batch_starts": np.zeros(1, np.int64), "id_order": np.zeros(0, np.int32)}
    with pytest.raises(CorruptFile, match="here: "):
        stored.DocumentReader(memoryview(b"x" * 200), placed, "here")
