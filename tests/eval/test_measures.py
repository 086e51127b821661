"""Measures against trec_eval itself, against the formulas, and against ir-measures' own sums."""

import math

import ir_measures
import pytest
import pytrec_eval
from hypothesis import given
from hypothesis import strategies as st

from lexidex.errors import ParameterError
from lexidex.eval.measures import DEFAULT_MEASURES, depth_of, evaluate, parse_measures

DOCUMENTS = [f"d{n}" for n in range(8)]
QUERIES = ["q1", "q2", "q3"]
QRELS = st.dictionaries(
    st.sampled_from(QUERIES),
    st.dictionaries(st.sampled_from(DOCUMENTS), st.integers(-1, 3)).filter(
        lambda relevance: max(relevance.values(), default=-1) >= 0
    ),
    min_size=1,
)
RUNS = st.dictionaries(
    st.sampled_from([*QUERIES, "unjudged"]),
    st.lists(
        st.tuples(st.sampled_from(DOCUMENTS), st.integers(0, 3).map(float)),
        unique_by=lambda hit: hit[0],
    ).map(lambda hits: dict(sorted(hits, key=lambda hit: -hit[1]))),
)
TREC_NAMES = {
    "nDCG@3": "ndcg_cut_3",
    "nDCG": "ndcg",
    "R@5": "recall_5",
    "P@5": "P_5",
    "AP": "map",
    "AP@3": "map_cut_3",
    "RR": "recip_rank",
    "Bpref": "bpref",
    "Success@1": "success_1",
}


def ndcg(relevance, ranked, cutoff):
    """The linear gain of trec_eval, by its formula."""

    def dcg(gains):
        pairs = enumerate(gains[:cutoff], start=2)
        return sum(max(gain, 0) / math.log2(rank) for rank, gain in pairs)

    ideal = dcg(sorted(relevance.values(), reverse=True))
    return dcg([relevance.get(doc_id, 0) for doc_id in ranked]) / ideal if ideal else 0.0


@pytest.mark.smoke
@given(QRELS, RUNS)
def test_values_are_trec_eval_s(qrels, run):
    """Ties keep the run's order; a query without results counts 0; means are over all judged."""
    evaluation = evaluate(qrels, run, parse_measures(" ".join(TREC_NAMES)))
    by_rank = {
        q: {doc_id: float(-rank) for rank, doc_id in enumerate(hits)}
        for q, hits in run.items()
        if hits
    }
    evaluator = pytrec_eval.RelevanceEvaluator(qrels, set(TREC_NAMES.values()))
    expected = evaluator.evaluate(by_rank)
    assert set(evaluation.per_query) == set(qrels)
    for query_id, values in evaluation.per_query.items():
        assert list(values) == list(TREC_NAMES)
        for name, value in values.items():
            known = expected.get(query_id, {}).get(TREC_NAMES[name], 0.0)
            assert value == pytest.approx(known), (query_id, name)
    for name, mean in evaluation.means.items():
        total = math.fsum(values[name] for values in evaluation.per_query.values())
        assert mean == pytest.approx(total / len(qrels))


@given(QRELS, RUNS, st.integers(1, 9))
def test_ndcg_and_reciprocal_rank_follow_their_formulas(qrels, run, cutoff):
    measures = parse_measures(f"nDCG@{cutoff} RR@{cutoff} R@{cutoff}")
    evaluation = evaluate(qrels, run, measures)
    for query_id, relevance in qrels.items():
        ranked = list(run.get(query_id, {}))
        found = [rank for rank, d in enumerate(ranked, 1) if relevance.get(d, 0) > 0]
        relevant = sum(grade > 0 for grade in relevance.values())
        within = [rank for rank in found if rank <= cutoff]
        values = evaluation.per_query[query_id]
        assert values[f"nDCG@{cutoff}"] == pytest.approx(ndcg(relevance, ranked, cutoff))
        assert values[f"RR@{cutoff}"] == pytest.approx(1 / within[0] if within else 0)
        assert values[f"R@{cutoff}"] == pytest.approx(len(within) / relevant if relevant else 0)


@given(QRELS, RUNS)
def test_means_are_ir_measures_own_where_every_query_has_results(qrels, run):
    measures = parse_measures("nDCG@10 AP RR@10 P@5")
    full = {q: run.get(q) or {"d0": 1.0} for q in qrels}
    ranked = {
        q: {doc_id: float(-rank) for rank, doc_id in enumerate(hits)} for q, hits in full.items()
    }
    expected = ir_measures.calc_aggregate(measures, qrels, ranked)
    means = evaluate(qrels, full, measures).means
    assert means == {str(m): pytest.approx(value) for m, value in expected.items()}


