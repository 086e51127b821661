"""Filters through a collection: searching, counting, facets and deleting, against the plain way."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lexidex import Collection
from lexidex.errors import ParameterError
from lexidex.index import SearchParams
from lexidex.index.filters import FacetCount, parse_filter
from lexidex.index.storage import segment as segments
from lexidex.index.storage.files import MemoryStorage
from lexidex.snapshot import EVERYTHING

from .index.filters import reference

YEARS = {"fly": 1990, "bee": 2001, "ant": 2002, "wasp": [1980, 2020]}
INSECTS = [
    {"id": name, "text": f"The {name} is an insect.", "metadata": {"year": year, "wings": True}}
    for name, year in YEARS.items()
]
RECENT = {"year": {"gte": 2000, "lt": 2010}}


@pytest.fixture
def collection():
    """Two segments; the ant and the moth are in the second, in memory."""
    made = Collection.create(MemoryStorage(), merge="off")
    made.upsert(INSECTS)
    made.flush()
    made.upsert(
        [
            {**INSECTS[2], "metadata": {"year": 2003, "legs": 6}},
            {"id": "moth", "text": "Moths are insects."},
        ]
    )
    return made


def ids(result):
    return {hit.doc_id for hit in result}


def test_a_search_finds_only_what_passes_the_filter(collection):
    assert ids(collection.search("insect")) == {*YEARS, "moth"}
    assert ids(collection.search("insect", filter=RECENT)) == {"bee", "ant"}
    assert ids(collection.search("insect", filter={"wings": True})) == {"fly", "bee", "wasp"}
    assert ids(collection.search("insect", filter={"year": {"exists": False}})) == {"moth"}
    assert ids(collection.search("insect", filter={})) == {*YEARS, "moth"}
    best = collection.search("insect", k=1).hits[0]
    kept = {"not": {"year": YEARS[best.doc_id]}} if best.doc_id in YEARS else {"year": 1990}
    assert len(collection.search("insect", k=1, filter=kept)) == 1


def test_a_batch_is_filtered_as_single_searches_are(collection):
    batch = collection.search_batch(["insect", "bee"], filter=RECENT)
    assert [ids(result) for result in batch] == [{"bee", "ant"}, {"bee"}]


def test_segments_without_a_passing_document_are_skipped(collection):
    result = collection.search("insect", filter={"legs": 6})
    assert (ids(result), result.plan) == ({"ant"}, ("skipped", "exact"))
    nothing = collection.search("insect", filter={"legs": 7})
    assert (nothing.hits, nothing.plan) == ([], ("skipped", "skipped"))
    assert nothing.counters.postings_scored == 0


def test_what_is_deleted_or_replaced_passes_no_filter(collection):
    assert collection.count({"year": 2002}) == 0  # replaced in the second segment
    assert collection.count(RECENT) == 2
    collection.delete(["bee"])
    assert collection.count(RECENT) == 1
    assert ids(collection.search("insect", filter=RECENT)) == {"ant"}


def test_counting(collection):
    assert collection.count() == len(collection) == 5
    assert collection.count({}) == 5
    assert collection.count({"wings": True}) == 3
    assert collection.count({"not": {"wings": True}}) == 2


def test_deleting_by_a_filter(collection):
    result = collection.delete(filter=RECENT)
    assert (result.deleted, result.generation) == (2, collection.generation)
    assert ids(collection.search("insect")) == {"fly", "wasp", "moth"}
    assert collection.delete(filter=RECENT).deleted == 0


def test_deleting_by_a_filter_sees_what_another_writer_has_written(tmp_path):
    first = Collection.create(tmp_path / "c")
    second = Collection.open(tmp_path / "c")
    first.upsert(INSECTS)
    assert second.delete(filter={"wings": True}).deleted == 4
    first.refresh()
    assert len(first) == 0


@pytest.mark.parametrize("given_filter", [{}, {"and": []}])
def test_a_filter_without_conditions_deletes_nothing(collection, given_filter):
    with pytest.raises(ParameterError, match="filter: no condition, which would delete every"):
        collection.delete(filter=given_filter)
    assert len(collection) == 5


def test_deleting_takes_ids_or_a_filter(collection):
    with pytest.raises(ParameterError, match="ids: give a list of ids or a filter, one of the two"):
        collection.delete(["fly"], filter=RECENT)
    with pytest.raises(ParameterError, match="ids: give a list"):
        collection.delete()


def test_facets_are_counted_over_all_that_passes(collection):
    counted = collection.facets(["year", "wings", "none"])
    assert counted == {
        "year": [FacetCount(year, 1) for year in (1980, 1990, 2001, 2003, 2020)],
        "wings": [FacetCount(True, 3)],
        "none": [],
    }
    assert collection.facets(["year"], {"wings": True}, n=2) == {
        "year": [FacetCount(1980, 1), FacetCount(1990, 1)]
    }
    result = collection.search("bee", filter={"wings": True}, facets=["wings"])
    assert ids(result) == {"bee"}
    assert result.facets == {"wings": [FacetCount(True, 3)]}
    assert collection.search("bee").facets == {}


def test_what_cannot_be_asked_is_refused(collection):
    bad = {"and": [{}, {"year": {"gt": [1]}}]}
    message = r"^filter\.and\[1\]\.year\.gt: expected a number, date-time or string, got \[1\]$"
    for ask in (
        lambda: collection.search("insect", filter=bad),
        lambda: collection.search_batch(["insect"], filter=bad),
        lambda: collection.count(bad),
        lambda: collection.delete(filter=bad),
        lambda: collection.facets(["year"], bad),
    ):
        with pytest.raises(ParameterError, match=message):
            ask()
    with pytest.raises(ParameterError, match="facets: 'year'; expected a list"):
        collection.facets("year")
    with pytest.raises(ParameterError, match="facets: 1; expected a list"):
        collection.search("insect", facets=[1])
    with pytest.raises(ParameterError, match="n: 0; expected an integer"):
        collection.facets(["year"], n=0)


def test_a_filter_is_evaluated_once_for_a_segment(collection, monkeypatch):
    evaluated = []

    def counting(expression, columns):
        evaluated.append(expression)
        return plain(expression, columns)

    plain = segments.evaluate
    monkeypatch.setattr(segments, "evaluate", counting)
    for _ in range(3):
        collection.search("insect", filter=RECENT)
        collection.count(RECENT)
        collection.facets(["year"], RECENT)
    assert len(evaluated) == 2  # once a segment
    collection.upsert([{"id": "flea", "text": "insect", "metadata": {"year": 2004}}])
    assert collection.count(RECENT) == 3
    assert len(evaluated) == 3  # the older segments are as they were
    collection.delete(["flea"])
    assert collection.count(RECENT) == 2


def test_what_a_filter_left_of_the_log_is_never_stale(collection):
    insects = {"wings": True}
    assert ids(collection.search("insect", filter=RECENT)) == {"bee", "ant"}
    collection.delete(["ant"])  # in memory
    assert ids(collection.search("insect", filter=RECENT)) == {"bee"}
    assert ids(collection.search("insect", filter=insects)) == {"fly", "bee", "wasp"}
    collection.delete(["bee"])  # on disk, deleted in memory only
    assert ids(collection.search("insect", filter=RECENT)) == set()
    assert collection.count(insects) == 2
    for year, found in ((2001, {"moth"}), (1950, set()), (2009, {"moth"})):
        collection.upsert(
            [{"id": "moth", "text": "Moths are insects.", "metadata": {"year": year}}]
        )
        assert ids(collection.search("insect", filter=RECENT)) == found
        assert collection.count(RECENT) == len(found)
    collection.update([{"id": "fly", "metadata": {"year": 2005}}])
    for _ in range(2):
        assert ids(collection.search("insect", filter=RECENT)) == {"moth", "fly"}
        assert collection.count(insects) == 1
        assert collection.facets(["year"], RECENT)["year"] == [
            FacetCount(2005, 1),
            FacetCount(2009, 1),
        ]
        collection.flush()


def test_a_commit_that_is_undone_leaves_no_mask_behind(tmp_path):
    """Another commit of the same number deletes as many documents: others, of the same segment."""
    writer = Collection.create(tmp_path / "c")
    writer.upsert(INSECTS)
    writer.flush()
    reader = Collection.open(tmp_path / "c")
    log = tmp_path / "c" / writer._snapshot.place.name
    before = log.read_bytes()
    for gone in ("ant", "bee"):
        log.write_bytes(before)
        Collection.open(tmp_path / "c").delete([gone])
        reader.refresh()
        assert ids(reader.search("insect", filter=RECENT)) == {"ant", "bee"} - {gone}
        log.write_bytes(before)
        reader.refresh()
        assert reader.count(RECENT) == 2


@pytest.mark.parametrize("limit", [10_000, 1])
def test_deleting_few_goes_into_the_log_and_many_at_once(collection, monkeypatch, limit):
    monkeypatch.setattr("lexidex.writer.SMALL_DELETE", limit)
    number, generation = collection._snapshot.manifest.number, collection.generation
    result = collection.delete(filter={"wings": True})
    assert (result.deleted, result.generation) == (3, generation + 1)
    assert (collection._snapshot.manifest.number == number) == (limit == 10_000)
    assert collection.delete([*YEARS, "none"]).deleted == 1
    for one in (collection, Collection.open(collection._storage)):
        assert ids(one.search("insect")) == {"moth"}
        assert (one.count(), one.generation) == (1, generation + 2)


@settings(max_examples=30)
@given(
    st.lists(st.lists(reference.metadata, max_size=8), min_size=1, max_size=3),
    st.lists(reference.filters, min_size=1, max_size=5),
    st.integers(1, 5),
    st.integers(0, 2**32 - 1),
)
def test_filtered_search_finds_the_best_that_pass(written, filters, k, seed):
    rng = np.random.default_rng(seed)
    collection, stored, weight = Collection.create(MemoryStorage(), "vectors"), {}, 1.0
    for batch in written:
        # A few ids, so that later documents replace earlier ones.
        documents = [
            {"id": f"d{rng.integers(0, 12)}", "vector": {"x": weight + n}, "metadata": metadata}
            for n, metadata in enumerate(batch)
        ]
        collection.upsert(documents)
        stored |= {one["id"]: (one["metadata"], one["vector"]["x"]) for one in documents}
        weight += len(batch)
    for given_filter in filters:
        passing = {
            name: weight
            for name, (metadata, weight) in stored.items()
            if reference.lets_through(given_filter, metadata)
        }
        found = collection.search(sparse={"x": 1.0}, k=k, filter=given_filter)
        expected = sorted(passing, key=lambda name: -passing[name])[:k]
        assert [hit.doc_id for hit in found] == expected
        assert collection.count(given_filter) == len(passing)
        counts = Counter(
            value for name in passing for value in reference.values_of(stored[name][0], "a")
        )
        facet = collection.facets(["a"], given_filter, n=1000)["a"]
        assert {(type(one.value).__name__, one.value): one.count for one in facet} == counts
    if parse_filter(filters[0]) != EVERYTHING:
        before = collection.count(filters[0])
        assert collection.delete(filter=filters[0]).deleted == before
        assert collection.count(filters[0]) == 0


@pytest.mark.parametrize("exact", [False, True])
def test_approximate_search_keeps_to_the_filter(exact, monkeypatch):
    monkeypatch.setattr("lexidex.index.planner.SEISMIC_FROM", 100)
    monkeypatch.setattr("lexidex.segment_search.prefers_exact", lambda *_: np.zeros(1, dtype=bool))
    rng = np.random.default_rng(0)
    collection = Collection.create(MemoryStorage(), "vectors")
    collection.upsert(
        {
            "id": str(number),
            "vector": {f"t{term}": float(rng.random() + 0.1) for term in rng.integers(0, 20, 5)},
            "metadata": {"even": number % 2 == 0},
        }
        for number in range(300)
    )
    result = collection.search(
        sparse={"t1": 1.0, "t2": 0.5},
        exact=exact,
        params=SearchParams(query_cut=20),
        filter={"even": True},
    )
    assert result.plan == ("exact" if exact else "seismic",)
    assert len(result) == 10
    assert all(int(hit.doc_id) % 2 == 0 for hit in result)
