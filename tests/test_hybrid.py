"""Dense and hybrid search in a collection against brute force over a dict of documents."""

import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from lexidex import Collection
from lexidex.cli import app
from lexidex.dense_side import DenseSide
from lexidex.errors import EncoderMismatch, ParameterError
from lexidex.index import DenseParams
from lexidex.index.fusion import METHODS, FusionParams, Leg, fuse
from lexidex.index.storage.files import MemoryStorage

from .encoders.checkpoints import write_dense, write_plain

D = 6


def made(**options):
    return Collection.create(
        MemoryStorage(), encoder="vectors", dense="vectors", merge="off", **options
    )


def document(random, name, *, n_dense=1, group="a"):
    terms = random.choice(12, size=random.integers(1, 6), replace=False)
    vector = {f"t{t}": float(random.integers(1, 9)) for t in terms}
    given_ = {"id": name, "vector": vector, "metadata": {"group": group}}
    if n_dense == 1:
        given_["dense"] = random.standard_normal(D).tolist()
    elif n_dense:
        given_["dense"] = random.standard_normal((n_dense, D)).tolist()
    return given_


def cosine(one, other):
    one, other = np.asarray(one, dtype=float), np.asarray(other, dtype=float)
    return one @ other / np.linalg.norm(one) / np.linalg.norm(other)


def dense_score(given_, query):
    if "dense" not in given_:
        return np.nan
    return max(cosine(row, query) for row in np.atleast_2d(given_["dense"]))


def sparse_score(given_, query):
    score = sum(query.get(term, 0) * weight for term, weight in given_["vector"].items())
    return score or np.nan


def fused(documents, sparse, dense, params):
    """(id, score), best first, of every document that a leg finds within its depth."""
    names = list(documents)
    scores = {
        "sparse": np.array([sparse_score(documents[n], sparse) for n in names]),
        "dense": np.array([dense_score(documents[n], dense) for n in names]),
    }
    chosen = set()
    for leg in scores.values():
        known = [place for place in range(len(names)) if not np.isnan(leg[place])]
        chosen |= set(sorted(known, key=lambda place: (-leg[place], place))[: params.depth])
    places = sorted(chosen)
    legs = [
        Leg("sparse", scores["sparse"][places], 0.0),
        Leg("dense", np.clip(scores["dense"][places], -1, 1), -1.0),
    ]
    result = fuse(legs, params)
    return {names[places[o]]: result.scores[o] for o in result.order.tolist()}


def check(collection, documents, sparse, dense, params=None, k=5, **options):
    params = params or FusionParams()
    found = collection.search(
        None, k, mode="hybrid", sparse=sparse, dense=dense, fusion=params, **options
    )
    expected = fused(documents, sparse, dense, params)
    best = sorted(expected.values(), reverse=True)[:k]
    assert [hit.score for hit in found] == pytest.approx(best, abs=1e-5)
    for hit in found:
        assert hit.score == pytest.approx(expected[hit.doc_id], abs=1e-5)
        assert sum(leg.contribution for leg in hit.legs.values()) == pytest.approx(hit.score)
        assert hit.legs.keys() <= {"sparse", "dense"}
        for name, score in (("sparse", sparse_score), ("dense", dense_score)):
            value = score(documents[hit.doc_id], sparse if name == "sparse" else dense)
            assert (name in hit.legs) == (not np.isnan(value))
            if name in hit.legs:
                assert hit.legs[name].score == pytest.approx(value, abs=1e-5)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 10**6), st.sampled_from(METHODS), st.integers(1, 30), st.integers(1, 8))
