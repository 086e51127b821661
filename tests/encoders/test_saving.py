"""Models that are saved, and loaded again: the same vectors and the same fingerprint."""

from __future__ import annotations

import json

import numpy as np
import pytest

from lexidex.encoders import load_encoder
from lexidex.encoders.creation import create

from .checkpoints import (
    TEXTS,
    only_word_list,
    write_asym,
    write_json,
    write_plain,
    write_router,
    write_sentence_transformers,
)
from .published import write_opensearch

CASED = "Sparse VECTORS and the Weather in NEW York"


def roberta(folder, **options):
    """A model whose tokenizer tells capitals apart, and whose settings say to lower-case texts."""
    write_sentence_transformers(folder, "roberta", do_lower_case=True)
    return load_encoder(folder, **options)


def described(folder, **recipe):
    """Queries without a model in our own layout, lower-cased."""
    write_plain(folder, "roberta")
    side = {"folder": ".", "max_length": 40, "prompt": "", "lowercase": True, "table": None}
    documents = side | {"recipe": {"head": "mlm"}}
    queries = side | {"recipe": recipe, "max_length": None}
    if recipe["head"] == "table":
        words = json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"]
        write_json(folder / "idf.json", {word: 1 + n / 64 for word, n in words.items()})
        queries["table"] = "idf.json"
    write_json(
        folder / "lexidex_model.json", {"version": 0, "documents": documents, "queries": queries}
    )
    return load_encoder(folder)


def made(folder, preset):
    """An untrained family over a model that lower-cases."""
    roberta(folder / "backbone")
    create(preset, folder / "backbone", folder / "made", texts=TEXTS)
    return load_encoder(folder / "made")


def cased_words(folder):
    """BERT's word list, whose settings say that capitals count, and lower-cased all the same."""
    only_word_list(write_sentence_transformers(folder, do_lower_case=True))
    write_json(folder / "tokenizer_config.json", {"do_lower_case": False, "model_max_length": 50})
    return load_encoder(folder, preset="splade-doc")


CASES = {
    "one model": roberta,
    "shortened": lambda to: roberta(to, max_length=20, query_max_length=9),
    "pruned": lambda to: roberta(to, document_pruning="top_k=9", query_pruning="mass=0.9"),
    "binary": lambda to: roberta(to, preset="splade-doc"),
    "binary, shortened": lambda to: roberta(
        to, preset="splade-doc", max_length=20, query_max_length=9
    ),
    "binary, pruned": lambda to: roberta(to, preset="splade-doc", document_pruning="top_k=9"),
    "binary, word list": cased_words,
    "own terms": lambda to: roberta(to, preset="splade-lexical"),
    "first position": lambda to: roberta(to, preset="cls-mlm"),
    "described, binary": lambda to: described(to, head="binary"),
    "described, table": lambda to: described(to, head="table"),
    "described, table, masked": lambda to: described(to, head="table", masked=["special"]),
    "router": lambda to: load_encoder(write_router(to)),
    "router, former name and file": lambda to: load_encoder(write_asym(to)),
    "raw": lambda to: write_opensearch(to) and load_encoder(to, activation="relu"),
    "unicoil": lambda to: made(to, "unicoil"),
    "li-lsr": lambda to: made(to, "li-lsr"),
    "tilde-v2": lambda to: made(to, "tilde-v2"),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_saved_is_the_same_again(tmp_path, case):
    encoder = CASES[case](tmp_path / "model")
    encoder.save(tmp_path / "saved")
    again = load_encoder(tmp_path / "saved")

    texts = [*TEXTS, CASED, CASED.lower()]
    for name in ("encode_documents", "encode_queries"):
        expected, found = (getattr(one, name)(texts).toarray() for one in (encoder, again))
        np.testing.assert_allclose(found, expected, atol=1e-6)
    assert again.fingerprint == encoder.fingerprint
    if case.startswith(("binary", "described")):
        np.testing.assert_array_equal(found[-1], found[-2])
