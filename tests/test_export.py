"""Exports hold everything: what is imported from one answers alike, to the last bit."""

import gzip
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lexidex import Collection
from lexidex.errors import (
    EncoderMismatch,
    InputError,
    ParameterError,
    StorageFull,
    UnsupportedVersion,
)
from lexidex.exporting import shortest, write_export
from lexidex.index.storage.arrays import FORMAT_VERSION
from lexidex.index.storage.files import MemoryStorage

from .faults import Crash, FaultyStorage, full_disk

SUFFIXES = ["ndjson", "jsonl.gz", "parquet"]
WORDS = [f"word{i}" for i in range(40)]
METADATA = {
    "integer": 3,
    "float": 3.0,
    "large": 2**70,
    "flag": True,
    "nothing": None,
    "when": "2024-05-01T12:00:00Z",
    "list": ["a", 1, 2.5, None, {"deep": []}],
    "änderung": {"x": "\u2028 \U0001f40b"},
}


def texts(first, last):
    rng = np.random.default_rng(first)
    for number in range(first, last):
        text = ". ".join(" ".join(rng.choice(WORDS, 6)) for _ in range(int(rng.integers(1, 6))))
        title = [None, "", "a title"][number % 3]
        metadata = {**METADATA, "n": number} if number % 4 else {}
        yield {"id": f"d{number}", "text": text, "title": title, "metadata": metadata}


def with_vectors(first, last, numbered):
    rng = np.random.default_rng(first)
    for document in texts(first, last):
        vectors = []
        for _ in range(1 + int(rng.integers(3))):
            chosen = rng.choice(40, 5, replace=False)
            values = rng.random(5, dtype=np.float32).astype(float).tolist()
            if numbered:
                components = (chosen * 1_000_003).tolist()
                vectors.append({"components": components, "values": values})
            else:
                vectors.append(dict(zip((WORDS[c] for c in chosen), values, strict=True)))
        size = len(document["text"])
        if len(vectors) == 1:
            yield {**document, "vector": vectors[0]}
        else:
            passages = [{"start": 0, "end": size, "vector": vector} for vector in vectors]
            yield {**document, "passages": passages}


def with_dense(first, last):
    """No dense vector, one or several, of documents and of passages."""
    rng = np.random.default_rng(first)
    for document in with_vectors(first, last, numbered=False):
        for owner in document.get("passages", [document]):
            vectors = rng.normal(size=(int(rng.integers(3)), 4))
            if len(vectors):
                owner["dense"] = vectors[0] if len(vectors) == 1 else vectors
        yield document


def changed(encoder, given, **options):
    """A collection with a past: several segments, replaced and deleted documents, a log."""
    made = Collection.create(MemoryStorage(), encoder, merge="off", **options)
    made.upsert(given(0, 30))
    made.flush()
    made.upsert(given(20, 45))
    made.flush()
    made.delete(["d1", "d44"])
    made.upsert(given(43, 50))
    return made


KINDS = {
    "bm25": lambda: changed("bm25", texts),
    "bm25 in passages": lambda: changed("bm25", texts, passages="split,tokens=10,overlap=0"),
    "words": lambda: changed("vectors", lambda *some: with_vectors(*some, numbered=False)),
    "words and dense vectors": lambda: changed("vectors", with_dense, dense="vectors"),
    "numbers": lambda: changed("vectors", lambda *some: with_vectors(*some, numbered=True)),
}


@pytest.fixture(params=KINDS)
def source(request):
    return KINDS[request.param]()


def answers(collection):
    """Everything that reading tells, in order."""
    found = []
    for number in range(6):
        if collection.encoder.kind == "vectors":
            words = {WORDS[c]: 1.0 / (c + 1) for c in range(number, 40, 3)}
            numbers = [c * 1_000_003 for c in range(number, 40, 3)]
            numbered = {"components": numbers, "values": list(words.values())}
            by_words = collection.encoder.component("word1") is not None
            query = {"sparse": words if by_words else numbered}
        else:
            query = {"query": " ".join(WORDS[number::5])}
        hits = collection.search(**query, k=100, exact=True).hits
        found.append([(h.doc_id, h.score, h.title, h.text, h.metadata, h.passage) for h in hits])
    counts = [collection.count({"integer": 3}), collection.count({"float": 3.0})]
    return found, counts, len(collection), collection.passages