def test_hybrid_search_is_brute_force_over_writes_of_all_kinds(seed, method, depth, k):
    random = np.random.default_rng(seed)
    collection, documents = made(), {}
    for _ in range(6):
        names = [f"d{n}" for n in random.integers(0, 20, random.integers(1, 8))]
        batch = {
            name: document(
                random, name, n_dense=int(random.integers(0, 3)), group="ab"[random.integers(2)]
            )
            for name in names
        }
        collection.upsert(batch.values())
        for name in batch:
            documents.pop(name, None)
        documents |= batch
        gone = [name for name in documents if random.random() < 0.1]
        collection.delete(gone)
        for name in gone:
            del documents[name]
        if random.random() < 0.3:
            collection.flush()
        if random.random() < 0.15:
            collection.compact()
    sparse = {f"t{t}": float(random.integers(1, 5)) for t in random.choice(12, 4, replace=False)}
    dense = random.standard_normal(D)
    params = FusionParams(method, {"dense": float(random.integers(1, 4))}, depth)
    k = min(k, 2 * depth)
    check(collection, documents, sparse, dense, params, k)
    some = {
        name: given_ for name, given_ in documents.items() if given_["metadata"]["group"] == "a"
    }
    check(collection, some, sparse, dense, params, k, filter={"group": "a"})
    found = collection.search(None, k, mode="dense", dense=dense)
    scores = {name: dense_score(given_, dense) for name, given_ in documents.items()}
    best = sorted((s for s in scores.values() if not np.isnan(s)), reverse=True)[:k]
    assert [hit.score for hit in found] == pytest.approx(best, abs=1e-5)
    assert all(hit.score == pytest.approx(scores[hit.doc_id], abs=1e-5) for hit in found)


def test_it_is_the_same_after_opening_again_and_after_a_restart_from_the_log(tmp_path):
    random = np.random.default_rng(1)
    documents = {f"d{n}": document(random, f"d{n}", n_dense=n % 3) for n in range(40)}
    with Collection.create(tmp_path / "c", "vectors", dense="vectors") as collection:
        collection.upsert(list(documents.values())[:30])
        collection.flush()
        collection.upsert(list(documents.values())[30:])
        sparse, dense = {"t1": 1.0, "t5": 2.0}, random.standard_normal(D)
        again = Collection.open(tmp_path / "c")
        assert not again.check().problems
        check(again, documents, sparse, dense)
        check(collection, documents, sparse, dense)
        collection.compact()
    check(Collection.open(tmp_path / "c"), documents, sparse, dense, k=40)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(0, 10**6),
    size=st.integers(0, 40),
    method=st.sampled_from(METHODS),
    depth=st.integers(2, 10),
    pages=st.lists(st.integers(1, 7), min_size=1, max_size=25),
    exact=st.booleans(),
)
def test_pages_of_any_size_are_parts_of_one_ranking(seed, size, method, depth, pages, exact):
    """Deeper than any leg is searched; with equal scores, and documents that one leg knows."""
    random = np.random.default_rng(seed)
    collection = made()
    for first in range(0, size, 16):
        batch = [
            document(random, f"d{n}", n_dense=int(random.integers(0, 3)))
            for n in range(first, min(first + 16, size))
        ]
        for one in batch:
            if "dense" in one:
                one["dense"] = (np.sign(one["dense"]) * [1, 1, 1, 0, 0, 0]).tolist()
        collection.upsert(batch)
        collection.flush()
    collection.delete([f"d{n}" for n in range(0, size, 9)])
    asked = {
        "query": None, "mode": "hybrid", "sparse": {"t1": 1.0, "t2": 2.0}, "dense": [1.0] * D,
        "fusion": FusionParams(method, {"dense": float(random.integers(1, 4))}, depth),
        "exact": exact,
    }  # fmt: skip
    most = 2 * depth
    whole = collection.search(k=most, **asked).hits
    first = 0
    for k in (min(k, most) for k in pages):
        assert collection.search(k=k, offset=first, **asked).hits == whole[first : first + k]
        first += k
        assert collection.search(k=min(first, most), **asked).hits == whole[:first]


@pytest.mark.parametrize("mode", ["sparse", "dense", "hybrid"])
def test_an_offset_leaves_out_the_best(mode):
    random = np.random.default_rng(2)
    collection = made()
    collection.upsert([document(random, f"d{n}") for n in range(60)])
    query = {"sparse": {"t1": 1.0, "t2": 1.0}, "dense": random.standard_normal(D)}
    query = {name: one for name, one in query.items() if mode in (name, "hybrid")}
    whole = collection.search(None, 12, mode=mode, **query).hits
    pages = [collection.search(None, 5, mode=mode, offset=n, **query).hits for n in (0, 5)]
    assert pages[0] + pages[1] == whole[:10]
    assert collection.search(None, 5, mode=mode, offset=1_000, **query).hits == []
    for offset in (-1, True, 1.5):
        with pytest.raises(ParameterError, match=f"offset: {offset}; expected an integer"):
            collection.search(None, 5, mode=mode, offset=offset, **query)
    with pytest.raises(ParameterError, match=r"offset \+ k: 1000001; expected"):
        collection.search(None, 1, mode=mode, offset=10**6, **query)


