"""The log: what was appended is read, a torn tail is ignored, any other damage is named."""

from itertools import islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lexidex.errors import CorruptFile, FormatError, StorageFull, UnsupportedVersion
from lexidex.index.dense import DenseParams, DenseRows
from lexidex.index.storage import log
from lexidex.index.storage.change import Change, combine, decode_change, encode_change
from lexidex.index.storage.documents import StoredDocument
from lexidex.index.storage.files import FileStorage, MemoryStorage
from lexidex.index.storage.passages import Passages

from ...faults import full_disk
from ..collections import random_batch

PAYLOADS = [b"first", b"", b"the third", bytes(range(256))]


def log_of(payloads, storage=None):
    storage = storage or MemoryStorage()
    place = log.create_log(storage, 7)
    places = [place]
    for payload in payloads:
        place = log.append_record(storage, place, payload)
        places.append(place)
    return storage, places


def read(storage):
    return log.read_log(storage, log.open_log(storage, 7))


@pytest.fixture(params=["file", "memory"])
def storage(request, tmp_path):
    return FileStorage(tmp_path) if request.param == "file" else MemoryStorage()


def test_records_are_read_in_order_and_from_any_place_on(storage):
    _, places = log_of(PAYLOADS, storage)
    assert read(storage) == (PAYLOADS, places[-1])
    assert [place.commit for place in places] == [7, 8, 9, 10, 11]
    assert log.read_log(storage, places[2]) == (PAYLOADS[2:], places[-1])
    assert log.read_log(storage, places[-1]) == ([], places[-1])


MARK = slice(24, 36)
"""Where a log tells which record has reached the disk."""


def unmarked(data):
    """A log whose mark has not reached the disk."""
    return data[: MARK.start] + bytes(12) + data[MARK.stop :]


def test_a_log_that_was_cut_behind_the_mark_keeps_its_complete_records():
    """As a writer leaves it that died before its record was synced."""
    storage, places = log_of(PAYLOADS)
    whole = unmarked(bytes(storage.files[places[0].name]))
    for length in range(len(whole) + 1):
        storage.files[places[0].name] = whole[:length]
        if length < places[0].end:
            with pytest.raises(CorruptFile, match=places[0].name):
                read(storage)
            continue
        n_complete = sum(place.end <= length for place in places) - 1
        payloads, last = read(storage)
        assert payloads == PAYLOADS[:n_complete]
        assert last == places[n_complete]
        again = log.append_record(storage, last, b"next")
        assert read(storage) == ([*payloads, b"next"], again)


def test_a_log_that_lacks_a_byte_of_what_was_acknowledged_is_damaged():
    storage, places = log_of(PAYLOADS)
    whole = bytes(storage.files[places[0].name])
    for length in range(len(whole)):
        storage.files[places[0].name] = whole[:length]
        with pytest.raises(CorruptFile, match=places[0].name):
            read(storage)
        if length >= places[0].end:
            with pytest.raises(CorruptFile, match="which was complete, is damaged or missing"):
                log.read_log(storage, [place for place in places if place.end <= length][-1])


def test_any_flipped_bit_is_named_or_does_not_matter():
    storage, places = log_of(PAYLOADS[:3])
    whole = bytes(storage.files[places[0].name])
    for bit in range(8 * len(whole)):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        storage.files[places[0].name] = bytes(damaged)
        if MARK.start <= bit // 8 < MARK.stop:
            assert read(storage) == (PAYLOADS[:3], places[-1])
            continue
        with pytest.raises(FormatError) as caught:
            read(storage)
        assert places[0].name in str(caught.value)
        if bit // 8 >= places[0].end:
            at = max(place.end for place in places if place.end <= bit // 8)
            assert f"byte {at}, which was complete, is damaged" in str(caught.value)


def test_without_a_mark_the_last_record_is_torn_where_it_is_damaged():
    storage, places = log_of(PAYLOADS[:3])
    whole = unmarked(bytes(storage.files[places[0].name]))
    for at in range(places[-2].end, len(whole)):
        storage.files[places[0].name] = whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]
        assert read(storage) == (PAYLOADS[:2], places[-2])


def test_a_mark_that_could_not_be_written_fails_nothing():
    storage, places = log_of(PAYLOADS)
    full = full_disk(storage.files, 2)  # behind appending and syncing
    place = log.append_record(full, places[-1], b"next")
    assert read(full) == ([*PAYLOADS, b"next"], place)


