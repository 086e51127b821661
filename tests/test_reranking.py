"""Reranking a search against scores worked out beside it: orders, legs, pages, errors."""

import json

import numpy as np
import pytest
from scipy.special import softmax
from typer.testing import CliRunner

from lexidex import Collection, RerankParams
from lexidex.cli import app
from lexidex.dense_side import DenseSide
from lexidex.encoders.attention import Attention
from lexidex.encoders.cross_encoder import CrossEncoder
from lexidex.errors import EncoderMismatch, EncoderNotFound, ParameterError
from lexidex.index import DenseParams
from lexidex.index.fusion import FusionParams, Leg, fuse
from lexidex.index.storage.files import MemoryStorage
from lexidex.rerankers import AttentionReranker, CrossEncoderReranker

from .encoders.checkpoints import write_cross_encoder, write_dense

D = 3
WORDS = ["weather", "york", "sparse", "vectors", "indexes", "inverted", "text", "query"]


@pytest.fixture(scope="module")
def cross_encoder(tmp_path_factory):
    return write_cross_encoder(tmp_path_factory.mktemp("models") / "cross")


def text_of(random, n):
    return " ".join(random.choice(WORDS, n))


@pytest.fixture(scope="module")
def texts():
    """Documents of one passage and of several, in two segments and the log."""
    random = np.random.default_rng(0)
    documents = {}
    for n in range(30):
        sentences = [f"query {text_of(random, 4)}." for _ in range(1 + n % 3 * 3)]
        given = {"id": f"d{n}", "text": " ".join(sentences), "metadata": {"even": n % 2 == 0}}
        documents[f"d{n}"] = given | ({"title": text_of(random, 2)} if n % 4 == 0 else {})
    made = Collection.create(MemoryStorage(), "bm25", "off", passages="split,tokens=8,overlap=0")
    for first in (0, 10, 20):
        made.upsert(list(documents.values())[first : first + 10])
        if first < 20:
            made.flush()
    return made, documents


def cross_scores(collection, documents, model, query):
    """Of each document the best score of its passages, and which has it, pair by pair."""
    snapshot = collection._snapshot
    scores = {}
    for doc_id, given in documents.items():
        segment, document = snapshot.find(doc_id)
        passages = snapshot.segments[segment].passages
        first, end = passages.starts[document : document + 2]
        found = []
        for start, stop in passages.spans[first:end].tolist():
            read = f"{given.get('title', '')} {given['text'][start:stop]}".strip()
            found.append(float(model.scores([query], [read])[0]))
        scores[doc_id] = max(found), int(np.argmax(found))
    return scores


def test_a_cross_encoder_orders_by_the_best_passage(texts, cross_encoder):
    collection, documents = texts
    query = "sparse vectors query"
    scores = cross_scores(collection, documents, CrossEncoder(cross_encoder), query)
    before = collection.search(query, 30, exact=True)
    found = collection.search(query, 30, exact=True, rerank=str(cross_encoder))
    assert len(found) == len(before) == 30
    assert any(number > 0 for _, number in scores.values())
    expected = sorted(scores, key=lambda one: -scores[one][0])
    np.testing.assert_allclose(
        [hit.score for hit in found], [scores[one][0] for one in expected], atol=1e-4
    )
    firsts = {hit.doc_id: (rank, hit.score) for rank, hit in enumerate(before, start=1)}
    for rank, hit in enumerate(found, start=1):
        score, number = scores[hit.doc_id]
        assert hit.score == pytest.approx(score, abs=1e-4)
        assert hit.passage.number == number
        first, leg = hit.legs["first"], hit.legs["rerank"]
        assert (first.rank, first.score) == firsts[hit.doc_id]
        assert (leg.rank, leg.score, leg.contribution) == (rank, hit.score, hit.score)
        assert first.contribution == 0
    assert found.timings.rerank_us > 0
    assert before.timings.rerank_us is None
    assert not before.hits[0].legs


def test_the_first_documents_alone_are_reranked_and_pages_are_parts_of_one_ranking(
    texts, cross_encoder
):
    collection, _ = texts
    reranker = CrossEncoderReranker(CrossEncoder(cross_encoder))
    asked = {"exact": True, "rerank": RerankParams(reranker, depth=12)}
    before = collection.search("sparse query", 30, exact=True)
    names = [hit.doc_id for hit in before]
    rankings = [collection.search("sparse query", k, **asked) for k in (3, 12, 20, 30)]
    ranked = [[(hit.doc_id, hit.score) for hit in one] for one in rankings]
    for one in ranked:
        assert one == ranked[-1][: len(one)]
    reranked = [doc_id for doc_id, _ in ranked[-1]]
    assert sorted(reranked[:12]) == sorted(names[:12])
    assert reranked[:12] != names[:12]
    assert reranked[12:] == names[12:]
    for rank, hit in enumerate(rankings[-1].hits[12:], start=13):
        assert hit.legs.keys() == {"first"}
        assert (hit.legs["first"].rank, hit.legs["first"].contribution) == (rank, hit.score)