def dense_answers(collection):
    """Ids and scores of dense and hybrid searches."""
    found = {}
    if collection._snapshot.dense_side is not None:
        for dense in ([1.0, 2.0, -0.5, 0.25], [0.1, -1.0, 0.0, 0.7]):
            hits = collection.search(mode="dense", dense=dense, k=100, exact=True).hits
            hits += collection.search(
                mode="hybrid", sparse={"word3": 1.0}, dense=dense, k=100, exact=True
            ).hits
            found |= {(str(dense), place): hit.score for place, hit in enumerate(hits)}
            found |= {(str(dense), hit.doc_id): hit.score for hit in hits}
    return found


@pytest.mark.parametrize(
    ("suffix", "form"), [("ndjson", None), ("jsonl.gz", "components"), ("parquet", None)]
)
def test_what_is_imported_answers_alike_to_the_last_bit(source, tmp_path, suffix, form):
    path = tmp_path / f"export.{suffix}"
    report = source.export(path, form)
    assert (report.generation, report.n_documents) == (source.generation, len(source))
    copy = Collection.from_export(path, tmp_path / "copy", merge="off")
    assert answers(copy) == answers(source)
    assert dense_answers(copy) == dense_answers(source)
    assert copy.check().problems == []
    again = tmp_path / f"again.{suffix}"
    copy.export(again, form)
    assert records_of(again) == records_of(path)
    near = dense_answers(source)
    for collection in (source, copy):
        collection.compact()
    assert answers(copy) == answers(source)
    assert dense_answers(copy) == dense_answers(source) == near
    # What is written later is weighed by the same average length, but for rounding.
    for collection in (source, copy):
        collection.upsert(
            with_vectors(60, 62, numbered=not copy._snapshot.n_terms)
            if copy.encoder.kind == "vectors"
            else texts(60, 62)
        )
    scores = [[hit[1] for hit in hits] for hits in answers(copy)[0]]
    assert scores == [pytest.approx([hit[1] for hit in hits]) for hits in answers(source)[0]]


def records_of(path):
    return pq.read_table(path).to_pylist() if path.suffix == ".parquet" else lines(path)[1:]


def lines(path):
    data = path.read_bytes()
    data = gzip.decompress(data) if path.suffix == ".gz" else data
    return [json.loads(line) for line in data.decode().split("\n") if line]


def test_lines_are_documents_that_an_upsert_takes(tmp_path):
    source = KINDS["words"]()
    source.export(tmp_path / "export.ndjson")
    header, *records = lines(tmp_path / "export.ndjson")
    assert header["lexidex_export"]["encoder"]["kind"] == "vectors"
    assert header["lexidex_export"]["n_documents"] == len(records) == len(source)
    other = Collection.create(MemoryStorage(), "vectors", merge="off")
    assert other.upsert(records).failed == []
    found, expected = answers(other), answers(source)
    assert [sorted(h[0] for h in hits) for hits in found[0]] == [
        sorted(h[0] for h in hits) for hits in expected[0]
    ]


def test_parquet_has_a_column_for_each_part_and_vectors_as_other_tools_have_them(tmp_path):
    source = KINDS["numbers"]()
    source.export(tmp_path / "export.parquet")
    table = pq.read_table(tmp_path / "export.parquet")
    names = ["id", "title", "text", "metadata", "indices", "values", "passages"]
    assert table.schema.names == names
    assert table.schema.field("indices").type == pa.list_(pa.uint32())
    assert table.schema.field("values").type == pa.list_(pa.float32())
    assert b"lexidex_export" in table.schema.metadata