def test_commits_that_jump_are_named():
    storage, places = log_of(PAYLOADS)
    data = bytes(storage.files[places[0].name])
    storage.files[places[0].name] = data[: places[1].end] + data[places[2].end :]
    with pytest.raises(CorruptFile, match=f"at byte {places[1].end}, commit 10 follows commit 8"):
        read(storage)


def test_records_of_another_log_do_not_pass():
    storage, places = log_of(PAYLOADS)
    other, _ = log_of(PAYLOADS)
    head, name = places[0].end, places[0].name
    storage.files[name] = storage.files[name][:head] + other.files[name][head:]
    with pytest.raises(CorruptFile, match=f"the record at byte {head}"):
        read(storage)
    storage.files[name] = unmarked(bytes(storage.files[name]))
    assert read(storage) == ([], places[0])


def test_another_format_is_told_from_damage():
    storage, places = log_of([])
    data = bytearray(storage.files[places[0].name])
    data[8] = 9
    storage.files[places[0].name] = bytes(data)
    with pytest.raises(UnsupportedVersion, match="format version 9; this Lexidex reads version 0"):
        read(storage)


def test_a_full_disk_leaves_the_log_as_it_was():
    storage, places = log_of(PAYLOADS)
    full = full_disk(storage.files, 1)
    with pytest.raises(StorageFull):
        log.append_record(full, places[-1], b"does not reach the disk")
    full.fail_at = None
    assert log.append_record(full, places[-1], b"fits").commit == places[-1].commit + 1
    assert read(full)[0] == [*PAYLOADS, b"fits"]


ids = st.sampled_from("abcdef")


@st.composite
def changes(draw):
    put = draw(st.lists(ids, max_size=4, unique=True))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    counts = [draw(st.integers(1, 2)) for _ in put]
    spans = rng.integers(0, 9, (sum(counts), 2))
    passages = Passages.of_each(counts, spans, dense_rows(rng, sum(counts)))
    vectors = random_batch(rng, sum(counts), 5, 0.6)
    documents = [StoredDocument(i, None, f"{i} {rng.integers(99)}", {}) for i in put]
    return Change(documents, vectors, passages, 1.0, tuple(draw(st.lists(ids, max_size=3))))


def dense_rows(rng, n_passages):
    """None, one or two for each passage; None for none at all."""
    counts = rng.integers(0, 3, n_passages)
    vectors = rng.random((counts.sum(), 2), dtype=np.float32)
    return DenseRows.of_each(DenseParams(), counts, vectors) if len(vectors) else None


def dense_of(passages):
    """Vectors of each passage, as lists."""
    if passages.dense is None:
        return [[] for _ in range(passages.n_passages)]
    rows = np.split(passages.dense.vectors, passages.dense.starts[1:-1])
    return [one.tolist() for one in rows]


def applied(all_changes):
    """The oracle: a dict, in order of age."""
    content = {}
    for change in all_changes:
        for doc_id in change.deleted:
            content.pop(doc_id, None)
        ends = change.passages.starts[1:-1]
        rows = np.split(change.vectors.toarray(), ends)
        places = np.split(change.passages.spans, ends)
        near = iter(dense_of(change.passages))
        for document, vectors, spans in zip(change.documents, rows, places, strict=False):
            content.pop(document.id, None)
            padded = np.pad(vectors, ((0, 0), (0, 5 - vectors.shape[1])))
            dense = list(islice(near, len(spans)))
            content[document.id] = (document.text, padded.tolist(), spans.tolist(), dense)
    return list(content.items())


@given(st.lists(changes(), min_size=1, max_size=5), changes())
def test_changes_combined_do_what_they_do_one_after_the_other(given_changes, older):
    combined = combine(given_changes)
    restored = decode_change(encode_change(combined), "here")
    expected = applied([older, *given_changes])
    assert applied([older, combined]) == expected
    assert applied([older, restored]) == expected
    assert [d.id for d in restored.documents] == [d.id for d in combined.documents]


def test_terms_of_changes_go_on_from_one_another():
    one = Change(first_term=3, terms=("d", "e"))
    nothing = Change(first_term=5)
    other = Change(first_term=5, terms=("f",))
    both = decode_change(encode_change(combine([one, nothing, other])), "here")
    assert (both.first_term, both.terms) == (3, ("d", "e", "f"))