def test_a_batch_and_filters_agree_with_single_searches(texts, cross_encoder):
    collection, documents = texts
    params = RerankParams(CrossEncoderReranker(CrossEncoder(cross_encoder)), depth=7)
    queries = ["sparse query", "york weather", "nothing of it"]
    for options in ({}, {"filter": {"even": True}}):
        batch = collection.search_batch(queries, 9, rerank=params, **options)
        for query, found in zip(queries, batch, strict=True):
            single = collection.search(query, 9, rerank=params, **options)
            assert [h.doc_id for h in found] == [h.doc_id for h in single]
            if options:
                assert all(documents[h.doc_id]["metadata"]["even"] for h in found)
    assert not batch[2].hits


def test_a_cross_encoder_can_be_fused(texts, cross_encoder):
    collection, _ = texts
    fusion = FusionParams("min-max", {"first": 1.0, "rerank": 3.0})
    reranker = CrossEncoderReranker(CrossEncoder(cross_encoder))
    alone = collection.search("sparse query", 30, rerank=RerankParams(reranker))
    found = collection.search("sparse query", 30, rerank=RerankParams(reranker, 100, fusion))
    names = [hit.doc_id for hit in alone]
    legs = [
        Leg(leg, np.array([hit.legs[leg].score for hit in alone])) for leg in ("first", "rerank")
    ]
    expected = dict(zip(names, fuse(legs, fusion).scores, strict=True))
    assert [h.score for h in found] == pytest.approx(sorted(expected.values(), reverse=True))
    for hit in found:
        assert hit.score == pytest.approx(expected[hit.doc_id])


def drawn(random, name, n_passages):
    text = " ".join(["one"] * n_passages)
    passages = [
        {"start": 4 * n, "end": 4 * n + 3, "vector": {f"t{random.integers(4)}": 1.0 + n}}
        for n in range(n_passages)
    ]
    for n, passage in enumerate(passages):
        shape = D if n % 2 else (2, D)
        if n != 2:  # which has no dense vector
            passage["dense"] = random.standard_normal(shape).tolist()
    return {"id": name, "text": text, "passages": passages}


@pytest.fixture(scope="module")
def vectors():
    """Documents of up to five passages that bring their vectors, and one without dense ones."""
    random = np.random.default_rng(1)
    made = Collection.create(
        MemoryStorage(), "vectors", "off", dense="vectors", passages="split,tokens=100"
    )
    documents = [drawn(random, f"d{n}", 1 + n % 5) for n in range(24)]
    documents.append({"id": "bare", "text": "one", "vector": {"t1": 3.0}})
    for first in (0, 9, 18):
        made.upsert(documents[first : first + 9])
        if first < 18:
            made.flush()
    return made, {each["id"]: each for each in documents}


def attention_scores(documents, query, temperature):
    """The formula, document by document, over vectors of unit length."""
    query = np.asarray(query) / np.linalg.norm(query)
    scores = {}
    for name, given in documents.items():
        rows, owners = [], []
        for number, passage in enumerate(given.get("passages", [])):
            some = np.atleast_2d(passage.get("dense", np.zeros((0, D))))
            rows += [row / np.linalg.norm(row) for row in some]
            owners += [number] * len(some)
        if rows:
            products = np.array(rows) @ query
            weights = softmax(products / temperature)
            score = float(query @ (weights[:, None] * np.array(rows)).sum(0))
            scores[name] = score, owners[int(np.argmax(weights))]
    return scores


