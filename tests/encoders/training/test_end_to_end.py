"""A whole training, from a file of pairs to an encoder on disk that finds what its start cannot."""

import pytest

from lexidex.encoders import load_encoder
from lexidex.encoders.training.data import read_data
from lexidex.encoders.training.held_out import HeldOut
from lexidex.encoders.training.recipe import parse_recipe
from lexidex.encoders.training.run import Run

from .tiny import tiny_pairs, write_backbone, write_pairs


def test_a_trained_encoder_finds_what_its_start_cannot(tmp_path):
    described = {
        "name": "tiny",
        "model": {
            "preset": "splade-max",
            "backbone": str(write_backbone(tmp_path / "backbone")),
            "active": 0.1,
            "max_length": 16,
            "query_max_length": 8,
            "dropout": False,
        },
        "data": {"pairs": [str(write_pairs(tmp_path / "pairs.jsonl", tiny_pairs()))]},
        "held_out": {"queries": 40, "documents": 60},
        "objective": [{"name": "info-nce"}],
        "regulariser": [
            {"name": "flops", "side": side, "weight": 1e-2, "ramp": 50}
            for side in ("documents", "queries")
        ],
        "training": {"steps": 120, "batch": 16, "learning_rate": 5e-3, "warmup": 10},
    }
    recipe = parse_recipe(described, "recipe")
    results = Run(recipe, tmp_path / "run").train()
    # Queries share no word with their documents. Ranking 60 documents at random gives .08 on
    # average over 40 queries, give or take .03.
    assert results.before["nDCG@10"] < 0.2
    assert results.after["nDCG@10"] > 0.6
    assert results.after["nnz_documents"] < 50
    _, held_out = read_data(recipe)
    encoder = load_encoder(tmp_path / "run" / "model", max_length=16)
    documents = encoder.encode_documents(held_out.documents)
    queries = encoder.encode_queries(held_out.queries)
    found = HeldOut(held_out).effectiveness(documents, queries)
    assert found == pytest.approx(results.after["nDCG@10"])
