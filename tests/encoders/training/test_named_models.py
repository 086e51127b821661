"""The models that a recipe names: teachers of every kind, and how an ensemble is rescaled."""

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import masking_utils

from lexidex.encoders.learned import LearnedEncoder
from lexidex.encoders.training import named_models
from lexidex.encoders.training.candidates import Candidates
from lexidex.encoders.training.named_models import ensemble, retriever, teacher_of
from lexidex.encoders.training.recipe import parse_recipe
from lexidex.encoders.training.sections import TeacherSection
from lexidex.encoders.training.start import make_start
from lexidex.errors import ParameterError

from .tiny import tiny_pairs, write_backbone

PAIRS = tiny_pairs(30)
ROWS = np.arange(30)
RECIPE = {
    "name": "v3",
    "model": {"preset": "splade-max"},
    "teacher": [{"kind": "bm25", "weight": 0.5}, {"kind": "dense", "path": "backbone"}],
    "ensemble": {"normalisation": "min-max", "rescaled_to": 1},
    "objective": [{"name": "margin-mse"}],
    "training": {"steps": 10, "batch": 4, "negatives": 5},
}


@pytest.fixture(scope="module")
def backbone(tmp_path_factory):
    return write_backbone(tmp_path_factory.mktemp("backbone"))


def test_an_encoder_of_ours_teaches_what_its_vectors_say(backbone, tmp_path):
    torch.manual_seed(0)
    encoder = make_start("splade-max", backbone, tmp_path / "teacher", [])
    wanted = encoder.encode_queries(PAIRS.queries) @ encoder.encode_documents(PAIRS.documents).T
    section = TeacherSection(kind="encoder", path=str(tmp_path / "teacher"))
    documents = (ROWS * 7 + 3) % 30
    found = teacher_of(section, PAIRS).scores(ROWS, documents)
    assert found.min() > 0
    np.testing.assert_allclose(found, wanted.toarray()[ROWS, documents], rtol=1e-4)


@pytest.mark.parametrize("longest", [1, pytest.param(2, marks=pytest.mark.slow), 12])
def test_rescaling_looks_at_examples_as_steps_put_them_together(backbone, longest):
    """Mined lists may be short, down to a positive alone, which min-max makes 0."""
    lists = [(row + np.arange(1 + row % longest)) % 30 for row in ROWS]
    recipe = parse_recipe(RECIPE, "recipe").changed({"model.backbone": str(backbone)})
    rescaled = ensemble(recipe, PAIRS, Candidates(ROWS, lists))
    documents = np.stack([(row + np.arange(6)) % 30 for row in ROWS])
    found = rescaled.lists(ROWS, documents)
    reference = rescaled.teachers[1].scores(np.repeat(ROWS, 6), documents.ravel())
    # Other examples than those it was measured on, so about the same.
    assert found.std() == pytest.approx(reference.std(), rel=0.5)
    assert abs(found.mean() - reference.mean()) < reference.std()


def test_a_reference_that_is_not_there_is_named(backbone):
    recipe = parse_recipe(RECIPE, "recipe").changed({"model.backbone": str(backbone)})
    with pytest.raises(ParameterError, match=r"rescaled_to: 2; there are 2 teachers"):
        recipe.changed({"ensemble.rescaled_to": 2})


@pytest.fixture
def elsewhere(monkeypatch):
    """A machine with another device: torch's without memory, from which nothing comes back."""
    monkeypatch.setattr(named_models, "device", lambda: "meta")
    # It asks for the values of a mask, of which there are none.
    monkeypatch.setattr(masking_utils, "_ignore_bidirectional_mask_sdpa", lambda *_: False)
    return pytest.raises(NotImplementedError, match="copy out of meta tensor")


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_dense_models_compute_where_there_is_a_gpu(precision, backbone, elsewhere):
    section = TeacherSection(kind="dense", path=str(backbone))
    teacher = teacher_of(section, PAIRS, precision=precision)
    with elsewhere:
        teacher.scores(ROWS, ROWS)
    with elsewhere:
        retriever(f"dense:{backbone}").ranking(PAIRS, 3)


def test_cross_encoders_compute_where_there_is_a_gpu(tmp_path, elsewhere):
    folder = write_backbone(tmp_path, "BertForSequenceClassification")
    teacher, places = teacher_of(TeacherSection(kind="cross-encoder", path=str(folder)), PAIRS), []

    def note(model, arguments, named):
        places.extend(tensor.device.type for tensor in named.values())

    teacher._model._model.register_forward_pre_hook(note, with_kwargs=True)
    with elsewhere:
        teacher.scores(ROWS, ROWS)
    assert places == ["meta"] * 3


def test_encoders_of_ours_compute_where_there_is_a_gpu(backbone, tmp_path, elsewhere, monkeypatch):
    path, used = str(tmp_path / "encoder"), []
    make_start("splade-max", backbone, Path(path), [])
    monkeypatch.setattr(LearnedEncoder, "devices", lambda self: ["meta"])
    monkeypatch.setattr(LearnedEncoder, "use_device", lambda self, device: used.append(device))
    for name in (path, "bm25"):  # which has no model, and stays where it is
        retriever(name)
    teacher_of(TeacherSection(kind="encoder", path=path), PAIRS)
    assert used == ["meta", "meta"]