def test_a_vector_against_the_query_s_has_the_least_score_that_there_can_be():
    """By rounding, its cosine may be less than -1."""
    random = np.random.default_rng(8)
    dense = random.standard_normal((50, D))
    collection = made()
    collection.upsert(
        {"id": f"d{n}", "vector": {"x": 1.0}, "dense": row} for n, row in enumerate(dense.tolist())
    )
    for number, row in enumerate(dense):
        found = collection.search(None, 50, mode="hybrid", sparse={"x": 1.0}, dense=-row)
        last = found.hits[-1]
        assert (last.doc_id, last.legs["dense"].score) == (f"d{number}", pytest.approx(-1))
        assert last.legs["dense"].score >= -1


def several_passages(random, name):
    """A document of up to three passages, each with a sparse vector, and most with a dense one."""
    passages = []
    for _ in range(random.integers(1, 4)):
        made_ = document(random, name, n_dense=int(random.random() < 0.8))
        passages.append({key: made_[key] for key in ("vector", "dense") if key in made_})
    return {"id": name, "passages": passages, "metadata": {"group": "ab"[random.integers(2)]}}


def leg_scores_of(document_, sparse, dense):
    """A document's scores by its best passage, NaN for none: brute force."""
    found = []
    for score, query in ((sparse_score, sparse), (dense_score, dense)):
        known = [s for s in (score(p, query) for p in document_["passages"]) if not np.isnan(s)]
        found.append(max(known, default=np.nan))
    return found


@pytest.fixture
def approximate(monkeypatch):
    """Segments get approximate indexes for both legs, and these are always the cheaper ones."""
    monkeypatch.setattr("lexidex.index.planner.SEISMIC_FROM", 100)
    monkeypatch.setattr("lexidex.index.planner.EXACT_NS_PER_POSTING", 10**9)
    monkeypatch.setattr("lexidex.index.dense.rows.INDEX_FROM", 100)
    monkeypatch.setattr("lexidex.index.dense.faiss_index._PER_NODE", 0.01)
    monkeypatch.setattr("lexidex.writer.SMALL_WRITE", 10)
    monkeypatch.setattr("lexidex.searching.SOUGHT", 4)


@pytest.mark.usefixtures("approximate")
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("several", [False, True])
def test_what_approximate_searches_propose_is_scored_exactly_and_fused(method, several):
    """Over two large segments and a small one, with deletions, and under a filter."""
    random = np.random.default_rng(len(method))
    side = DenseSide(DenseParams(factory="HNSW16_SQ8"))
    collection = Collection.create(
        MemoryStorage(), "vectors", dense=side, merge="off", passages="split,tokens=100"
    )
    documents = {}
    for first, last in ((0, 150), (150, 300), (300, 305)):
        batch = [several_passages(random, f"d{n}") for n in range(first, last)]
        if not several:
            batch = [one | {"passages": one["passages"][:1]} for one in batch]
        documents |= {one["id"]: one for one in batch}
        collection.upsert(batch)
    collection.delete([f"d{n}" for n in range(0, 305, 7)])
    for n in range(0, 305, 7):
        del documents[f"d{n}"]
    sparse, dense = {"t1": 2.0, "t4": 1.0, "t7": 3.0}, random.standard_normal(D)
    asked = {"mode": "hybrid", "sparse": sparse, "dense": dense}
    params = FusionParams(method, depth=40)
    of_a = {name: one for name, one in documents.items() if one["metadata"]["group"] == "a"}
    for kept, options in ((documents, {}), (of_a, {"filter": {"group": "a"}})):
        hits = collection.search(None, 80, fusion=params, **asked, **options).hits
        assert 40 <= len(hits) <= 80
        assert {hit.doc_id for hit in hits} <= kept.keys()
        scores = np.array([leg_scores_of(kept[hit.doc_id], sparse, dense) for hit in hits])
        legs = [Leg("sparse", scores[:, 0], 0.0), Leg("dense", np.clip(scores[:, 1], -1, 1), -1.0)]
        expected = fuse(legs, params)
        assert [hit.score for hit in hits] == pytest.approx(expected.scores.tolist(), abs=1e-5)
        for number, leg in enumerate(legs):
            told = [hit.legs[leg.name].score if leg.name in hit.legs else np.nan for hit in hits]
            np.testing.assert_allclose(told, scores[:, number], atol=1e-5)
            shares = [
                hit.legs[leg.name].contribution if leg.name in hit.legs else 0 for hit in hits
            ]
            np.testing.assert_allclose(shares, expected.contributions[number], atol=1e-5)
        ranked = [hit.score for hit in hits]
        assert ranked == sorted(ranked, reverse=True)
        page = collection.search(None, 7, offset=9, fusion=params, **asked, **options).hits
        assert page == hits[9:16]


