"""Whole recipes, killed and begun again: to the last bit what they would have been."""

import shutil
from pathlib import Path

import pytest
from torch import OutOfMemoryError

from lexidex.encoders import creation
from lexidex.encoders.layouts import own
from lexidex.encoders.training import checkpoints, run, start
from lexidex.encoders.training.building import student_of
from lexidex.encoders.training.data import read_data
from lexidex.encoders.training.run import Run
from lexidex.errors import CorruptFile, ParameterError

from .tiny_recipes import make_world, tiny_recipe

STEPS = 6
STATE = "trainer_state.json"
WHOLE = [
    "cpu",  # cached states, sampled columns, a learned factor, teachers over the batch
    "splade-max",  # dropout
    "inference-free-v2",  # dropout, and a dense teacher that loads while it trains
    "splade-pp-self-distil",  # two rounds, a cross-encoder
    "efficient-splade-middle",  # hidden words
    "deep-impact",  # a vocabulary of words
]


class Killed(BaseException):
    """The end of a process, as far as a test can."""


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return make_world(tmp_path_factory.mktemp("world"))


def written(folder, part="model"):
    """{name: bytes} of the trained encoder, or of another part."""
    files = [file for file in (folder / part).rglob("*") if file.is_file()]
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in files
        if file.name != "README.md"  # tells the minutes it took
    }


def killed_after(calls):
    """An `on_step` that ends the training when it was called so often."""
    left = iter(range(calls))

    def on_step(step, steps):
        if next(left, None) is None:
            raise Killed

    return on_step


@pytest.mark.parametrize(
    ("name", "precision"), [*((name, "fp32") for name in WHOLE), ("cpu", "bf16")]
)
def test_a_run_that_was_killed_ends_like_one_that_was_not(name, precision, world, tmp_path):
    changes = {"training.steps": STEPS, "training.save_every": 2, "held_out.every": 3}
    recipe = tiny_recipe(name, world).changed(changes | {"training.precision": precision})
    whole = Run(recipe, tmp_path / "whole").train()
    rounds = recipe.mining.rounds if recipe.mining else 1
    with pytest.raises(Killed):
        Run(recipe, tmp_path / "killed", on_step=killed_after(STEPS * rounds - 2)).train()
    assert not (tmp_path / "killed" / "model").exists()
    resumed = Run(recipe, tmp_path / "killed").train()
    found, wanted = written(tmp_path / "killed"), written(tmp_path / "whole")
    assert sorted(found) == sorted(wanted)
    assert [name for name in wanted if found[name] != wanted[name]] == []
    assert resumed.after == whole.after


def killed(*_, **__):
    """In the place of a step that the process does not live to see."""
    raise Killed


@pytest.mark.parametrize(
    ("name", "module", "step"),
    [
        ("inference-free-v2", creation, "idf_table"),
        ("splade", own, "write_description"),
        ("splade-max", creation, "LearnedEncoder"),
        ("cpu", start, "_with_residual"),
        ("cpu", start, "write_residual"),
    ],
)
def test_a_start_that_was_half_made_is_made_anew(name, module, step, world, tmp_path, monkeypatch):
    recipe = tiny_recipe(name, world)
    pairs, _ = read_data(recipe)
    student_of(recipe, tmp_path / "whole" / "start", pairs)
    with monkeypatch.context() as patch:
        patch.setattr(module, step, killed)
        with pytest.raises(Killed):
            student_of(recipe, tmp_path / "killed" / "start", pairs)
    student_of(recipe, tmp_path / "killed" / "start", pairs)
    assert written(tmp_path / "killed", "start") == written(tmp_path / "whole", "start")
    assert [each.name for each in (tmp_path / "killed").iterdir()] == ["start"]


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "residual_head.safetensors"])
def test_a_damaged_start_is_named(name, world, tmp_path):
    recipe = tiny_recipe("cpu", world)
    pairs, _ = read_data(recipe)
    student_of(recipe, tmp_path / "start", pairs)
    file = tmp_path / "start" / name
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(CorruptFile, match=name):
        student_of(recipe, tmp_path / "start", pairs)


