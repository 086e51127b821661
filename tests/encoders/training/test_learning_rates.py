"""Learning rates: the same parts of every architecture have the same ones."""

import pytest

from lexidex.encoders.training.building import student_of
from lexidex.encoders.training.learning_rates import rates_of
from lexidex.encoders.training.recipe import parse_recipe
from lexidex.encoders.training.sections import TrainingSection
from lexidex.errors import ParameterError

from ..checkpoints import write_plain
from .tiny import tiny_pairs

RATES = {"head_learning_rate": 1e-3, "bias_learning_rate": 5e-3, "table_learning_rate": 7e-3}
TRAINING = TrainingSection(steps=10, batch=4, **RATES)
PAIRS = tiny_pairs(8)

BIASES = {
    "bert": "cls.predictions.decoder.bias",
    "distilbert": "vocab_projector.bias",
    "roberta": "lm_head.decoder.bias",
    "modernbert": "decoder.bias",
}
"""Architecture -> the bias of its map onto the vocabulary."""


def recipe_of(preset, backbone, **model):
    described = {
        "name": "rates",
        "model": {"preset": preset, "backbone": str(backbone), "max_length": 16, **model},
        "objective": [{"name": "info-nce"}],
        "training": {"steps": 10, "batch": 4},
    }
    return parse_recipe(described, "recipe")


@pytest.mark.parametrize("architecture", list(BIASES))
def test_backbone_head_bias_and_table_have_their_rates(architecture, tmp_path):
    backbone = write_plain(tmp_path / "backbone", architecture)
    student = student_of(recipe_of("li-lsr", backbone), tmp_path / "start", PAIRS)
    rate = rates_of(TRAINING, student)
    model = student.encoder.documents.module().network.model
    below = {id(each) for each in model.base_model.parameters()}
    assert len(below) > 10
    bias = model.get_parameter(BIASES[architecture])
    assert {rate(each) for each in model.base_model.parameters()} == {None}
    assert rate(bias) == 5e-3
    above = [each for each in model.parameters() if id(each) not in below and each is not bias]
    assert above
    assert {rate(each) for each in above} == {1e-3}
    assert [rate(each) for each in student._queries.parameters()] == [7e-3]


@pytest.mark.parametrize("architecture", ["bert", "distilbert", "roberta"])
def test_scalar_heads_have_the_rate_of_heads(architecture, tmp_path):
    backbone = write_plain(tmp_path / "backbone", architecture)
    student = student_of(recipe_of("unicoil", backbone), tmp_path / "start", PAIRS)
    rate = rates_of(TRAINING, student)
    network = student.encoder.documents.module().network
    assert {rate(each) for each in network.model.parameters()} == {None}
    assert {rate(each) for each in network.layers.parameters()} == {1e-3}


def test_a_bias_without_a_rate_of_its_own_has_that_of_the_head(tmp_path):
    backbone = write_plain(tmp_path / "backbone", "roberta")
    student = student_of(recipe_of("splade-max", backbone), tmp_path / "start", PAIRS)
    rate = rates_of(TRAINING.model_copy(update={"bias_learning_rate": None}), student)
    model = student.encoder.documents.module().network.model
    assert rate(model.get_parameter(BIASES["roberta"])) == 1e-3


@pytest.mark.parametrize("architecture", ["bert", "distilbert", "roberta"])
def test_layers_that_cannot_begin_as_the_identity_are_named(architecture, tmp_path):
    backbone = write_plain(tmp_path / "backbone", architecture)
    recipe = recipe_of("splade-max", backbone, identity_layers=1, active=0.1)
    if architecture == "distilbert":
        message = r"model\.identity_layers: 1; DistilBertForMaskedLM has no layers"
        with pytest.raises(ParameterError, match=message):
            student_of(recipe, tmp_path / "start", PAIRS)
    else:
        student_of(recipe, tmp_path / "start", PAIRS)