@pytest.mark.usefixtures("approximate")
def test_an_accuracy_of_1_approximates_neither_leg():
    random = np.random.default_rng(5)
    side = DenseSide(DenseParams(factory="PQ1x4np"))
    collection = Collection.create(MemoryStorage(), "vectors", dense=side, merge="off")
    collection.upsert(document(random, f"d{n}") for n in range(400))
    collection.flush()
    asked = {"sparse": {"t1": 2.0, "t4": 1.0}, "dense": random.standard_normal(D)}
    for mode, given_ in (("dense", {"dense": asked["dense"]}), ("hybrid", asked)):
        exact = collection.search(None, 20, mode=mode, exact=True, **given_)
        assert collection.search(None, 20, mode=mode, **given_).hits != exact.hits
        assert collection.search(None, 20, mode=mode, accuracy=1, **given_).hits == exact.hits
    assert collection.search(None, 20, mode="hybrid", accuracy=0.9, **asked).hits
    with pytest.raises(ParameterError, match="dense search knows but 1, which compares"):
        collection.search(None, mode="dense", accuracy=0.9, dense=asked["dense"])


def test_each_leg_tells_the_passage_that_it_scores():
    collection = Collection.create(MemoryStorage(), "vectors", dense="vectors")
    passages = [
        {"start": 0, "end": 3, "vector": {"one": 5.0}, "dense": [1.0, 0.0]},
        {"start": 4, "end": 7, "vector": {"two": 1.0}, "dense": [0.0, 1.0]},
    ]
    collection.upsert([{"id": "a", "text": "one two", "passages": passages}])
    sparse, dense = {"one": 1.0, "two": 1.0}, [0.1, 1.0]
    (hit,) = collection.search(None, mode="hybrid", sparse=sparse, dense=dense).hits
    assert {name: leg.passage for name, leg in hit.legs.items()} == {"sparse": 0, "dense": 1}
    assert (hit.passage.number, hit.sparse_passage) == (1, 0)
    explained = collection.explain(sparse, "a", hit.sparse_passage)
    assert explained.score == hit.legs["sparse"].score == 5
    (hit,) = collection.search(None, mode="dense", dense=dense).hits
    assert (hit.legs["dense"].passage, hit.sparse_passage) == (1, 1)


def test_fusion_may_be_a_text_and_has_to_reach_as_far_as_k():
    collection = made()
    collection.upsert([document(np.random.default_rng(0), f"d{n}") for n in range(9)])
    asked = {"mode": "hybrid", "sparse": {"t1": 1.0}, "dense": np.ones(D)}
    found = collection.search(None, 4, fusion="rrf,depth=2,dense=3", **asked)
    params = FusionParams("rrf", {"dense": 3}, 2)
    assert found.hits == collection.search(None, 4, fusion=params, **asked).hits
    with pytest.raises(ParameterError, match="k: 5; hybrid search ranks the 2 best of each leg"):
        collection.search(None, 5, fusion="rrf,depth=2", **asked)
    with pytest.raises(ParameterError, match="fusion: 5; expected FusionParams, or a text"):
        collection.search(None, fusion=5, **asked)


def test_metadata_is_updated_and_vectors_stay():
    random = np.random.default_rng(3)
    collection = made()
    collection.upsert([document(random, "a"), document(random, "b", n_dense=2)])
    before = collection.search(None, mode="dense", dense=np.ones(D))
    collection.update([{"id": "b", "metadata": {"group": "z"}}])
    after = collection.search(None, mode="dense", dense=np.ones(D))
    assert {h.doc_id: h.score for h in after} == {h.doc_id: h.score for h in before}
    assert [
        h.doc_id
        for h in collection.search(None, mode="dense", dense=np.ones(D), filter={"group": "z"})
    ] == ["b"]


