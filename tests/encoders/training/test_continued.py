"""Starts that were trained before: taken as what they are, and refused as anything else."""

import json

import pytest

from lexidex.encoders.learned import LearnedEncoder
from lexidex.encoders.presets import PRESETS
from lexidex.encoders.training.building import student_of
from lexidex.encoders.training.continued import begin_trained
from lexidex.encoders.training.model_card import Results, model_card
from lexidex.encoders.training.recipe import parse_recipe
from lexidex.encoders.training.sections import ModelSection
from lexidex.encoders.training.start import make_start
from lexidex.errors import ParameterError

from .tiny import tiny_pairs, write_backbone

DISTINCT = list(
    {(p.documents, p.queries, p.separate): name for name, p in PRESETS.items()}.values()
)
"""One name for each pair of recipes."""


@pytest.fixture(scope="module")
def backbone(tmp_path_factory):
    return write_backbone(tmp_path_factory.mktemp("world") / "backbone", layers=1)


@pytest.mark.parametrize("preset", DISTINCT)
def test_an_encoder_goes_on_as_its_own_method_and_as_no_other(preset, backbone, tmp_path):
    make_start(preset, backbone, tmp_path / "trained", ["d1 d2"])
    model, start = ModelSection(preset=preset), str(tmp_path / "trained")
    begin_trained(model, start, tmp_path / "start")
    found = LearnedEncoder(tmp_path / "start").checkpoint
    assert found.documents.recipe == PRESETS[preset].documents
    assert found.queries.recipe.head in (PRESETS[preset].queries.head, "table")
    assert found.queries.recipe.pruning == PRESETS[preset].queries.pruning
    other = "unicoil" if preset != "unicoil" else "splade-max"
    message = rf"model\.preset: '{other}'; the encoder {start} is one of .*{preset}.*, and goes on"
    with pytest.raises(ParameterError, match=message):
        begin_trained(ModelSection(preset=other), start, tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_a_residual_head_and_another_pruning_are_no_other_method(backbone, tmp_path):
    make_start("splade-max", backbone, tmp_path / "trained", [], residual=4)
    begin_trained(
        ModelSection(preset="splade-top-k"), str(tmp_path / "trained"), tmp_path / "start"
    )
    found = LearnedEncoder(tmp_path / "start").checkpoint
    assert found.documents.recipe.pruning.top_k == 32
    assert found.queries.recipe.pruning.top_k == 5
    separate = ModelSection(preset="efficient-splade")
    with pytest.raises(ParameterError, match=r"'efficient-splade'; .* one of splade-max or splade"):
        begin_trained(separate, str(tmp_path / "trained"), tmp_path / "other")


def test_files_that_leave_the_activation_open_take_the_preset_s(backbone, tmp_path):
    published = write_backbone(tmp_path / "published", layers=1)
    (published / "idf.json").write_text(json.dumps({"d1": 2.0, "d2": 3.0}))
    begin_trained(ModelSection(preset="inference-free-v3"), str(published), tmp_path / "start")
    found = LearnedEncoder(tmp_path / "start").checkpoint
    assert found.documents.recipe.activation == "log1p_relu"


def test_the_card_names_the_start():
    described = {
        "name": "again",
        "model": {"preset": "splade-max", "backbone": "a/backbone", "start": "a/start"},
        "objective": [{"name": "info-nce"}],
        "training": {"steps": 10, "batch": 4},
    }
    results = Results({}, {}, 0, 0, 10, 1.0)
    card = model_card(parse_recipe(described, "recipe"), results)
    assert "- started from: a/start\n" in card


def test_a_table_that_only_leaves_words_out_makes_binary_queries(backbone, tmp_path):
    make_start("splade-doc", backbone, tmp_path / "trained", [])
    table = LearnedEncoder(tmp_path / "trained").queries.table
    assert set(table.tolist()) == {0, 1}
    make_start("li-lsr", backbone, tmp_path / "weighing", ["d1 d2", "d1"])
    with pytest.raises(ParameterError, match=r"'splade-doc'; .* li-lsr, and goes on"):
        begin_trained(
            ModelSection(preset="splade-doc"), str(tmp_path / "weighing"), tmp_path / "other"
        )


def test_binary_queries_are_not_learned(backbone, tmp_path):
    described = {
        "name": "binary",
        "model": {"preset": "splade-doc", "backbone": str(backbone), "max_length": 16},
        "objective": [{"name": "info-nce"}],
        "training": {"steps": 10, "batch": 4},
    }
    student = student_of(parse_recipe(described, "recipe"), tmp_path / "start", tiny_pairs(4))
    assert not any(each.requires_grad for each in student._queries.parameters())
    assert any(each.requires_grad for each in student._documents.parameters())
