"""Teachers against plain products of vectors, and how they are combined."""

import numpy as np
import pytest
from scipy.sparse import csr_array

from lexidex.encoders import load_encoder
from lexidex.encoders.training.candidates import Candidates, read_candidates
from lexidex.encoders.training.named_models import dense
from lexidex.encoders.training.teachers import (
    CrossEncoderTeacher,
    DenseTeacher,
    Ensemble,
    SparseTeacher,
    StoredTeacher,
    min_max,
)
from lexidex.errors import EncoderNotFound, InputError, ParameterError

from .tiny import tiny_pairs, write_backbone

PAIRS = tiny_pairs(12)
QUERIES = np.array([0, 3, 3, 11, 5])
DOCUMENTS = np.array([0, 3, 7, 2, 5])


class Table:
    """A teacher that reads its scores from an array, and notes what it was asked."""

    def __init__(self, scores):
        self.table = scores

    def scores(self, queries, documents):
        return self.table[queries, documents]


@pytest.fixture
def tables():
    rng = np.random.default_rng(0)
    return [Table(rng.normal(mean, 4, (12, 12)).astype(np.float32)) for mean in (0, 30)]


def test_bm25_teaches_what_its_vectors_say():
    texts = [*PAIRS.queries[:6], *PAIRS.documents[6:]]  # some words are shared, most are not
    pairs = type(PAIRS)(PAIRS.query_ids, PAIRS.queries, PAIRS.document_ids, texts, PAIRS.positives)
    encoder = load_encoder("bm25").fit(texts)
    wanted = (encoder.encode_queries(pairs.queries) @ encoder.encode_documents(texts).T).toarray()
    found = SparseTeacher(load_encoder("bm25"), pairs).scores(QUERIES, DOCUMENTS)
    assert found.max() > 0
    np.testing.assert_allclose(found, wanted[QUERIES, DOCUMENTS], rtol=1e-6)


class Counting:
    """A dense encoder that counts letters, and notes what it was asked."""

    def __init__(self):
        self.asked = []

    def encode_documents(self, texts):
        self.asked.extend(texts)
        return np.array([[len(text), text.count("1")] for text in texts], dtype=np.float32)

    encode_queries = encode_documents


def test_a_dense_teacher_encodes_each_text_once():
    encoder = Counting()
    wanted = encoder.encode_queries(PAIRS.queries) @ encoder.encode_documents(PAIRS.documents).T
    encoder.asked.clear()
    teacher = DenseTeacher(encoder, PAIRS)
    for _ in range(2):
        found = teacher.scores(QUERIES, DOCUMENTS)
        np.testing.assert_allclose(found, wanted[QUERIES, DOCUMENTS])
    texts = [PAIRS.queries[row] for row in {0, 3, 11, 5}]
    texts += [PAIRS.documents[row] for row in {0, 3, 7, 2, 5}]
    assert sorted(encoder.asked) == sorted(texts)


class Beside:
    """Encoders whose vectors depend on how many texts are encoded with one, as in truth they do."""

    needs_statistics = False

    def __init__(self, sparse):
        self._sparse = sparse

    def encode_documents(self, texts):
        vectors = np.array([[len(text), len(texts)] for text in texts], dtype=np.float32)
        return csr_array(vectors) if self._sparse else vectors

    encode_queries = encode_documents


@pytest.mark.parametrize(("kind", "is_sparse"), [(DenseTeacher, False), (SparseTeacher, True)])
def test_teachers_say_the_same_whatever_is_asked_with_it(kind, is_sparse):
    together = kind(Beside(is_sparse), PAIRS).scores(QUERIES, DOCUMENTS)
    alone = kind(Beside(is_sparse), PAIRS)
    parts = [alone.scores(QUERIES[[place]], DOCUMENTS[[place]]) for place in range(5)]
    np.testing.assert_array_equal(together, np.concatenate(parts))


def test_a_dense_model_in_transformers_layout_is_the_mean_of_its_states(tmp_path):
    import torch
    from transformers import AutoModel, AutoTokenizer

    folder = write_backbone(tmp_path, "BertModel")
    model, words = AutoModel.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    found = dense(str(folder)).encode_documents(PAIRS.documents)
    for text, vector in zip(PAIRS.documents, found, strict=True):
        with torch.inference_mode():
            states = model(**words(text, return_tensors="pt")).last_hidden_state[0]
        np.testing.assert_allclose(vector, states.mean(0).numpy(), atol=1e-4)
    with pytest.raises(EncoderNotFound, match="'nowhere': no such folder"):
        dense("nowhere")