def test_passages_bring_their_vectors_and_the_best_of_them_is_the_hit_s():
    collection = made(passages="split,tokens=100")
    text = "one two three"
    passages = [
        {"start": 0, "end": 3, "vector": {"one": 1.0}, "dense": [1.0, 0.0]},
        {"start": 4, "end": 13, "vector": {"two": 1.0}, "dense": [0.0, 1.0]},
    ]
    collection.upsert([{"id": "a", "text": text, "passages": passages}])
    (hit,) = collection.search(None, mode="dense", dense=[0.1, 1.0])
    assert (hit.passage.number, hit.passage.text) == (1, "two three")
    (hit,) = collection.search(
        None,
        mode="hybrid",
        dense=[0.1, 1.0],
        sparse={"one": 3.0},
        fusion=FusionParams(weights={"dense": 0.1}),
    )
    assert hit.passage.number == 0


def test_a_dense_vector_alone_is_a_document():
    collection = made()
    assert collection.upsert([{"id": "a", "dense": [1.0, 0.0]}]).upserted == 1
    assert [h.doc_id for h in collection.search(None, mode="dense", dense=[1.0, 1.0])] == ["a"]
    query = {"sparse": {"x": 1.0}, "dense": [1.0, 1.0]}
    (hit,) = collection.search(None, mode="hybrid", **query)
    assert hit.legs.keys() == {"dense"}


def test_an_index_by_name_is_made_once_there_are_vectors_enough(monkeypatch, tmp_path):
    monkeypatch.setattr("lexidex.index.dense.rows.INDEX_FROM", 50)
    random = np.random.default_rng(4)
    side = DenseSide(DenseParams("inner-product", "SQ8"))
    collection = Collection.create(tmp_path / "c", "vectors", dense=side, merge="off")
    collection.upsert([document(random, f"d{n}") for n in range(40)])
    assert collection.search(None, mode="dense", dense=np.ones(D)).plan == ("exact",)
    collection.upsert([document(random, f"e{n}") for n in range(40)])
    collection.compact()
    found = collection.search(None, mode="dense", dense=np.ones(D))
    assert found.plan == ("SQ8",)
    exact = collection.search(None, mode="dense", dense=np.ones(D), exact=True)
    assert exact.plan == ("exact",)
    assert [h.doc_id for h in exact] == [h.doc_id for h in found]


def test_the_plan_tells_how_either_leg_was_searched(monkeypatch):
    monkeypatch.setattr("lexidex.index.dense.rows.INDEX_FROM", 50)
    random = np.random.default_rng(4)
    side = DenseSide(DenseParams(factory="SQ8"))
    collection = Collection.create(MemoryStorage(), "vectors", dense=side, merge="off")
    groups = {"many": 70, "few": 10}
    collection.upsert(
        document(random, f"{group}{n}", group=group)
        for group in groups
        for n in range(groups[group])
    )
    collection.flush()
    collection.upsert([{"id": "none", "vector": {"t1": 1.0}, "metadata": {"group": "many"}}])

    def plan(mode, **options):
        sparse = {"t1": 1.0} if mode == "hybrid" else None
        asked = {"mode": mode, "dense": np.ones(D), "sparse": sparse}
        return collection.search(None, **asked, **options).plan

    assert plan("dense") == ("SQ8", "skipped")
    assert plan("dense", exact=True) == ("exact", "skipped")
    assert plan("dense", filter={"group": "many"}) == ("SQ8", "skipped")
    assert plan("dense", filter={"group": "few"}) == ("exact", "skipped")
    assert plan("hybrid") == ("exact", "exact", "SQ8", "skipped")
    assert plan("hybrid", filter={"group": "few"}) == ("exact", "skipped", "exact", "skipped")


@pytest.mark.parametrize("factory", ["Bogus", "IVF64,SQ8,RFlat", "LSH"])
def test_an_index_that_there_is_not_is_refused_before_anything_is_made(factory, tmp_path):
    side = DenseSide(DenseParams(factory=factory))
    with pytest.raises(ParameterError, match=f"factory: '{factory}'"):
        Collection.create(tmp_path / "c", "vectors", dense=side)
    assert not (tmp_path / "c").exists()