@pytest.mark.parametrize("mode", ["sparse", "dense", "hybrid"])
def test_attention_is_its_formula_fused_with_the_search(vectors, mode):
    collection, documents = vectors
    dense, sparse = [0.5, -1.0, 0.25], {"t1": 1.0, "t2": 0.5, "t3": 1.0}
    scores = attention_scores(documents, dense, 0.3)
    fusion = FusionParams("convex", {"first": 0.4, "rerank": 0.6})
    reranker = AttentionReranker(Attention(0.3, fusion=fusion))
    asked = {"mode": mode, "dense": dense} | ({} if mode == "dense" else {"sparse": sparse})
    before = collection.search(None, 30, **{k: v for k, v in asked.items() if k in used(mode)})
    found = collection.search(None, 30, **asked, rerank=RerankParams(reranker, depth=15))
    head = list(before)[:15]
    legs = [
        Leg("first", np.array([h.score for h in head]), -1.0 if mode == "dense" else 0.0),
        Leg("rerank", np.array([scores.get(h.doc_id, (np.nan,))[0] for h in head]), -1.0),
    ]
    expected = fuse(legs, fusion)
    order = expected.order.tolist()
    assert [h.doc_id for h in found][:15] == [head[place].doc_id for place in order]
    assert [h.doc_id for h in found][15:] == [h.doc_id for h in before][15:]
    former = {h.doc_id: h for h in before}
    for hit, place in zip(found, order, strict=False):
        assert hit.score == pytest.approx(expected.scores[place], abs=1e-5)
        told = [hit.legs[name].contribution for name in ("first", "rerank") if name in hit.legs]
        assert sum(told) == pytest.approx(hit.score)
        assert ("rerank" in hit.legs) == (hit.doc_id in scores)
        assert {name: hit.legs[name] for name in former[hit.doc_id].legs} == former[hit.doc_id].legs
        if "rerank" in hit.legs and told[1] > told[0]:
            assert hit.passage.number == scores[hit.doc_id][1]
        elif told[0]:
            assert hit.passage == former[hit.doc_id].passage


def test_the_same_documents_are_reranked_for_every_page_of_an_approximate_search(monkeypatch):
    monkeypatch.setattr("lexidex.index.dense.rows.INDEX_FROM", 100)
    random = np.random.default_rng(0)
    side = DenseSide(DenseParams(factory="PQ2np"))
    collection = Collection.create(MemoryStorage(), "vectors", "off", dense=side)
    rows = random.standard_normal((3000, 16))
    collection.upsert({"id": f"d{n}", "dense": row} for n, row in enumerate(rows.tolist()))
    collection.flush()
    asked = {"mode": "dense", "dense": random.standard_normal(16)}
    assert (
        len({tuple(h.doc_id for h in collection.search(None, k, **asked))[:20] for k in (20, 900)})
        > 1
    )
    reranked = {"rerank": RerankParams("attention", depth=20), **asked}
    rankings = [
        [h.doc_id for h in collection.search(None, k, **reranked)] for k in (5, 20, 40, 900)
    ]
    assert [one[:5] for one in rankings] == [rankings[0]] * 4
    assert [one[:20] for one in rankings[1:]] == [rankings[1]] * 3
    assert [len(set(one)) for one in rankings] == [5, 20, 40, 900]


def used(mode):
    return {"sparse": ("mode", "sparse"), "dense": ("mode", "dense")}.get(
        mode, ("mode", "sparse", "dense")
    )


def test_attention_encodes_the_query_by_the_collection_s_model(tmp_path):
    folder = write_dense(tmp_path / "model", {"pooling_mode_mean_tokens": True})
    collection = Collection.create(tmp_path / "c", dense=str(folder))
    texts = {"a": "the weather in New York", "b": "sparse weather", "c": "inverted weather indexes"}
    collection.upsert({"id": name, "text": text} for name, text in texts.items())
    alone = FusionParams("min-max", {"first": 0.0})
    found = collection.search("weather", rerank=RerankParams("attention", fusion=alone))
    dense = {hit.doc_id: hit.score for hit in collection.search("weather", mode="dense")}
    assert {h.doc_id: h.legs["rerank"].score for h in found} == pytest.approx(dense, abs=1e-5)
    assert [h.doc_id for h in found] == list(dense)
    side = collection.dense_side
    maps = np.eye(side.encoder.dim, dtype=np.float32)
    Attention(0.1, maps, maps, encoder=side.encoder.fingerprint).save(tmp_path / "own")
    assert len(collection.search("weather", rerank=str(tmp_path / "own"))) == 3
    Attention(0.1, maps, maps, encoder="another").save(tmp_path / "other")
    with pytest.raises(EncoderMismatch, match="trained on vectors of the encoder another"):
        collection.search("weather", rerank=str(tmp_path / "other"))


