"""Collections tuned to an accuracy: when they are written, anew by real queries, and per search."""

import json

import numpy as np
import pytest

from lexidex import Collection
from lexidex.errors import CorruptFile, ParameterError
from lexidex.index import SearchParams
from lexidex.index.seismic.frontier import Frontier
from lexidex.index.storage.files import FileStorage, MemoryStorage
from lexidex.index.storage.integrity import check
from lexidex.index.storage.tuned import read_tuning

TERMS = 200


def vector(rng, n_terms):
    components = np.unique(rng.integers(0, TERMS, n_terms))
    return {"components": components.tolist(), "values": rng.gamma(1.0, 1.0, components.size) + 0.1}


def documents(first, last):
    rng = np.random.default_rng(first)
    return [
        {"id": f"d{i}", "vector": vector(rng, 30), "metadata": {"n": i}} for i in range(first, last)
    ]


def sample(n=40, seed=1):
    rng = np.random.default_rng(seed)
    return [vector(rng, 8) for _ in range(n)]


@pytest.fixture(autouse=True)
def approximate(monkeypatch):
    """Segments of 300 passages get an approximate index, and it is always the cheaper one."""
    monkeypatch.setattr("lexidex.index.planner.SEISMIC_FROM", 300)
    monkeypatch.setattr("lexidex.index.planner.EXACT_NS_PER_POSTING", 10**9)
    monkeypatch.setattr("lexidex.writer.SMALL_WRITE", 100)


@pytest.fixture
def large(tmp_path):
    """A collection with one large segment and one small one."""
    made = Collection.create(tmp_path / "large", encoder="vectors")
    made.upsert(documents(0, 600))
    made.upsert(documents(600, 620))
    return made


def frontiers(collection):
    return [s.seismic.frontier for s in collection._snapshot.segments if s.seismic]


def test_a_segment_is_tuned_when_it_is_written(large):
    (frontier,) = frontiers(large)
    assert frontier.ks == (10, 100)
    (reopened,) = frontiers(Collection.open(large._storage.location))
    assert reopened.points == frontier.points
    assert large._snapshot.segments[0].entry.tuning is None


def test_a_search_by_accuracy_takes_the_tuned_parameters(large):
    (frontier,) = frontiers(large)
    query = sample(1)[0]
    target = frontier.of(10)[0].assured
    found = large.search(sparse=query, k=10, accuracy=target)
    assert found.plan == ("seismic", "exact")
    same = large.search(sparse=query, k=10, params=frontier.of(10)[0].params)
    assert (found.hits, found.counters) == (same.hits, same.counters)


@pytest.mark.parametrize(("k", "accuracy"), [(10, 1.0), (10, 0.9999), (101, 0.5)])
def test_what_is_not_known_to_be_reached_is_searched_exactly(large, monkeypatch, k, accuracy):
    segment = large._snapshot.segments[0]
    rows = [point for point in segment.seismic.frontier.points if point.assured < 0.999]
    monkeypatch.setattr(segment.seismic, "frontier", Frontier(rows))
    found = large.search(sparse=sample(1)[0], k=k, accuracy=accuracy)
    assert found.plan == ("exact", "exact")
    assert found.hits == large.search(sparse=sample(1)[0], k=k, exact=True).hits


@pytest.mark.parametrize("allowed", [3, 300, 620])
def test_a_filter_widens_a_search_by_accuracy(large, allowed):
    (frontier,) = frontiers(large)
    query, target = sample(1)[0], frontier.of(10)[0].assured
    options = {"sparse": query, "k": 10, "filter": {"n": {"lt": allowed}}}
    found = large.search(accuracy=target, **options)
    assert found.plan == ("seismic", "exact" if allowed == 620 else "skipped")
    assert found.hits
    assert all(hit.metadata["n"] < allowed for hit in found)
    same = large.search(params=frontier.of(10)[0].params, **options)
    assert (found.hits, found.counters) == (same.hits, same.counters)
    certain = large.search(accuracy=1.0, **options)
    assert "seismic" not in certain.plan
    assert certain.hits == large.search(exact=True, **options).hits


def test_a_segment_never_tuned_is_searched_exactly(large, monkeypatch):
    monkeypatch.setattr(large._snapshot.segments[0].seismic, "frontier", Frontier())
    assert large.search(sparse=sample(1)[0], accuracy=0.5).plan == ("exact", "exact")


def test_tuning_by_queries_is_committed_and_told(large):
    before = large.generation
    (old,) = frontiers(large)
    report = large.tune(sample(), k=5, accuracy=0.8)
    assert (report.k, report.accuracy, report.generation) == (5, 0.8, before)
    (tuned,) = report.segments
    assert (tuned.n_passages, tuned.n_queries, tuned.held_out) == (600, 40, False)
    (new,) = frontiers(large)
    assert new.of(5) == tuple(trial.point for trial in tuned.trials)
    assert new.of(10) == old.of(10)
    assert tuned.chosen(0.8).point.params == new.find(5, 0.8)
    reopened = Collection.open(large._storage.location)
    assert reopened.generation == before
    assert frontiers(reopened)[0].points == new.points
    assert check(large._storage).problems == []


