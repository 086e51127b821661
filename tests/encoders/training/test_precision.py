"""Mixed precision: bf16 trains every kind of recipe; what a machine lacks is refused."""

import json

import pytest
import torch

from lexidex.encoders.training.building import check_precision
from lexidex.encoders.training.encoder_student import EncoderStudent
from lexidex.encoders.training.run import Run
from lexidex.errors import ParameterError

from .tiny_recipes import make_world, tiny_recipe


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return make_world(tmp_path_factory.mktemp("world"))


def losses(recipe, folder):
    Run(recipe, folder).train()
    log = json.loads((folder / "round-1" / "log.json").read_text())
    return [line["loss"] for line in log if "loss" in line]


OTHERS = ["unicoil", "epic", "deep-impact", "efficient-splade"]


@pytest.mark.parametrize(
    "name",
    ["splade-max", "cpu", *(pytest.param(other, marks=pytest.mark.slow) for other in OTHERS)],
)
def test_bf16_trains_much_as_fp32(name, world, tmp_path, monkeypatch):
    recipe = tiny_recipe(name, world).changed({"model.dropout": False})
    seen = set()
    compute = EncoderStudent.documents

    def documents(self, *given):
        seen.add((torch.is_autocast_enabled("cpu"), torch.get_autocast_dtype("cpu")))
        return compute(self, *given)

    wanted = losses(recipe, tmp_path / "fp32")
    monkeypatch.setattr(EncoderStudent, "documents", documents)
    found = losses(recipe.changed({"training.precision": "bf16"}), tmp_path / "bf16")
    assert seen == {(True, torch.bfloat16)}
    assert found != wanted
    assert found == pytest.approx(wanted, rel=0.05)


def test_fp16_without_a_gpu_is_refused_before_anything_is_written(world, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    recipe = tiny_recipe("splade-max", world).changed({"training.precision": "fp16"})
    with pytest.raises(ParameterError, match=r"training\.precision: 'fp16' needs a GPU"):
        Run(recipe, tmp_path / "run").train()
    assert not (tmp_path / "run").exists()


def test_bf16_on_a_gpu_without_it_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: False)
    with pytest.raises(ParameterError, match=r"'bf16'; this GPU has none"):
        check_precision("bf16")
    check_precision("fp16")
