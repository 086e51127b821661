"""Recipes: each that is shipped runs, at a tiny scale; what is wrong in one is named."""

import copy
import json
import re
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file

from lexidex.encoders import load_encoder
from lexidex.encoders.dense_model import DenseModelEncoder
from lexidex.encoders.presets import PRESETS
from lexidex.encoders.training.candidates import Candidates, read_candidates
from lexidex.encoders.training.data import read_data
from lexidex.encoders.training.encoder_student import EncoderStudent
from lexidex.encoders.training.negatives import Mining, SparseRetriever, mine
from lexidex.encoders.training.pairs import draw, hold_out, join, read_pairs
from lexidex.encoders.training.readiness import check_models
from lexidex.encoders.training.recipe import parse_recipe
from lexidex.encoders.training.recipe_files import read_recipe, recipe_names
from lexidex.encoders.training.run import Run
from lexidex.encoders.training.teachers import CrossEncoderTeacher
from lexidex.encoders.training.trained import Trained
from lexidex.errors import InputError, NotFound, ParameterError

from .test_curve import points_of
from .tiny import tiny_pairs, write_pairs
from .tiny_recipes import make_world, tiny_recipe

SMALLEST = {
    "name": "smallest",
    "model": {"preset": "splade-max"},
    "objective": [{"name": "info-nce"}],
    "training": {"steps": 10, "batch": 4},
}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return make_world(tmp_path_factory.mktemp("world"))


@pytest.mark.parametrize("name", recipe_names())
def test_a_shipped_recipe_runs(name, world, tmp_path):
    recipe = tiny_recipe(name, world)
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
    assert len(points_of(drawing, 0)) == 2 * (recipe.mining.rounds if recipe.mining else 1)
    assert read_recipe(name).held_out.every or name == "matrix"
    card = (tmp_path / "model" / "README.md").read_text()
    assert f"| nDCG@10 | {results.before['nDCG@10']:.4f} | {results.after['nDCG@10']:.4f} |" in card
    assert (tmp_path / f"round-{recipe.mining.rounds if recipe.mining else 1}").is_dir()