def test_an_index_that_does_not_fit_is_refused_at_the_first_vectors(tmp_path):
    folder = write_dense(tmp_path / "model", {"pooling_mode_mean_tokens": True})
    with pytest.raises(
        ParameterError, match=r"'PQ7' for vectors of \d+ dimensions; FAISS says: The"
    ):
        Collection.create(
            tmp_path / "c", "vectors", dense=DenseSide.named(str(folder), factory="PQ7")
        )
    collection = Collection.create(
        MemoryStorage(), "vectors", dense=DenseSide(DenseParams(factory="PQ3"))
    )
    result = collection.upsert([{"id": "a", "dense": [1.0, 2.0]}, {"id": "b", "dense": [1, 2, 3]}])
    assert result.upserted == 1
    ((name, said),) = result.failed
    assert name == "a"
    assert said.startswith("factory: 'PQ3' for vectors of 2 dimensions; FAISS says: The dimension")


def test_a_segment_of_too_few_vectors_for_its_index_compares_8_bit_values(monkeypatch):
    monkeypatch.setattr("lexidex.index.dense.rows.INDEX_FROM", 50)
    random = np.random.default_rng(4)
    side = DenseSide(DenseParams(factory="IVF128,Flat"))
    collection = Collection.create(MemoryStorage(), "vectors", dense=side, merge="off")
    asked = {"mode": "dense", "dense": np.ones(D)}
    collection.upsert([document(random, f"d{n}") for n in range(100)])
    collection.flush()
    assert collection.search(None, **asked).plan == ("SQ8",)
    collection.upsert([document(random, f"e{n}") for n in range(100)])
    collection.compact()
    assert collection.search(None, **asked).plan == ("IVF128,Flat",)


def test_inner_products_are_finite_or_the_vector_is_refused():
    side = DenseSide(DenseParams("inner-product"))
    collection = Collection.create(MemoryStorage(), "vectors", dense=side)
    vector = {"x": 1.0}
    result = collection.upsert(
        [
            {"id": "a", "vector": vector, "dense": [1e16, 1.0]},
            {"id": "b", "vector": vector, "dense": [1e25, 1.0]},
        ]
    )
    ((name, said),) = result.failed
    assert (name, "dense: value 1e+25 in row 0; inner products take" in said) == ("b", True)
    with pytest.raises(ParameterError, match=r"dense: value 1e\+20 in row 0; inner products take"):
        collection.search(None, mode="dense", dense=[1e20, 0.0])
    for mode, sparse in (("dense", None), ("hybrid", vector)):
        (hit,) = collection.search(None, mode=mode, dense=[1e16, 0.0], sparse=sparse)
        assert hit.legs["dense"].score == pytest.approx(1e32)


@pytest.mark.parametrize(
    ("given_", "reason"),
    [
        ({"dense": "abc"}, "dense: 'abc'; expected a list of numbers"),
        ({"dense": [1.0, float("nan")]}, "dense: value nan in row 0"),
        ({"dense": [0.0, 0.0]}, "dense: row 0 is all zeros"),
        ({"dense": [1.0, 2.0, 3.0]}, "dense: 3 dimensions; this collection's vectors have 2"),
        ({"dense": [[[1.0]]]}, r"dense: an array of shape (1, 1, 1); expected (d,) or (n, d)"),
    ],
)
def test_dense_vectors_that_do_not_fit_are_left_out_with_the_reason(given_, reason):
    collection = made()
    good = {"id": "a", "vector": {"x": 1.0}, "dense": [1.0, 2.0]}
    result = collection.upsert([good, {"id": "b", "vector": {"x": 1.0}, **given_}])
    assert result.upserted == 1
    ((name, said),) = result.failed
    assert name == "b"
    assert reason in said