@pytest.fixture(scope="module")
def trained(world, tmp_path_factory):
    """A recipe, and the folder of its training, with checkpoints of steps 2 and 4."""
    recipe = tiny_recipe("matrix", world).changed({"training.steps": 4, "training.save_every": 2})
    folder = tmp_path_factory.mktemp("trained")
    Run(recipe, folder).train()
    return recipe, folder


@pytest.mark.parametrize(
    "left", [[], ["model.safetensors"], ["model.safetensors", "optimizer.pt", STATE]]
)
def test_a_checkpoint_that_was_half_written_is_not_there(left, trained, tmp_path):
    recipe, folder = trained
    shutil.copytree(folder, tmp_path / "killed", ignore=shutil.ignore_patterns("model"))
    newest = tmp_path / "killed" / "round-1" / "checkpoints" / "checkpoint-4"
    for file in newest.iterdir():
        file.write_bytes(file.read_bytes()[:100]) if file.name in left else file.unlink()
    steps = []
    Run(recipe, tmp_path / "killed", on_step=lambda step, _: steps.append(step)).train()
    assert steps == [3, 4]
    assert written(tmp_path / "killed") == written(folder)


@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.pt", "rng_state.pth"])
def test_a_damaged_checkpoint_is_named(name, trained, tmp_path):
    recipe, folder = trained
    shutil.copytree(folder, tmp_path / "damaged", ignore=shutil.ignore_patterns("model", "*-4"))
    file = tmp_path / "damaged" / "round-1" / "checkpoints" / "checkpoint-2" / name
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(CorruptFile, match=r"checkpoint-2: cannot be gone on from \(.*\); delete"):
        Run(recipe, tmp_path / "damaged").train()


def test_what_may_pass_costs_no_checkpoint(trained, tmp_path, monkeypatch):
    _, folder = trained
    kept = shutil.copytree(folder / "round-1" / "checkpoints", tmp_path / "checkpoints")

    def refusing(*_, **__):
        raise OSError(24, "Too many open files")

    def out_of_memory(*_):
        raise OutOfMemoryError("CUDA out of memory")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_text", refusing)
        with pytest.raises(OSError, match="Too many open files"):
            checkpoints.remove_incomplete(kept)
    assert {file.name for file in kept.iterdir()} == {"checkpoint-2", "checkpoint-4"}
    trainer = checkpoints.CheckpointedTrainer.__new__(checkpoints.CheckpointedTrainer)
    monkeypatch.setattr(checkpoints.Trainer, "_load_from_checkpoint", out_of_memory)
    with pytest.raises(OutOfMemoryError):
        trainer._load_from_checkpoint("checkpoint-2")


def test_a_folder_that_is_no_training_loses_nothing(world, tmp_path):
    (tmp_path / "start").mkdir()
    (tmp_path / "start" / "precious.txt").write_text("mine")
    with pytest.raises(ParameterError, match=r"start: stands in the way of a training's"):
        Run(tiny_recipe("matrix", world), tmp_path).train()
    assert (tmp_path / "start" / "precious.txt").read_text() == "mine"


def test_mined_negatives_serve_a_mended_recipe_until_the_first_checkpoint(
    world, tmp_path, monkeypatch
):
    recipe = tiny_recipe("unicoil", world)
    with pytest.raises(Killed):
        Run(recipe, tmp_path / "mended", on_step=killed_after(0)).train()
    with pytest.raises(ParameterError, match=r"candidates\.parquet: mined by another recipe"):
        Run(
            recipe.changed({"mining.bands": [{"first": 1, "last": 9, "count": 7}]}),
            tmp_path / "mended",
        ).train()
    mended = recipe.changed({"model.max_length": 12, "training.learning_rate": 1e-3})
    Run(mended, tmp_path / "whole").train()
    monkeypatch.setattr(run, "mine", killed)
    Run(mended, tmp_path / "mended").train()
    assert written(tmp_path / "mended") == written(tmp_path / "whole")
    (tmp_path / "mended" / "recipe.json").write_text('{"name": ')
    with pytest.raises(CorruptFile, match=r"recipe\.json: not JSON"):
        Run(mended, tmp_path / "mended").train()