def test_documents_are_added_to_a_collection_with_terms_of_its_own(tmp_path):
    source = KINDS["words"]()
    other = Collection.create(MemoryStorage(), "vectors", merge="off")
    other.upsert(
        [
            {"id": "d7", "vector": {"word39": 1.0}},
            {"id": "own", "vector": {"unheard": 1.0, "word3": 1.0}},
        ]
    )
    for form in ("terms", "components"):
        source.export(tmp_path / f"{form}.parquet", form)
        result = other.import_from(tmp_path / f"{form}.parquet")
        assert result.upserted == len(source)
        assert result.generation == other.generation
        assert len(other) == len(source) + 1
        for query in ({"word3": 1.0}, {"word39": 2.0}):
            found = other.search(sparse=query, k=100).hits
            expected = source.search(sparse=query, k=100).hits
            assert [(h.doc_id, h.score) for h in found if h.doc_id != "own"] == [
                (h.doc_id, h.score) for h in expected
            ]


@pytest.mark.parametrize("form", ["terms", "components"])
def test_terms_are_not_analysed_again(tmp_path, form):
    collection = Collection.create(MemoryStorage(), "deepct")
    collection.upsert(
        [{"id": "a", "vector": {"databases": 3.0}}, {"id": "b", "vector": {"a": 1.0}}]
    )
    collection.export(tmp_path / "out.ndjson", vectors=form)
    again = Collection.from_export(tmp_path / "out.ndjson", MemoryStorage())
    [expected], [found] = (one.search("databases").hits for one in (collection, again))
    assert (found.doc_id, found.score) == (expected.doc_id, expected.score)


def test_dense_vectors_of_another_kind_are_refused(tmp_path):
    source = KINDS["words and dense vectors"]()
    source.export(tmp_path / "e.ndjson")
    without = Collection.create(MemoryStorage(), "vectors", merge="off")
    with pytest.raises(
        EncoderMismatch, match=r"its dense side is vectors, not none as the collection's"
    ):
        without.import_from(tmp_path / "e.ndjson")
    other = Collection.create(MemoryStorage(), "vectors", dense="vectors", merge="off")
    other.upsert([{"id": "a", "vector": {"word1": 1.0}, "dense": [1.0, 0.0]}])
    with pytest.raises(InputError, match="4 dimensions; the index has 2"):
        other.import_from(tmp_path / "e.ndjson")
    other.delete(["a"])
    other.compact()
    other.import_from(tmp_path / "e.ndjson")
    assert answers(other) == answers(source)
    assert dense_answers(other) == dense_answers(source)


def test_replacing_takes_the_export_s_encoder(tmp_path):
    KINDS["bm25"]().export(tmp_path / "e.jsonl")
    other = Collection.create(MemoryStorage(), "vectors", merge="off")
    other.upsert([{"id": "a", "vector": {"x": 1.0}}])
    with pytest.raises(
        EncoderMismatch, match=r"are by encoder bm25, not vectors as the collection"
    ):
        other.import_from(tmp_path / "e.jsonl")
    assert "a" in other
    other.import_from(tmp_path / "e.jsonl", replace=True)
    assert answers(other) == answers(KINDS["bm25"]())


