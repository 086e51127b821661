"""The file of metadata columns: what it holds, and what is said of one that is damaged."""

import io
import json
import tracemalloc

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lexidex.errors import CorruptFile
from lexidex.index.filters import Columns, ColumnsWriter
from lexidex.index.filters.format import N_DOCUMENTS, SCHEMA
from lexidex.index.filters.values import as_moment

from . import reference


def file_of(documents):
    file = io.BytesIO()
    writer = ColumnsWriter()
    for metadata in documents:
        writer.add(metadata)
    writer.write(file)
    return file.getvalue()


def columns_of(documents):
    return Columns(memoryview(file_of(documents)), "here")


def plain(column, n_documents):
    """(document, value) of every entry of a column."""
    documents = range(n_documents) if column.documents is None else column.documents.tolist()
    values = column.values.tolist()
    if column.kind == "string":
        values = [column.strings[code].as_py() for code in values]
    return sorted(zip(documents, values, strict=True))


@given(st.lists(reference.metadata, max_size=6))
def test_columns_hold_every_value_of_every_document(documents):
    columns = columns_of(documents)
    assert columns.n_documents == len(documents)
    kinds = {"bool": "boolean", "int": "integer", "float": "float", "str": "string"}
    expected = {}
    for number, metadata in enumerate(documents):
        for field, (kind, value) in reference.flat(metadata):
            expected.setdefault((field, kinds[kind]), []).append((number, value))
    found = {
        (field, column.kind): plain(column, len(documents))
        for field in {field for field, _ in expected}
        for column in columns.of(field)
    }
    assert found == {label: sorted(entries) for label, entries in expected.items()}
    assert columns.of("no such field") == ()


def test_strings_are_distinct_and_ascend_and_know_their_moments():
    texts = ["b", "2024-01-01", "a", "b", "\U0001f419", "\uffff"]
    (column,) = columns_of([{"x": text} for text in texts]).of("x")
    assert column.documents is None
    assert column.strings.to_pylist() == sorted(set(texts))
    assert column.moments[0] == as_moment("2024-01-01")
    assert (column.moments[1:] == np.iinfo(np.int64).min).all()
    (column,) = columns_of([{"x": "a"}, {"x": ["b", "b"]}, {}]).of("x")
    assert column.documents.tolist() == [0, 1]
    assert column.moments is None


def test_characters_are_those_of_the_distinct_strings():
    writer = ColumnsWriter()
    for value in ("abc", "abc", ["abc", "de"], {"x": "de"}):
        writer.add({"x": value})
    assert writer.n_characters == 5


def test_keys_are_named_as_json_writes_them():
    given_metadata = {"x": {1: "one", False: "no", None: "nil", 0.5: "half"}}
    stored = json.loads(json.dumps(given_metadata))
    columns = columns_of([given_metadata])
    for key, value in stored["x"].items():
        assert plain(columns.of(f"x.{key}")[0], 1) == [(0, value)]


def test_a_field_for_each_document_takes_no_more_than_its_values():
    tracemalloc.start()
    data = file_of([{f"user {number}": number} for number in range(3000)])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(data) < 600_000
    assert peak < 10_000_000
    columns = Columns(memoryview(data), "here")
    assert plain(columns.of("user 2999")[0], 3000) == [(2999, 2999)]


def altered(data, column, row, value, n_documents=None):
    """The file with one cell replaced."""
    file = pa.ipc.open_file(data)
    rows = file.get_batch(0).to_pylist()
    rows[row][column] = value
    counted = n_documents or file.schema.metadata[N_DOCUMENTS]
    schema = SCHEMA.with_metadata({N_DOCUMENTS: counted})
    sink = io.BytesIO()
    with pa.ipc.new_file(sink, schema) as writer:
        writer.write_batch(pa.RecordBatch.from_pylist(rows, schema))
    return memoryview(sink.getvalue())


DAMAGES = [
    ("codes", 1, [0, 7], "a code beyond 2 strings"),
    ("documents", 0, [0, 3], "a document beyond 3"),
    ("integers", 0, [1], "1 values, not one a document"),
    ("moments", 1, [None], "1 moments of 2 strings"),
    ("kind", 1, "text", "values of kind 'text'"),
]


@pytest.mark.parametrize(("column", "row", "value", "message"), DAMAGES)
def test_damage_is_named_with_the_field(column, row, value, message):
    data = file_of([{"a": 1, "b": "x"}, {"a": 2}, {"b": "y"}])
    columns = Columns(altered(data, column, row, value), "here")
    with pytest.raises(CorruptFile, match=rf"here: field '[ab]': {message}"):
        columns.of("ab"[row])


def test_something_else_than_columns_is_refused():
    with pytest.raises(CorruptFile, match="here: "):
        Columns(memoryview(b"x" * 200), "here")
    sink = io.BytesIO()
    with pa.ipc.new_file(sink, pa.schema([pa.field("id", pa.string())])):
        pass
    with pytest.raises(CorruptFile, match="here: not a file of metadata columns"):
        Columns(memoryview(sink.getvalue()), "here")
    data = file_of([{"a": 1}])
    with pytest.raises(CorruptFile, match="here: "):
        Columns(memoryview(data)[:-20], "here")
    with pytest.raises(CorruptFile, match="here: "):
        Columns(altered(data, "kind", 0, "integer", n_documents="many"), "here")