def test_a_cross_encoder_reads_both_texts(tmp_path):
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    folder = write_backbone(tmp_path, "BertForSequenceClassification")
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    words = AutoTokenizer.from_pretrained(folder)
    wanted = []
    for query, document in zip(QUERIES, DOCUMENTS, strict=True):
        tokens = words(PAIRS.queries[query], PAIRS.documents[document], return_tensors="pt")
        with torch.inference_mode():
            wanted.append(float(model(**tokens).logits[0, 0]))
    teacher = CrossEncoderTeacher(folder, PAIRS, batch=2)
    np.testing.assert_allclose(teacher.scores(QUERIES, DOCUMENTS), wanted, atol=1e-4)


def test_stored_scores_come_back_from_disk_and_missing_ones_are_named(tmp_path):
    lists = Candidates(
        np.array([1, 4]),
        [np.array([1, 2, 9]), np.array([4, 0])],
        [np.array([5, 1, 0.5], dtype=np.float32), np.array([7, -2], dtype=np.float32)],
    )
    lists.save(tmp_path / "scores.parquet", PAIRS)
    teacher = StoredTeacher(read_candidates(tmp_path / "scores.parquet", PAIRS), PAIRS)
    found = teacher.scores(np.array([4, 1, 1]), np.array([0, 9, 1]))
    assert found.tolist() == [-2, 0.5, 5]
    with pytest.raises(InputError, match="query 'q1' and document 'd0'"):
        teacher.scores(np.array([1]), np.array([0]))
    with pytest.raises(ParameterError, match="without scores"):
        StoredTeacher(Candidates(lists.queries, lists.documents), PAIRS)


def test_lists_are_read_for_a_part_of_the_data(tmp_path):
    lists = Candidates(np.array([1, 4]), [np.array([1, 2, 9]), np.array([4, 0])])
    lists.save(tmp_path / "lists.parquet", PAIRS)
    part = PAIRS.of_documents([9, 1, 3])
    found = read_candidates(tmp_path / "lists.parquet", part)
    assert [part.query_ids[row] for row in found.queries] == ["q1"]
    assert [part.document_ids[row] for row in found.documents[0]] == ["d1", "d9"]
    assert found.scores is None
    with pytest.raises(InputError, match="none of its 2 lists"):
        read_candidates(tmp_path / "lists.parquet", PAIRS.of_documents([5]))


def test_a_sum_of_teachers(tables):
    rows = np.array([2, 5])
    documents = np.array([[0, 1, 2], [3, 4, 5]])
    ensemble = Ensemble(tables, [20.0, 0.3])
    wanted = (
        20 * tables[0].table[rows[:, None], documents]
        + 0.3 * tables[1].table[rows[:, None], documents]
    )
    np.testing.assert_allclose(ensemble.lists(rows, documents), wanted, rtol=1e-6)
    everything = ensemble.matrix(rows, np.arange(12))
    np.testing.assert_allclose(everything[:, 3], ensemble.lists(rows, np.full((2, 1), 3))[:, 0])


def test_the_heterogeneous_ensemble_levels_scales(tables):
    rows, documents = np.array([2, 5]), np.array([[0, 1, 2], [3, 4, 5]])
    ensemble = Ensemble(tables, [0.5, 0.5], "min-max", scale=30.0)
    found = ensemble.lists(rows, documents)
    for row, (query, listed) in enumerate(zip(rows, documents, strict=True)):
        levelled = []
        for table in tables:
            scores = table.table[query, listed].astype(np.float64)
            levelled.append((scores - scores.min()) / (np.ptp(scores) + 1e-6))
        np.testing.assert_allclose(found[row], 30 * np.mean(levelled, 0), atol=1e-4)
    shifted = [tables[0], Table(tables[1].table * 100 + 7)]
    same = Ensemble(shifted, [0.5, 0.5], "min-max", scale=30.0).lists(rows, documents)
    np.testing.assert_allclose(same, found, atol=1e-3)


def test_equal_scores_level_to_nothing():
    assert (min_max(np.full((2, 3), 5, dtype=np.float32)) == 0).all()


def test_a_rescaled_ensemble_has_the_references_mean_and_deviation(tables):
    rows = np.arange(12)
    documents = np.tile(np.arange(12), (12, 1))
    ensemble = Ensemble(tables, [0.5, 0.5], "min-max").rescaled(tables[1], rows, documents)
    found = ensemble.lists(rows, documents)
    assert found.mean() == pytest.approx(tables[1].table.mean(), rel=1e-4)
    assert found.std() == pytest.approx(tables[1].table.std(), rel=1e-4)


def test_an_unknown_normalisation_is_refused(tables):
    with pytest.raises(ParameterError, match="'z-score'; expected 'none' or 'min-max'"):
        Ensemble(tables, [1, 1], "z-score")