def test_what_was_tuned_outlives_writes_and_is_replaced_by_tuning_again(large):
    large.tune(sample(), k=5)
    large.delete(["d3", "d601"])
    large.upsert(documents(620, 625))
    assert frontiers(large)[0].ks == (5, 10, 100)
    large.tune(None, k=5)
    names = [name for name in files(large) if "tuned-" in name]
    assert names == [f"segments/s000000/tuned-{large._snapshot.manifest.number:010d}.json"]
    assert large.get("d4").id == "d4"


def test_tuning_keeps_what_the_log_holds(large):
    large.delete(["d3", "d610"])
    large.upsert(documents(620, 625))
    before = large.search(sparse=sample(1)[0], exact=True)
    large.tune(sample(), k=5)
    for one in (large, Collection.open(large._storage.location)):
        found = one.search(sparse=sample(1)[0], exact=True)
        assert (found.hits, found.generation) == (before.hits, before.generation)
        assert (len(one), "d3" in one, "d624" in one) == (623, False, True)
        assert one.count({"n": {"lt": 5}}) == 4
    large.upsert(documents(625, 626))
    assert large.generation == before.generation + 1
    large.flush()
    large.compact()
    assert len(large) == 624
    (merged,) = frontiers(large)
    assert merged.ks == (10, 100), "tuned as any new segment, by its own documents"


def test_other_processes_follow_tuning(large):
    other = Collection.open(large._storage.location)
    large.tune(sample(), k=5)
    assert frontiers(other)[0].ks == (10, 100)
    assert other.refresh() == large.generation
    assert frontiers(other)[0].ks == (5, 10, 100)


def test_texts_are_encoded():
    made = Collection.create(MemoryStorage())
    rng = np.random.default_rng(0)
    words = [f"w{i}" for i in range(80)]
    texts = [" ".join(rng.choice(words, 20)) for _ in range(400)]
    made.upsert({"id": f"d{i}", "text": text} for i, text in enumerate(texts))
    report = made.tune([" ".join(rng.choice(words, 3)) for _ in range(30)], accuracy=0.01)
    assert report.segments[0].chosen(0.01) is not None
    found = made.search_batch([texts[0], texts[1]], accuracy=0.01)
    assert [result.plan for result in found] == [("seismic",)] * 2


def test_a_small_collection_has_nothing_to_tune():
    made = Collection.create(MemoryStorage(), encoder="vectors")
    made.upsert(documents(0, 20))
    report = made.tune(sample())
    assert (report.segments, report.generation) == ((), made.generation)
    assert made.search(sparse=sample(1)[0], accuracy=0.9).plan == ("exact",)


def test_a_segment_that_goes_while_it_is_tuned_is_passed_over(large, monkeypatch):
    from lexidex import writing as module

    tuned = module.tune_segments

    def interrupted(*arguments):
        found = tuned(*arguments)
        large.delete([f"d{i}" for i in range(600)])
        large.flush()
        return found

    monkeypatch.setattr(module, "tune_segments", interrupted)
    large.tune(sample(), k=5)
    assert frontiers(large) == []
    assert len(large) == 20


def test_a_failed_commit_leaves_everything_as_it_was(large, monkeypatch):
    before, generation = files(large), large.generation

    def fail(*_):
        raise OSError("no more")

    with monkeypatch.context() as patched:
        patched.setattr("lexidex.tuning.write_manifest", fail)
        with pytest.raises(OSError, match="no more"):
            large.tune(sample(), k=5)
    assert large.generation == generation
    large.delete(["d1"])
    assert not [name for name in files(large) if "tuned-" in name]
    assert before


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[]", b"\xff", b'{"points": 3}', b'{"points": [{"k": 1}]}']
)
def test_a_damaged_file_is_refused(large, content):
    large.tune(sample(), k=5)
    segment = large._snapshot.segments[0]
    path = FileStorage(large._storage.location).root / segment.entry.tuning.name
    whole = path.read_bytes()
    path.write_bytes(content)
    with pytest.raises(CorruptFile, match="tuned-"):
        Collection.open(large._storage.location)
    with pytest.raises(CorruptFile, match=r"tuned-.*tune again"):
        read_tuning(large._storage, segment.entry.tuning)
    path.write_bytes(whole)
    assert json.loads(whole)["points"] == read_tuning(large._storage, segment.entry.tuning).rows()


def test_what_does_not_go_together_is_refused(large):
    query = sample(1)[0]
    with pytest.raises(ParameterError, match=r"accuracy: give it without exact; 1\.0 searches"):
        large.search(sparse=query, accuracy=0.9, exact=True)
    with pytest.raises(ParameterError, match="accuracy: give it without params"):
        large.search(sparse=query, accuracy=0.9, params=SearchParams())
    for accuracy in (0, 1.5, "0.9", True):
        with pytest.raises(ParameterError, match=r"accuracy: .*; expected a number, above"):
            large.search(sparse=query, accuracy=accuracy)
        with pytest.raises(ParameterError, match=r"accuracy: .*; expected a number, above"):
            large.tune(None, accuracy=accuracy)
    with pytest.raises(ParameterError, match="queries: 3 have a result"):
        large.tune(sample(3))
    with pytest.raises(ParameterError, match="vector: 7; expected"):
        large.tune([7] * 20)


def files(collection):
    root = FileStorage(collection._storage.location).root
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())
