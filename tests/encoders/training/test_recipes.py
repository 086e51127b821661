"""Recipes: each that is shipped runs, at a tiny scale; what is wrong in one is named."""

import copy
import dataclasses
import xml.dom.minidom

import numpy as np
import pytest

from lexidex.encoders import load_encoder
from lexidex.encoders.dense_model import DenseModelEncoder
from lexidex.encoders.presets import PRESETS
from lexidex.encoders.training.pairs import draw, hold_out, join, read_pairs
from lexidex.encoders.training.recipe import parse_recipe, read_recipe, recipe_names
from lexidex.encoders.training.run import Run, read_data
from lexidex.errors import InputError, NotFound, ParameterError

from .tiny import tiny_pairs, write_backbone, write_pairs

SMALLEST = {
    "name": "smallest",
    "model": {"preset": "splade-max"},
    "objective": [{"name": "info-nce"}],
    "training": {"steps": 10, "batch": 4},
}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A tiny backbone, a tiny cross-encoder, and a file of pairs, whose queries quote documents."""
    pairs = tiny_pairs(60)
    quoted = [" ".join(text.split()[:3]) for text in pairs.documents]
    pairs = dataclasses.replace(pairs, queries=quoted)
    folder = tmp_path_factory.mktemp("world")
    return {
        "backbone": write_backbone(folder / "backbone"),
        "cross-encoder": write_backbone(folder / "cross", "BertForSequenceClassification"),
        "pairs": write_pairs(folder / "pairs.jsonl", pairs),
    }


def tiny(name, world):
    """The shipped recipe, with tiny models and data, and a few steps."""
    recipe = read_recipe(name)
    changes = {
        "model.backbone": str(world["backbone"]),
        "model.max_length": 16,
        "model.query_max_length": 8,
        "data.pairs": [str(world["pairs"])],
        "held_out.queries": 8,
        "held_out.documents": 20,
        "training.steps": 2,
        "training.batch": 4,
        "training.warmup": 0,
        "training.log_every": 1,
        "training.clusters": 4,
        "training.block": min(recipe.training.block, 2),
    }
    if recipe.model.layers:
        changes |= {"model.layers": 1 + recipe.model.identity_layers, "model.frozen_layers": 1}
        changes |= {"model.residual": min(recipe.model.residual, 16), "model.active": 0.2}
    if recipe.model.encoding_length:
        changes["model.encoding_length"] = 24
    if recipe.columns:
        changes |= {"columns.frequent": 20, "columns.drawn": 30}
    if recipe.mining:
        miners = [name.partition(":")[0] for name in recipe.mining.retrievers]
        dense = f"dense:{world['backbone']}"
        changes["mining.retrievers"] = [dense if name == "dense" else name for name in miners]
    if recipe.teacher:
        changes["teacher"] = [tiny_teacher(each, world) for each in recipe.teacher]
    return recipe.changed(changes)


def tiny_teacher(section, world):
    kind = "bm25" if section.kind in ("bm25", "encoder") else section.kind
    path = {"dense": "backbone", "cross-encoder": "cross-encoder"}.get(kind)
    found = {"kind": kind, "weight": section.weight, "max_length": 16}
    return found if path is None else found | {"path": str(world[path])}


@pytest.mark.parametrize("name", recipe_names())
def test_a_shipped_recipe_runs(name, world, tmp_path):
    recipe = tiny(name, world)
    assert read_recipe(name).name == name
    assert recipe.model.preset in PRESETS
    lines = []
    results = Run(recipe, tmp_path, say=lines.append).train()
    assert 0 <= results.after["nDCG@10"] <= 1
    assert any(line.startswith("step 2: loss") for line in lines)
    texts = ["d1 d2 f3", "d4"]
    loaded = load_encoder(tmp_path / "model")
    found = loaded.encode_documents(texts).toarray()
    started = load_encoder(tmp_path / "start").encode_documents(texts).toarray()
    assert found.shape[1] == loaded.dim
    assert found.shape != started.shape or not np.array_equal(found, started)
    drawing = (tmp_path / "model" / "curve.svg").read_text()
    assert xml.dom.minidom.parseString(drawing).documentElement.tagName == "svg"
    card = (tmp_path / "model" / "README.md").read_text()
    assert f"| nDCG@10 | {results.before['nDCG@10']:.4f} | {results.after['nDCG@10']:.4f} |" in card
    assert (tmp_path / f"round-{recipe.mining.rounds if recipe.mining else 1}").is_dir()


def test_the_mini_recipe_leaves_an_encoder_with_a_dense_side(world, tmp_path):
    recipe = tiny("mini", world)
    Run(recipe, tmp_path).train()
    encoder = load_encoder(tmp_path / "model")
    assert encoder.checkpoint.documents.max_length == 24
    assert encoder.checkpoint.queries.recipe.collection_idf == 0.5
    assert (encoder.queries.collection_idf.trained[encoder.component("d1")]) > 0
    texts = ["d1 d2 f3", "d4"]
    wanted = DenseModelEncoder(world["backbone"], pooling="mean").encode_documents(texts)
    wanted /= np.linalg.norm(wanted, axis=1, keepdims=True)
    np.testing.assert_allclose(encoder.encode_joint(texts)[1], wanted, atol=1e-5)
    with pytest.raises(ParameterError, match="dense: needs frozen_layers"):
        recipe.changed({"model.frozen_layers": 0, "model.cached_states": False})


def test_sources_have_limits_of_their_own(world, tmp_path):
    other = write_pairs(tmp_path / "other.jsonl", tiny_pairs(70, seed=5))
    given = {"data.pairs": [str(world["pairs"]), str(other)], "data.limits": {"other.jsonl": 12}}
    recipe = tiny("matrix", world).changed(given)
    training, held_out = read_data(recipe)
    names = set(training.document_ids) | set(held_out.document_ids)
    in_other = set(read_pairs(other).document_ids) - set(read_pairs(world["pairs"]).document_ids)
    assert 8 <= len(names & in_other) <= 12
    assert set(read_pairs(world["pairs"]).document_ids) <= names
    with pytest.raises(ParameterError, match=r"data\.limits\.none: no such file or folder"):
        read_data(recipe.changed({"data.limits": {"none": 3}}))


def test_what_little_is_drawn_of_is_not_held_out_first(tmp_path):
    parts = [tiny_pairs(100, seed=seed) for seed in (1, 2)]
    paths = [write_pairs(tmp_path / f"{n}.jsonl", part) for n, part in enumerate(parts)]
    few = set(draw(read_pairs(paths[0]), 20, 0).document_ids)
    whole = join([draw(read_pairs(paths[0]), 20, 0), read_pairs(paths[1])])
    _, held_out = hold_out(whole, 30, 30, 0)
    held = {held_out.document_ids[int(row)] for rows in held_out.positives for row in rows}
    assert len(held & few) < 15


def test_a_run_in_the_same_folder_goes_on_or_is_refused(world, tmp_path):
    recipe = tiny("matrix", world)
    first = Run(recipe, tmp_path).train()
    lines = []
    again = Run(recipe, tmp_path, say=lines.append).train()
    assert again.after == pytest.approx(first.after)
    assert not any("step 1:" in line for line in lines)
    with pytest.raises(ParameterError, match="holds a training by another recipe"):
        Run(recipe.changed({"training.seed": 9}), tmp_path).train()


def test_the_second_round_mines_with_the_student_of_the_first(world, tmp_path):
    recipe = tiny("splade-pp-self-distil", world)
    lines = []
    Run(recipe, tmp_path, say=lines.append).train()
    assert "mining negatives by bm25" in lines
    assert "mining negatives by bm25, student" in lines
    assert (tmp_path / "round-2" / "candidates.parquet").is_file()


def test_stored_scores_teach(world, tmp_path):
    from lexidex.encoders.training.candidates import Candidates

    pairs = read_pairs(world["pairs"])
    n = len(pairs.documents)
    lists = Candidates(
        np.arange(len(pairs)),
        [np.array([row[0], *(int(row[0] + k) % n for k in (1, 2, 3))]) for row in pairs.positives],
        [np.array([9, 1, 2, 0], dtype=np.float32)] * len(pairs),
    )
    lists.save(tmp_path / "lists.parquet", pairs)
    changes = {
        "data.candidates": str(tmp_path / "lists.parquet"),
        "teacher": [{"kind": "stored"}],
        "objective": [{"name": "margin-mse"}],
        "training.negatives": 1,
        "training.block": 1,
    }
    results = Run(tiny("matrix", world).changed(changes), tmp_path / "run").train()
    assert results.after != results.before


@pytest.mark.parametrize(
    ("table", "key", "value", "message"),
    [
        ("training", "stepz", 3, r"training\.stepz: unknown key; did you mean steps\?"),
        ("training", "steps", -1, r"training\.steps: -1; .*greater than 0"),
        ("training", "batch", "x", r"training\.batch: 'x'; .*valid integer"),
        ("training", "precision", "int8", r"training\.precision: 'int8'; .*'fp32'"),
        ("model", "cached_states", True, r"cached_states: layers that are trained"),
        (None, "teachers", [], r"teachers: unknown key; did you mean teacher\?"),
        (None, "objective", [], r"objective: none given"),
        (None, "objective", [{"name": "kl"}], r"teacher: none given"),
        (None, "objective", [{"name": "kll"}], r"objective\.0: objective: 'kll'; known are"),
        (None, "objective", [{"name": "kl", "ower": 1}], r"objective\.0\.ower: .* mean over\?"),
        (
            None,
            "teacher",
            [{"kind": "dense"}],
            r"teacher\.0: path: a teacher of kind 'dense' needs",
        ),
        (None, "mining", {"bands": [{"first": 3, "last": 1, "count": 2}]}, r"band 3-1:2"),
    ],
)
def test_what_is_wrong_in_a_recipe_is_named(table, key, value, message):
    described = copy.deepcopy(SMALLEST)
    (described[table] if table else described)[key] = value
    with pytest.raises(ParameterError, match=message):
        parse_recipe(described, "recipe.toml")


def test_margins_need_negatives():
    described = SMALLEST | {"objective": [{"name": "margin-mse"}], "teacher": [{"kind": "bm25"}]}
    with pytest.raises(ParameterError, match=r"training\.negatives: 0; margins need negatives"):
        parse_recipe(described, "recipe.toml")


def test_settings_are_changed_by_their_names():
    recipe = parse_recipe(SMALLEST, "recipe")
    changed = recipe.changed({"training.steps": 3, "mining.rounds": 2, "data.pairs": ["a"]})
    assert (changed.training.steps, changed.mining.rounds, changed.data.pairs) == (3, 2, ("a",))
    assert recipe.training.steps == 10
    with pytest.raises(ParameterError, match=r"training\.stops: unknown key; did you mean steps"):
        recipe.changed({"training.stops": 3})


def test_the_backbone_can_be_the_teacher():
    teacher = {"kind": "dense", "path": "backbone"}
    recipe = parse_recipe(SMALLEST | {"teacher": [teacher]}, "recipe")
    assert recipe.changed({"model.backbone": "a/b"}).teacher[0].path == "a/b"


def test_recipes_that_are_not_there(tmp_path):
    with pytest.raises(NotFound, match=r"'splade-mx': .* did you mean splade-max\?"):
        read_recipe("splade-mx")
    (tmp_path / "bad.toml").write_text("name = ")
    with pytest.raises(InputError, match="not TOML"):
        read_recipe(tmp_path / "bad.toml")