def test_what_cannot_be_reranked_is_refused(texts, vectors, cross_encoder, tmp_path):
    collection, _ = texts
    bare, _ = vectors
    with pytest.raises(EncoderNotFound, match="cross-encoder 'nowhere': no folder"):
        collection.search("query", rerank="nowhere")
    with pytest.raises(ParameterError, match=r"'attention' attends over .* no dense side"):
        collection.search("query", rerank="attention")
    for depth in (0, -1, True, 1.5):
        with pytest.raises(ParameterError, match="rerank: depth: "):
            RerankParams(depth=depth)
    with pytest.raises(ParameterError, match="rerank: 42; expected a name, a folder or a Rerank"):
        RerankParams(42)
    with pytest.raises(ParameterError, match="method: 'sum'; expected one of"):
        RerankParams(fusion="sum")
    with pytest.raises(ParameterError, match="rerank: 3; expected RerankParams"):
        collection.search("query", rerank=3)
    with pytest.raises(ParameterError, match="a cross-encoder reads the query's text"):
        collection.search(sparse={"query": 1.0}, rerank=str(cross_encoder))
    with pytest.raises(ParameterError, match="dense: of no use in mode 'sparse'"):
        collection.search("query", dense=[1.0], rerank=str(cross_encoder))
    with pytest.raises(ParameterError, match="expected a text, or a dense vector as 'dense'"):
        bare.search(sparse={"t1": 1.0}, rerank="attention")
    wrong = RerankParams("attention", fusion=FusionParams(weights={"dense": 1}))
    with pytest.raises(ParameterError, match="weights: no leg 'dense' here"):
        bare.search(sparse={"t1": 1.0}, dense=[1, 1, 1], rerank=wrong)
    wide = AttentionReranker(Attention(1.0, np.eye(4, dtype="f4"), np.eye(4, dtype="f4")), "wide")
    with pytest.raises(ParameterError, match=r"'wide' is for vectors of 4 .* have 3"):
        bare.search(sparse={"t1": 1.0}, dense=[1, 1, 1], rerank=RerankParams(wide))


def test_a_collection_without_stored_texts_or_vectors_says_so(cross_encoder):
    made = Collection.create(MemoryStorage(), "vectors", dense="vectors")
    assert not made.search(sparse={"x": 1.0}, dense=[1.0], rerank="attention").hits
    made.upsert([{"id": "a", "vector": {"x": 1.0}}])
    with pytest.raises(ParameterError, match="no passage here has any"):
        made.search(sparse={"x": 1.0}, dense=[1.0], rerank="attention")
    with pytest.raises(ParameterError, match="none of the documents found has a stored text"):
        made.search("q", sparse={"x": 1.0}, rerank=str(cross_encoder))


def test_the_command_line_reranks_searches_and_evaluations(tmp_path, cross_encoder):
    run = CliRunner().invoke
    to = str(tmp_path / "c")
    folder = write_dense(tmp_path / "model", {"pooling_mode_mean_tokens": True})
    random = np.random.default_rng(3)
    lines = [{"_id": f"d{n}", "text": f"query {text_of(random, 6)}"} for n in range(12)]
    queries = [{"_id": f"q{n}", "text": f"query {lines[n]['text'].split()[1]}"} for n in range(6)]
    data = tmp_path / "data"
    (data / "qrels").mkdir(parents=True)
    for name, rows in (("corpus", lines), ("queries", queries)):
        (data / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    judged = "".join(f"q{n}\td{n}\t1\n" for n in range(6))
    for split in ("train", "test"):
        (data / "qrels" / f"{split}.tsv").write_text(f"query-id\tcorpus-id\tscore\n{judged}")
    made = run(app, ["index", str(data), "--to", to, "--dense", str(folder), "-q"])
    assert made.exit_code == 0, made.output
    learned = str(tmp_path / "attention")
    trained = run(app, ["train-attention", to, "--data", str(data), "--to", learned,
                        "--steps", "5", "--json", "-q"])  # fmt: skip
    assert trained.exit_code == 0, trained.output
    told = json.loads(trained.stdout)
    assert told["lists"] == 6
    assert set(told["reciprocal_rank"]) == {
        "search", "attention before", "attention", "search and attention"
    }  # fmt: skip
    collection = Collection.open(to)
    for model in ("attention", learned, str(cross_encoder)):
        asked = ["search", to, "query sparse", "-k", "4", "--rerank", model]
        found = run(app, [*asked, "--rerank-depth", "5", "--json"])
        assert found.exit_code == 0, found.output
        params = RerankParams(model, 5)
        expected = collection.search("query sparse", 4, rerank=params)
        answer = json.loads(found.stdout)
        assert [(h["id"], h["score"]) for h in answer["hits"]] == [
            (h.doc_id, h.score) for h in expected
        ]
        assert answer["timings"]["rerank_us"] > 0
        assert ("licence: not stated" in found.stderr) == (model == str(cross_encoder))
        evaluated = run(app, ["eval", to, "--data", str(data), "--rerank", model, "--json", "-q"])
        assert evaluated.exit_code == 0, evaluated.output
    shown = run(app, [*asked, "--rerank-fusion", "rrf,rerank=2"])
    assert "rerank 0." in shown.output
    assert ", rerank " in shown.output.replace("\n", " ")
    refused = run(app, ["search", to, "query", "--rerank-depth", "5"])
    assert "--rerank-depth: of no use without --rerank" in str(refused.exception)