def test_a_trained_encoder_goes_on_learning(world, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    recipe = tiny_recipe("mini", world)
    first = Run(recipe, Path("first")).train()
    later = recipe.changed({"model.start": "first/model"})
    second = Run(later, Path("again")).train()
    bm25 = ({"kind": "bm25"},)
    alone = {"model.dense": False, "model.backbone": "no/where", "teacher": bm25}
    check_models(later.changed(alone | {"training.block": 1}))  # which it does not look at
    assert second.before["nDCG@10"] == pytest.approx(first.after["nDCG@10"], abs=0.02)
    encoders = [load_encoder(f"{name}/model") for name in ("first", "again")]
    texts = ["d1 d2 f3", "d4"]
    sparse = [encoder.encode_documents(texts).toarray() for encoder in encoders]
    assert not np.array_equal(*sparse)
    dense = [encoder.encode_joint(texts)[1] for encoder in encoders]
    np.testing.assert_allclose(*dense, atol=1e-4)
    assert encoders[0].checkpoint.queries.recipe == encoders[1].checkpoint.queries.recipe
    assert encoders[0].checkpoint.documents.recipe == encoders[1].checkpoint.documents.recipe
    thawed = {"model.frozen_layers": 0, "model.cached_states": False, "model.dense": False}
    with pytest.raises(ParameterError, match=r"frozen_layers: 0; the dense vectors of first/model"):
        Run(later.changed(thawed), Path("other")).train()


def test_the_mini_recipe_leaves_an_encoder_with_a_dense_side(world, tmp_path, monkeypatch):
    recipe = tiny_recipe("mini", world)
    monkeypatch.chdir(tmp_path)
    Run(recipe, Path("mini")).train()
    encoder = load_encoder(tmp_path / "mini" / "model")
    assert encoder.checkpoint.queries.max_length is None
    assert encoder.checkpoint.documents.max_length == 24
    assert encoder.checkpoint.queries.recipe.collection_idf == 0.5
    assert (encoder.queries.collection_idf.trained[encoder.component("d1")]) > 0
    texts = ["d1 d2 f3", "d4"]
    wanted = DenseModelEncoder(world["backbone"], pooling="mean").encode_documents(texts)
    wanted /= np.linalg.norm(wanted, axis=1, keepdims=True)
    np.testing.assert_allclose(encoder.encode_joint(texts)[1], wanted, atol=1e-4)
    shape = {"model.layers": 2, "model.frozen_layers": 2, "model.identity_layers": 0}
    too_many = recipe.changed(shape)
    with pytest.raises(ParameterError, match=r"shared_layers: 2; .* has 2 layers"):
        Run(too_many, Path("other")).train()
    with pytest.raises(ParameterError, match="dense: needs frozen_layers"):
        recipe.changed({"model.frozen_layers": 0, "model.cached_states": False})


def test_sources_have_limits_of_their_own(world, tmp_path):
    other = write_pairs(tmp_path / "other.jsonl", tiny_pairs(70, seed=5))
    given = {"data.pairs": [str(world["pairs"]), str(other)], "data.limits": {"other.jsonl": 12}}
    recipe = tiny_recipe("matrix", world).changed(given)
    training, held_out = read_data(recipe)
    names = set(training.document_ids) | set(held_out.document_ids)
    in_other = set(read_pairs(other).document_ids) - set(read_pairs(world["pairs"]).document_ids)
    assert 8 <= len(names & in_other) <= 12
    assert set(read_pairs(world["pairs"]).document_ids) <= names
    with pytest.raises(ParameterError, match=r"data\.limits\.none: no such file or folder"):
        read_data(recipe.changed({"data.limits": {"none": 3}}))


def test_what_cannot_be_trained_is_told_before_anything_is_mined(world, tmp_path):
    """And the folder then takes the recipe that is mended."""
    recipe, none = tiny_recipe("inference-free-v2", world), str(tmp_path / "none")
    refused = {
        r"model\.encoding_length: 99; .*backbone takes 32": {"model.encoding_length": 99},
        r"max_length: 99; the model": {"model.max_length": 99},
        r"model\.backbone: model '.*none': no such folder": {"model.backbone": none},
        r"layers: 9; ": {"model.layers": 9},
        r"model\.start: model '.*none'": {"model.start": none},
        r"teacher: .*none": {"teacher": [{"kind": "encoder", "path": none}]},
        r"teacher: model '.*none'": {"teacher": [{"kind": "cross-encoder", "path": none}]},
        r"mining\.retrievers: model '.*none'": {"mining.retrievers": [f"dense:{none}"]},
        r"training\.negatives: 99; there are only": {"training.negatives": 99},
        r"columns: 999 drawn": {"columns.drawn": 999},
    }
    for message, changes in refused.items():
        with pytest.raises((ParameterError, NotFound), match=message):
            Run(recipe.changed(changes), tmp_path / "run").train()
        assert not (tmp_path / "run" / "round-1").exists()
    Run(recipe, tmp_path / "run").train()
    assert load_encoder(tmp_path / "run" / "model").dim
    with pytest.raises(ParameterError, match="holds a training by another recipe"):
        Run(recipe.changed({"training.seed": 9}), tmp_path / "run").train()


def test_what_little_is_drawn_of_is_not_held_out_first(tmp_path):
    parts = [tiny_pairs(100, seed=seed) for seed in (1, 2)]
    paths = [write_pairs(tmp_path / f"{n}.jsonl", part) for n, part in enumerate(parts)]
    few = set(draw(read_pairs(paths[0]), 20, 0).document_ids)
    whole = join([draw(read_pairs(paths[0]), 20, 0), read_pairs(paths[1])])
    _, held_out = hold_out(whole, 30, 30, 0)
    held = {held_out.document_ids[int(row)] for rows in held_out.positives for row in rows}
    assert len(held & few) < 15


def test_methods_have_published_recipes_that_tell_their_source():
    recipes = [read_recipe(name) for name in recipe_names()]
    published = [recipe for recipe in recipes if recipe.name not in ("cpu", "matrix", "mini")]
    assert all(recipe.source.startswith("arXiv ") for recipe in published)
    assert {recipe.model.preset for recipe in published} == set(PRESETS)


def test_recipes_say_what_their_authors_code_does():
    recipes = {name: read_recipe(name) for name in recipe_names()}
    unlimited = {name for name, recipe in recipes.items() if recipe.training.max_grad_norm == 0}
    naver = {"splade", "splade-max", "splade-doc", "splade-pp-ensemble-distil", "splade-top-k"}
    naver |= {"splade-pp-self-distil", "efficient-splade"}
    assert unlimited >= naver | {"inference-free-v2", "inference-free-v3"}
    by_position = {
        name for name, recipe in recipes.items() if any(r.per_position for r in recipe.regulariser)
    }
    assert by_position == {"inference-free-v2", "inference-free-v3"}
    efficient = [(each.name, each.side) for each in recipes["efficient-splade"].regulariser]
    assert efficient == [("l1", "queries"), ("flops", "documents")]


def test_a_run_in_the_same_folder_goes_on_or_is_refused(world, tmp_path):
    recipe = tiny_recipe("matrix", world)
    first = Run(recipe, tmp_path).train()
    lines = []
    again = Run(recipe, tmp_path, say=lines.append).train()
    assert again.after == pytest.approx(first.after)
    assert not any("step 1:" in line for line in lines)
    with pytest.raises(ParameterError, match="holds a training by another recipe"):
        Run(recipe.changed({"training.seed": 9}), tmp_path).train()


def test_the_second_round_mines_with_the_student_of_the_first(world, tmp_path):
    recipe = tiny_recipe("splade-pp-self-distil", world)
    lines = []
    results = Run(recipe, tmp_path, say=lines.append).train()
    assert [line for line in lines if line.startswith("mining")] == [
        "mining negatives by bm25",
        "mining negatives by student",
    ]
    pairs, _ = read_data(recipe)
    found, rules = load_encoder(tmp_path / "start"), Mining(recipe.mining.bands)
    weights = [tmp_path / "round-1" / "checkpoints" / "checkpoint-2" / "model.safetensors"]
    Trained(EncoderStudent(found)).load_state_dict(load_file(weights[0]), strict=False)
    wanted = mine(pairs, [SparseRetriever(found)], rules)
    mined = read_candidates(tmp_path / "round-2" / "candidates.parquet", pairs)
    for one, other in zip(mined.documents, wanted.documents, strict=True):
        assert one.tolist() == other.tolist()
    for number in (1, 2):
        log = json.loads((tmp_path / f"round-{number}" / "log.json").read_text())
        ends = [line for line in log if "eval_nDCG@10" in line]
        assert [line["step"] for line in ends] == [0, 2]
        assert ends[0]["eval_nDCG@10"] == results.before["nDCG@10"]
    assert ends[1]["eval_nnz_documents"] == results.after["nnz_documents"]
    drawing = (tmp_path / "model" / "curve.svg").read_text()
    assert [len(points_of(drawing, panel)) for panel in (0, 1)] == [4, 4]


def test_who_mines_for_which_round():
    mining = {"rounds": 3, "retrievers": ["bm25", "student"]}
    recipe = parse_recipe(SMALLEST, "recipe").changed({"training.negatives": 1, "mining": mining})
    assert [recipe.mining.of_round(number) for number in (1, 2, 3)] == [
        ("bm25",),
        ("bm25", "student"),
        ("bm25", "student"),
    ]
    recipe = recipe.changed({"mining.later_retrievers": ["student"]})
    assert [recipe.mining.of_round(number) for number in (1, 2)] == [("bm25",), ("student",)]


def test_the_student_alone_mines_after_a_first_round_of_given_lists(world, tmp_path):
    recipe = tiny_recipe("splade-pp-self-distil", world)
    changes = {"mining.retrievers": ["student"], "mining.later_retrievers": None}
    with pytest.raises(ParameterError, match=r"mining\.retrievers: 'student' alone; the first"):
        Run(recipe.changed(changes), tmp_path / "run").train()
    lists = stored_lists(world, tmp_path / "lists.parquet")
    with pytest.raises(ParameterError, match=r"'stored' .* later rounds mine others"):
        Run(recipe.changed(changes | lists), tmp_path / "run").train()
    del lists["teacher"]
    Run(recipe.changed(changes | lists), tmp_path / "run").train()
    assert not (tmp_path / "run" / "round-1" / "candidates.parquet").exists()
    assert (tmp_path / "run" / "round-2" / "candidates.parquet").is_file()


def test_margins_are_those_of_the_teacher_that_scores_are_rescaled_to(world, tmp_path):
    bands = [{"first": 1, "last": 6, "count": 6}]
    recipe, lines = tiny_recipe("splade-v3", world).changed({"mining.bands": bands}), []
    with pytest.raises(ParameterError, match=r"mining: (\d+) of \1 lists .* lower the margins"):
        Run(recipe.changed({"mining.absolute_margin": 1e6}), tmp_path / "run").train()
    file = tmp_path / "run" / "round-1" / "candidates.parquet"
    assert not file.exists()
    pairs, _ = read_data(recipe)
    teacher = CrossEncoderTeacher(world["cross-encoder"], pairs, max_length=16)
    ranking = SparseRetriever(load_encoder("bm25")).ranking(pairs, 6)
    rows = [np.array([row, *(set(ranking[row].tolist()) - {row, -1})]) for row in range(len(pairs))]
    scores = [teacher.scores(np.repeat(row, each.size), each) for row, each in enumerate(rows)]
    margin = float(np.concatenate(scores).std()) / 4
    Run(recipe.changed({"mining.absolute_margin": margin}), tmp_path / "run", lines.append).train()
    mined = read_candidates(file, pairs)
    for query, documents, stored in zip(mined.queries, mined.documents, mined.scores, strict=True):
        known = dict(zip(rows[query].tolist(), scores[query].tolist(), strict=True))
        assert set(documents[1:]) == {row for row in known if known[row] < known[query] - margin}
        np.testing.assert_allclose(stored, [known[row] for row in documents], atol=1e-5)
    without = sum(documents.size == 1 for documents in mined.documents)
    assert 0 < without < len(mined) / 2
    assert f"{without} of {len(mined)} lists are without negatives" in lines


def stored_lists(world, file, negatives=(3,)):
    """Candidate lists with scores in a file, with so many negatives in turn."""
    pairs = read_pairs(world["pairs"])
    n, counts = len(pairs.documents), [negatives[row % len(negatives)] for row in range(len(pairs))]
    lists = Candidates(
        np.arange(len(pairs)),
        [
            (row[0] + np.arange(1 + count)) % n
            for row, count in zip(pairs.positives, counts, strict=True)
        ],
        [np.array([9, 1, 2, 0], dtype=np.float32)[: 1 + count] for count in counts],
    )
    lists.save(file, pairs)
    return {"data.candidates": str(file), "teacher": [{"kind": "stored"}]}


def test_stored_scores_teach(world, tmp_path):
    changes = stored_lists(world, tmp_path / "lists.parquet") | {
        "objective": [{"name": "margin-mse"}],
        "training.negatives": 1,
        "training.block": 1,
    }
    results = Run(tiny_recipe("matrix", world).changed(changes), tmp_path / "run").train()
    assert results.after != results.before


def test_stored_scores_of_short_lists_teach(world, tmp_path):
    """As `lexidex mine --relative-margin` leaves them."""
    recipe, lines = tiny_recipe("splade-v3", world), []
    changes = stored_lists(world, tmp_path / "lists.parquet", [3, 1, 0])
    Run(recipe.changed(changes), tmp_path / "run", say=lines.append).train()
    told = r"[12]\d of 5\d lists are without negatives, left out"
    assert any(re.fullmatch(told, line) for line in lines)
    changes = stored_lists(world, tmp_path / "none.parquet", [0])
    with pytest.raises(InputError, match=r"none\.parquet: all \d+ lists are without negatives"):
        Run(recipe.changed(changes), tmp_path / "other").train()
    with pytest.raises(ParameterError, match=r"'stored' .* lists, and kl compares all"):
        tiny_recipe("cpu", world).changed(changes | {"training.block": 1, "training.negatives": 1})
    given = changes | {"data.candidates": None}
    with pytest.raises(ParameterError, match="'stored' scores come with data"):
        Run(recipe.changed(given), tmp_path / "other").train()


@pytest.mark.parametrize(
    ("table", "key", "value", "message"),
    [
        ("training", "stepz", 3, r"training\.stepz: unknown key; did you mean steps\?"),
        ("training", "steps", -1, r"training\.steps: -1; .*greater than 0"),
        ("training", "learning_rate", float("inf"), r"training\.learning_rate: inf; .*finite"),
        ("training", "weight_decay", float("nan"), r"training\.weight_decay: nan; .*finite"),
        (None, "mining", {"relative_margin": float("nan")}, r"relative_margin: nan; .*finite"),
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
        ("training", "batch", 1, r"training\.batch: 1; a query beside its own document alone"),
        (None, "masked", {"rate": 0.0}, r"masked\.rate: 0\.0; .*greater than 0"),
        (None, "mining", {"bands": []}, r"mining\.bands: \[\]; .*at least 1"),
        (None, "mining", {"retrievers": []}, r"mining\.retrievers: \[\]; .*at least 1"),
        (None, "mining", {"retrievers": ["bm25", "student"]}, r"'student' mines between rounds"),
        (
            None,
            "mining",
            {"later_retrievers": ["student"]},
            r"later_retrievers: mine from the second",
        ),
        (None, "mining", {"absolute_margin": 0.1}, r"teacher: none given"),
        ("model", "preset", "splade-mx", r"preset: 'splade-mx'; known are splade, splade-max"),
        ("model", "document_pruning", "topk=250", r"document_pruning: 'topk=250'; expected"),
        ("training", "block", 2, r"training\.block: 2; .* a teacher of kind dense"),
        (None, "ensemble", {"rescaled_to": 7}, r"ensemble\.rescaled_to: 7; there are 0 teachers"),
        (
            None,
            "objective",
            [{"name": "info-nce", "temperature": 0.0}],
            r"objective\.0: temperature: 0; expected above 0$",
        ),
        (
            None,
            "regulariser",
            [{"name": "df-flops", "side": "queries", "weight": 1, "alpha": 1.0}],
            r"regulariser\.0: alpha: 1; expected above 0 and below 1",
        ),
        (
            None,
            "regulariser",
            [{"name": "l1", "side": "queries", "weight": -0.5}],
            r"regulariser\.0: weight: -0\.5; expected at least 0",
        ),
        (
            None,
            "regulariser",
            [{"name": "flops", "side": "queries", "weight": 1, "per_position": True}],
            r"regulariser\.0: per_position: queries have no positions",
        ),
    ],
)
def test_what_is_wrong_in_a_recipe_is_named(table, key, value, message):
    described = copy.deepcopy(SMALLEST)
    (described[table] if table else described)[key] = value
    with pytest.raises(ParameterError, match=message):
        parse_recipe(described, "recipe.toml")


@pytest.mark.parametrize("name", ["margin-mse", "kl", "kl-margin-mse"])
def test_lists_need_negatives(name):
    described = SMALLEST | {"objective": [{"name": name}], "teacher": [{"kind": "bm25"}]}
    with pytest.raises(ParameterError, match=rf"training\.negatives: 0; {name} over lists"):
        parse_recipe(described, "recipe.toml")
    over_batch = described | {"objective": [{"name": name, "over": "batch"}]}
    assert parse_recipe(over_batch, "recipe.toml").objective[0].of_batch


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mining.rounds": 1}, r"training\.negatives: 0; what \[mining\] gives"),
        ({"data.candidates": "a"}, r"training\.negatives: 0; what data\.candidates gives"),
        (
            {
                "columns.drawn": 9,
                "regulariser": [{"name": "df-flops", "side": "documents", "weight": 1}],
            },
            r"regulariser: df-flops counts all terms; leave out \[columns\]",
        ),
        ({"training.chunk": 2, "columns.drawn": 9}, r"training\.chunk: gradient caching needs all"),
        ({"task": "masked-language-model", "training.chunk": 2}, r"training\.chunk: .*retrieval"),
        ({"task": "masked-language-model", "columns.drawn": 9}, r"columns: is for retrieval"),
        ({"task": "term-recall", "columns.drawn": 9}, r"columns: .* in task 'term-recall'"),
        (
            {"model.frozen_layers": 1, "model.cached_states": True, "model.dropout": True},
            r"model: dropout: true; with cached_states nothing can drop out",
        ),
        ({"model.identity_layers": 1}, r"model: identity_layers: 1; .* give active, too"),
        (
            {
                "model.layers": 3,
                "model.frozen_layers": 2,
                "model.identity_layers": 2,
                "model.active": 0.1,
            },
            r"model: identity_layers: 2; of 3 layers 2 are frozen",
        ),
        (
            {"teacher": [{"kind": "bm25"}], "ensemble.scale": 30.0, "ensemble.rescaled_to": 0},
            r"ensemble: scale: 30; rescaled_to gives",
        ),
        (
            {
                "teacher": [{"kind": "bm25"}],
                "data.candidates": "mined.parquet",
                "training.negatives": 1,
                "mining.absolute_margin": 1.0,
            },
            r"mining: its margins apply to what is mined here",
        ),
        ({"objective": [{"name": "info-nce", "over": "lists"}]}, r"info-nce is always over"),
        ({"task": "term-recall"}, r"objective: task 'term-recall' takes none"),
        (
            {
                "task": "term-recall",
                "regulariser": [{"name": "l1", "side": "documents", "weight": 1}],
            },
            r"regulariser: task 'term-recall' takes none",
        ),
        (
            {
                "task": "masked-language-model",
                "regulariser": [{"name": "df-flops", "side": "documents", "weight": 1}],
            },
            r"regulariser: 'df-flops' of documents; middle training",
        ),
    ],
)
def test_what_does_not_go_together_is_named(changes, message):
    with pytest.raises(ParameterError, match=message):
        parse_recipe(SMALLEST, "recipe").changed(changes)


