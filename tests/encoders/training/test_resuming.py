"""Whole recipes, killed and begun again: to the last bit what they would have been."""

import pytest

from lexidex.encoders.training.run import Run

from .tiny_recipes import make_world, tiny_recipe

STEPS = 6
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


def written(folder):
    """{name: bytes} of the trained encoder."""
    files = [file for file in (folder / "model").rglob("*") if file.is_file()]
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