def test_figures_worked_out_by_hand():
    qrels = {"q1": {"a": 2, "b": 1, "c": 0}, "q2": {"a": 1}}
    run = {"q1": {"c": 3.0, "b": 2.0, "a": 2.0}}
    evaluation = evaluate(qrels, run, parse_measures("nDCG@10,RR@10 R@2"))
    ideal = 2 / math.log2(2) + 1 / math.log2(3)
    gained = 1 / math.log2(3) + 2 / math.log2(4)
    assert evaluation.per_query == {
        "q1": {"nDCG@10": pytest.approx(gained / ideal), "RR@10": 0.5, "R@2": 0.5},
        "q2": {"nDCG@10": 0, "RR@10": 0, "R@2": 0},
    }
    assert evaluation.means["RR@10"] == 0.25


def test_a_run_without_any_result():
    evaluation = evaluate({"q": {"d": 1}}, {"q": {}}, parse_measures(DEFAULT_MEASURES))
    assert evaluation.means == {"nDCG@10": 0.0, "R@100": 0.0}
    assert evaluate({"q": {"d": 1}}, {}, parse_measures("AP")).means == {"AP": 0.0}


def test_a_query_with_negative_judgments_alone_counts_as_0():
    """trec_eval brings the process down at these, now and then; they must not reach it."""
    measures = parse_measures(" ".join(TREC_NAMES))
    for qrels in ({"q": {"d": -1}}, {"q": {"d": -1, "e": -2}, "r": {"d": 1}}, {"q": {}}):
        for _ in range(20):
            evaluation = evaluate(qrels, {"q": {"d": 2.0, "e": 1.0}}, measures)
            assert set(evaluation.per_query) == set(qrels)
            assert set(evaluation.per_query["q"].values()) == {0.0}


def test_the_run_and_the_judgments_stay_as_they_were():
    qrels, run = {"q": {"d": 1}}, {"q": {"x": 1.0, "d": 1.0}, "other": {"d": 1.0}}
    evaluate(qrels, run, parse_measures("nDCG@10 AP"))
    assert qrels == {"q": {"d": 1}}
    assert run == {"q": {"x": 1.0, "d": 1.0}, "other": {"d": 1.0}}


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("nDCG@10", ["nDCG@10"]),
        ("nDCG@10 R@100", ["nDCG@10", "R@100"]),
        (" RR@10,R@1000,\tAP ", ["RR@10", "R@1000", "AP"]),
        ("AP(rel=2)@100 P(rel=2,judged_only=True)@5, RR", None),
        (DEFAULT_MEASURES, ["nDCG@10", "R@100"]),
    ],
)
def test_measures_are_written_as_they_are_read(text, names):
    names = names or ["AP(rel=2)@100", "P(rel=2,judged_only=True)@5", "RR"]
    measures = parse_measures(text)
    assert [str(measure) for measure in measures] == names
    assert [str(m) for m in parse_measures(" ".join(names))] == names


@pytest.mark.parametrize(
    ("text", "depth"),
    [("nDCG@10", 10), ("nDCG@10 R@100", 100), ("AP", 1000), ("nDCG@10 RR", 1000), ("R@5000", 5000)],
)
def test_the_depth_that_measures_need(text, depth):
    assert depth_of(parse_measures(text)) == depth


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "nDCG@10 foo",
            "measure 'foo' is not known (measure not found: foo); try nDCG@10, RR@10, ",
        ),
        ("nDCG@", "measure 'nDCG@' is not known (problem parsing measure "),
        ("nDCG@10@5", "measure 'nDCG@10@5' is not known (problem parsing measure "),
        ("P@x", "measure 'P@x' is not known (problem parsing measure "),
        ("P@-1", "measure 'P@-1' is not known (problem parsing measure "),
        ("(", "measure '(' is not known (problem parsing measure "),
        ("nDCG@10 (", "measure '(' is not known (problem parsing measure "),
        ("__import__", "measure '__import__' is not known (measure not found: __import__); "),
        ("nDCG@0", "measure 'nDCG@0' is not known (its cutoff must lie from 1 to 1,000,000); try"),
        ("R@1000001", "measure 'R@1000001' is not known (its cutoff must lie from 1 to 1,000,000)"),
        ("nDCG@10.5", "measure 'nDCG@10.5' is not known (invalid param cutoff=10.5); try"),
        ("P", "measure 'P' is not known (it needs a cutoff); try nDCG@10"),
        ("AP(rel='x')", "measure \"AP(rel='x')\" is not known (invalid param rel='x'); try"),
        ("AP(foo=1)", "measure 'AP(foo=1)' is not known ("),
        ("P(rel=0)@5", "measure 'P(rel=0)@5' is not known ("),
        ("P@True", "measure 'P@True' is not known ("),
        ("alpha_nDCG@10", "measure 'alpha_nDCG@10' is not known (Unsupported measures "),
        ("", "measures: '' names none; try 'nDCG@10 R@100'"),
        (" , ", "measures: ' , ' names none; try 'nDCG@10 R@100'"),
    ],
)
def test_a_measure_that_cannot_be_computed_is_named(text, message):
    """trec_eval brings the process down at some of these; none may reach it."""
    with pytest.raises(ParameterError) as caught:
        parse_measures(text)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)