def test_searches_that_have_no_answer_are_refused():
    plain = Collection.create(MemoryStorage(), encoder="vectors")
    with pytest.raises(ParameterError, match="no dense side"):
        plain.search(None, mode="dense", dense=[1.0])
    assert "no dense side" in plain.upsert([{"id": "a", "dense": [1.0]}]).failed[0][1]
    collection = made()
    collection.upsert([{"id": "a", "vector": {"x": 1.0}, "dense": [1.0, 2.0]}])
    for options, message in (
        ({"mode": "both"}, "mode: 'both'; choose among sparse, dense, hybrid"),
        ({"mode": "sparse", "sparse": {"x": 1}, "dense": [1, 2]}, "dense: of no use"),
        ({"mode": "dense", "dense": [1, 2, 3]}, "dense: 3 dimensions; the index has 2"),
        ({"mode": "dense", "dense": [[1, 2]]}, "dense: shape"),
        ({"mode": "hybrid", "sparse": {"x": 1}}, "query: none is given; expected a text"),
        ({"mode": "sparse", "sparse": {"x": 1}, "fusion": FusionParams()}, "fusion: only for"),
        (
            {
                "mode": "hybrid",
                "sparse": {"x": 1},
                "dense": [1, 2],
                "fusion": FusionParams(weights={"bm25": 1}),
            },
            "weights: no leg 'bm25'",
        ),
    ):
        with pytest.raises(ParameterError, match=message):
            collection.search(None, **options)


def test_the_command_line_indexes_searches_and_measures_both_sides(tmp_path):
    random = np.random.default_rng(5)
    lines = [json.dumps(document(random, f"d{n}")) for n in range(20)]
    (tmp_path / "docs.jsonl").write_text("\n".join(lines))
    run = CliRunner().invoke
    to = str(tmp_path / "c")
    made = run(app, ["index", str(tmp_path / "docs.jsonl"), "--to", to, "--encoder", "vectors",
                     "--dense", "vectors", "--dense-index", "Flat"])  # fmt: skip
    assert made.exit_code == 0, made.output
    dense = json.dumps(random.standard_normal(D).tolist())
    asked = [
        "search",
        to,
        "--sparse",
        '{"t1": 1.0}',
        "--dense",
        dense,
        "--mode",
        "hybrid",
        "-k",
        "3",
    ]
    found = run(app, [*asked, "--fusion", "convex,dense=2", "--json"])
    assert found.exit_code == 0, found.output
    hits = json.loads(found.stdout)["hits"]
    expected = Collection.open(to).search(
        None, 3, mode="hybrid", sparse={"t1": 1.0}, dense=json.loads(dense),
        fusion=FusionParams(weights={"dense": 2}),
    )  # fmt: skip
    assert [(h["id"], h["score"]) for h in hits] == [(h.doc_id, h.score) for h in expected]
    shown = run(app, asked)
    assert "dense 0." in shown.output
    refused = run(app, ["index", str(tmp_path / "docs.jsonl"), "--to", to, "--dense", "vectors"])
    assert isinstance(refused.exception, ParameterError)
    assert "--dense and its options are for new collections" in str(refused.exception)


def test_the_command_line_says_how_dense_vectors_are_made_and_compared(tmp_path):
    (tmp_path / "docs.jsonl").write_text('{"id": "a", "text": "sparse vectors"}\n')
    plain = write_plain(tmp_path / "plain")
    asked = ["index", str(tmp_path / "docs.jsonl"), "--encoder", "bm25", "--dense", str(plain)]
    to = tmp_path / "c"
    refused = CliRunner().invoke(app, [*asked, "--to", str(to)])
    assert "pooling" in str(refused.exception)
    options = ["--dense-option", "pooling=max", "--dense-metric", "inner-product"]
    options += ["--dense-index", "SQ8", "--to", str(to)]
    assert CliRunner().invoke(app, [*asked, *options]).exit_code == 0
    side = Collection.open(to).dense_side
    assert side.encoder.options["pooling"] == "max"
    assert side.params == DenseParams("inner-product", "SQ8")


@pytest.mark.parametrize(
    ("given_", "changes", "message"),
    [
        (5, {}, "dense: 5; expected a name, a folder, a DenseEncoder"),
        (None, {"metric": "cosine"}, "dense metric: of no use without dense vectors"),
        ("vectors", {"options": {"pooling": "max"}}, "dense pooling: 'vectors' has no options"),
        ("vectors", {"metric": "l2"}, "metric: 'l2'; expected one of"),
    ],
)
def test_what_cannot_be_said_of_a_dense_side_is_refused(given_, changes, message):
    with pytest.raises(ParameterError, match=message):
        DenseSide.named(given_, **changes)