def test_what_does_not_fit_is_refused_and_nothing_changes(tmp_path):
    KINDS["words"]().export(tmp_path / "words.ndjson")
    KINDS["words"]().export(tmp_path / "none.ndjson", "none")
    numbers = KINDS["numbers"]()
    before = answers(numbers)
    with pytest.raises(InputError, match="by words, the collection by numbers"):
        numbers.import_from(tmp_path / "words.ndjson")
    with pytest.raises(InputError, match="has no vectors; encode the texts anew"):
        numbers.import_from(tmp_path / "none.ndjson")
    assert answers(numbers) == before
    with pytest.raises(ParameterError, match="'all'; choose among terms, components, none"):
        numbers.export(tmp_path / "x.ndjson", "all")
    with pytest.raises(ParameterError, match="component 1000003 has no word of its own"):
        numbers.export(tmp_path / "x.ndjson", "terms")
    with pytest.raises(ParameterError, match=r"x\.csv: an export's name ends in"):
        numbers.export(tmp_path / "x.csv")
    with pytest.raises(ParameterError, match=r"words\.ndjson: exists"):
        numbers.export(tmp_path / "words.ndjson")
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"words.ndjson", "none.ndjson"}


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_damaged_or_incomplete_export_is_refused_as_a_whole(tmp_path, suffix):
    path = tmp_path / f"export.{suffix}"
    KINDS["bm25"]().export(path)
    data = path.read_bytes()
    made = Collection.create(MemoryStorage(), merge="off")
    for kept in (0, 1, 10, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:kept])
        if suffix == "ndjson" and kept == len(data) - 1:
            continue  # the last line is complete without its end
        with pytest.raises(InputError, match=path.name):
            made.import_from(path)
        assert (len(made), made.generation) == (0, 1)
    path.unlink()
    with pytest.raises(InputError, match=f"{path.name}: cannot be read"):
        made.import_from(path)


def test_a_line_that_is_missing_or_no_document_is_named(tmp_path):
    path = tmp_path / "export.ndjson"
    KINDS["words"]().export(path)
    header, *records = path.read_text(encoding="utf-8").strip().split("\n")
    made = Collection.create(MemoryStorage(), "vectors", merge="off")
    for wrong, message in (
        ("{", r"export\.ndjson:3: not JSON"),
        ('{"text": "x"}', r"export\.ndjson:3: field 'id' is missing"),
        ('{"id": "x", "text": "y"}', r"document 'x' has no vector"),
        ('{"id": "x", "vector": {"components": [99], "values": [1]}}', "component 99 is not in"),
    ):
        some = [header, records[0], wrong, *records[2:]]
        path.write_text("\n".join(some), encoding="utf-8")
        with pytest.raises(InputError, match=message):
            made.import_from(path)
    path.write_text("\n".join([header, *records[1:]]), encoding="utf-8")
    with pytest.raises(InputError, match="ends after 48 of 49 documents"):
        made.import_from(path)
    path.write_text("\n".join(records), encoding="utf-8")
    with pytest.raises(InputError, match="not an export"):
        made.import_from(path)
    newer = header.replace(f'"format": {FORMAT_VERSION}', f'"format": {FORMAT_VERSION + 1}')
    path.write_text("\n".join([newer, *records]), encoding="utf-8")
    message = f"version {FORMAT_VERSION + 1}; this Lexidex reads version {FORMAT_VERSION}"
    with pytest.raises(UnsupportedVersion, match=message):
        made.import_from(path)
    assert (len(made), made.generation) == (0, 1)


@given(arrays(np.float32, 20, elements=st.floats(0, width=32, allow_infinity=False)))
@settings(max_examples=200)
def test_values_are_written_short_and_read_as_they_were(values):
    found = shortest(values)
    assert found.astype(np.float32).tobytes() == values.tobytes()
    for short, value in zip(found.tolist(), values.tolist(), strict=True):
        assert n_digits(short) <= n_digits(value)


def n_digits(number):
    """Digits of a number but for zeros at either end."""
    return len(repr(number).partition("e")[0].replace(".", "").strip("0"))


def test_a_full_disk_or_a_crash_leaves_no_export(tmp_path):
    source = KINDS["words"]()
    for suffix in SUFFIXES:
        name = f"e.{suffix}"
        complete = FaultyStorage()
        write_export(source._snapshot, complete, name)
        assert set(complete.files) == {name}
        for at in range(complete.operations):
            full = full_disk({}, at, once=True)
            with pytest.raises(StorageFull):
                write_export(source._snapshot, full, name)
            assert set(full.files) in (set(), {name})
            crashed = FaultyStorage(fail_at=at)
            with pytest.raises(Crash):
                write_export(source._snapshot, crashed, name)
            assert name not in crashed.files or at == complete.operations - 1