def test_settings_are_changed_by_their_names():
    recipe = parse_recipe(SMALLEST, "recipe")
    changes = {"training.steps": 3, "mining.rounds": 2, "data.pairs": ["a"]}
    changed = recipe.changed(changes | {"training.negatives": 1})
    assert (changed.training.steps, changed.mining.rounds, changed.data.pairs) == (3, 2, ("a",))
    assert recipe.training.steps == 10
    with pytest.raises(ParameterError, match=r"training\.stops: unknown key; did you mean steps"):
        recipe.changed({"training.stops": 3})


def test_nothing_drops_out_where_states_are_cached_and_all_else_does():
    recipe = parse_recipe(SMALLEST, "recipe")
    assert recipe.model.drops_out
    assert not recipe.changed({"model.dropout": False}).model.drops_out
    cached = {"model.frozen_layers": 1, "model.cached_states": True}
    assert not recipe.changed(cached).changed({"training.seed": 1}).model.drops_out
    assert recipe.objective[0].over == "batch"


def test_the_backbone_can_be_the_teacher():
    teacher = {"kind": "dense", "path": "backbone"}
    recipe = parse_recipe(SMALLEST | {"teacher": [teacher]}, "recipe")
    assert recipe.changed({"model.backbone": "a/b"}).teachers[0].path == "a/b"


@pytest.mark.parametrize("name", ["cpu", "matrix"])
def test_another_backbone_is_another_teacher(name):
    recipe = read_recipe(name).changed({"model.backbone": "a/b"}).changed({"training.seed": 1})
    again = recipe.changed({"model.backbone": "c/d"})
    for changed, backbone in ((recipe, "a/b"), (again, "c/d")):
        assert [each.path for each in changed.teachers] == [backbone, None]


def test_recipes_that_are_not_there(tmp_path):
    with pytest.raises(NotFound, match=r"'splade-mx': .* did you mean splade-max\?"):
        read_recipe("splade-mx")
    (tmp_path / "bad.toml").write_text("name = ")
    with pytest.raises(InputError, match="not TOML"):
        read_recipe(tmp_path / "bad.toml")