@pytest.mark.parametrize("method", METHODS)
def test_the_command_line_explains_how_each_leg_adds_to_a_score(tmp_path, method):
    random = np.random.default_rng(7)
    documents = [document(random, f"d{n}", n_dense=n % 2) for n in range(9)]
    with Collection.create(tmp_path / "c", "vectors", dense="vectors") as collection:
        collection.upsert(documents)
    dense = [1.0] * D
    asked = ["search", str(tmp_path / "c"), "--sparse", '{"t1": 1.0, "t2": 2.0}', "--dense",
             json.dumps(dense), "--mode", "hybrid", "--fusion", method]  # fmt: skip
    plain, told = (
        " ".join(CliRunner().invoke(app, [*asked, *more]).output.split())
        for more in ((), ("--explain",))
    )
    found = Collection.open(tmp_path / "c").search(
        None, 10, mode="hybrid", sparse={"t1": 1.0, "t2": 2.0}, dense=dense,
        fusion=FusionParams(method),
    )  # fmt: skip
    assert {len(hit.legs) for hit in found} == {1, 2}
    for hit in found:
        for name, leg in hit.legs.items():
            where = f"(rank {leg.rank}, score {leg.score:.3f})"
            assert f"{name} {leg.contribution:.3f} {where}" in plain
            made = "=" if leg.contribution == leg.weight * leg.normalised else "gives"
            assert made == "=" or (method == "max" and leg.contribution == 0)
            sum_ = f"{leg.weight:.3g} x {leg.normalised:.3f} {made} {leg.contribution:.3f}"
            assert f"{name} {sum_} {where}" in told


def test_a_dense_model_encodes_documents_and_queries(tmp_path):
    """Through the command line, on a small random model; hybrid results are measured."""
    folder = write_dense(tmp_path / "model", {"pooling_mode_mean_tokens": True})
    side = DenseSide.of(str(folder))
    texts = {"a": "the weather in New York", "b": "sparse vectors", "c": "inverted indexes"}
    collection = Collection.create(tmp_path / "c", dense=side)
    collection.upsert({"id": name, "text": text} for name, text in texts.items())
    vectors = side.encoder.encode_documents(list(texts.values()))
    query = side.encoder.encode_queries(["sparse indexes"])[0]
    (first, *_) = collection.search("sparse indexes", mode="dense")
    assert first.doc_id == list(texts)[int(np.argmax(vectors @ query))]
    assert first.score == pytest.approx(float((vectors @ query).max()), abs=1e-5)
    hybrid = Collection.open(tmp_path / "c").search("sparse indexes", mode="hybrid")
    assert {hit.doc_id for hit in hybrid} == set(texts)
    other = write_dense(tmp_path / "other", {"pooling_mode_cls_token": True})
    (tmp_path / "model").rename(tmp_path / "gone")
    other.rename(tmp_path / "model")
    with pytest.raises(EncoderMismatch, match="dense encoder of fingerprint"):
        Collection.open(tmp_path / "c")


@pytest.mark.parametrize("name", ["out.ndjson.gz", "out.parquet"])
def test_an_export_makes_the_same_collection_again(tmp_path, name):
    random = np.random.default_rng(6)
    collection = made(passages="split,tokens=100")
    collection.upsert([document(random, f"d{n}", n_dense=n % 3) for n in range(20)])
    passages = [
        {"start": 0, "end": 3, "vector": {"t1": 1.0}, "dense": random.standard_normal(D).tolist()},
        {"start": 4, "end": 7, "vector": {"t2": 1.0}},
    ]
    collection.upsert([{"id": "p", "text": "one two", "passages": passages}])
    collection.export(tmp_path / name)
    again = Collection.from_export(tmp_path / name, MemoryStorage())
    for query in ({"mode": "dense"}, {"mode": "hybrid", "sparse": {"t1": 2.0, "t3": 1.0}}):
        asked = {"query": None, "k": 30, "dense": random.standard_normal(D), **query}
        one, other = collection.search(**asked), again.search(**asked)
        assert [(h.doc_id, h.score) for h in one] == [(h.doc_id, h.score) for h in other]
    plain = Collection.create(MemoryStorage(), encoder="vectors")
    with pytest.raises(
        EncoderMismatch, match=r"its dense side is .*, not none as the collection's"
    ):
        plain.import_from(tmp_path / name)
