"""The commands `train`, `mine` and `bench train-matrix`: output, status, what they leave."""

import json
import sys

import pytest

from lexidex.cli import main
from lexidex.encoders import load_encoder
from lexidex.encoders.training.candidates import read_candidates
from lexidex.encoders.training.pairs import read_pairs
from lexidex.encoders.training.recipe_files import recipe_names

from .tiny import tiny_pairs, write_backbone, write_pairs

TINY = ["layers=1", "frozen_layers=1", "active=0.2", "max_length=16", "query_max_length=8"]
SETTINGS = [f"model.{setting}" for setting in TINY]
SETTINGS += ["training.steps=2", "training.batch=4", "training.warmup=0", "held_out.queries=8"]
SETTINGS += ["held_out.documents=20", "columns.frequent=20", "columns.drawn=30"]
SET = [word for setting in SETTINGS for word in ("--set", setting)]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world")
    return write_backbone(folder / "backbone"), write_pairs(folder / "p.jsonl", tiny_pairs(60))


@pytest.fixture
def run(monkeypatch, capsys):
    """Run a command line in this process: (status, stdout, stderr)."""

    def run_here(*arguments):
        monkeypatch.setattr(sys, "argv", ["lexidex", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        return ended.value.code or 0, captured.out, captured.err

    return run_here


def test_train(run, world, tmp_path):
    backbone, pairs = world
    options = ["--data", pairs, "--backbone", backbone, "--to", tmp_path / "to", *SET, "--json"]
    code, out, err = run("train", "matrix", *options)
    assert code == 0, err
    told = json.loads(out)
    assert told["held_out"] == {"queries": 8, "documents": 20}
    assert told["after"]["nDCG@10"] >= 0
    assert "before: nDCG@10" in err
    assert load_encoder(told["model"]).encode_documents(["d1 f2"]).nnz


def test_mine(run, world, tmp_path):
    _, pairs = world
    file = tmp_path / "mined.parquet"
    options = ["--by", "bm25", "--bands", "1-20:3", "--teacher", "bm25", "--seed", "1"]
    code, out, err = run("mine", pairs, "--to", file, *options, "--json")
    assert code == 0, err
    found = read_candidates(file, read_pairs(pairs))
    assert json.loads(out)["lists"] == len(found) == 60
    assert found.scores is not None


def test_train_matrix(run, world, tmp_path):
    backbone, pairs = world
    options = ["--data", pairs, "--backbone", backbone, "--presets", "unicoil,inference-free-v2"]
    lines = tmp_path / "lines.jsonl"
    options += [*SET, "--out", lines, "--work", tmp_path / "work"]
    code, out, err = run("bench", "train-matrix", *options)
    assert code == 0, err
    assert out.index("unicoil") < out.index("inference-free-v2")
    recorded = [json.loads(line) for line in lines.read_text().splitlines()]
    assert [line["preset"] for line in recorded] == ["unicoil", "inference-free-v2"]
    assert all(line["queries_seen"] == 8 for line in recorded)
    assert "bench train-matrix --data" in recorded[0]["facts"]["command"]
    assert not list((tmp_path / "work").iterdir())


def test_train_matrix_deletes_nothing_that_it_has_not_made(run, world, tmp_path):
    backbone, pairs = world
    (tmp_path / "unicoil").mkdir()
    (tmp_path / "unicoil" / "precious.txt").write_text("years of work")
    options = ["bench", "train-matrix", "--data", pairs, "--backbone", backbone, *SET]
    options += ["--work", tmp_path, "--presets"]
    code, _, err = run(*options, "deep-impact,unicoil")
    assert code == 2
    assert "unicoil: holds something other than a training" in err
    assert [place.name for place in tmp_path.iterdir()] == ["unicoil"]
    (tmp_path / "unicoil" / "precious.txt").rename(tmp_path / "precious.txt")
    code, _, err = run(*options, "unicoil")
    assert code == 0, err
    assert (tmp_path / "precious.txt").read_text() == "years of work"
    assert load_encoder(tmp_path / "unicoil" / "model").dim


def test_recipes_are_listed(run):
    code, out, _ = run("train", "--list", "--json")
    assert code == 0
    assert [recipe["name"] for recipe in json.loads(out)] == recipe_names()


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["train"], 2, "give a recipe and a folder"),
        (["train", "splad", "--to", "x"], 3, "did you mean splade?"),
        (["train", "matrix", "--to", "x", "--set", "steps"], 2, "expected NAME=VALUE"),
        (["train", "matrix", "--to", "x", "--set", "training.stops=1"], 2, "did you mean steps?"),
        (["mine", "x", "--to", "y", "--bands", "9-1:2"], 2, "--bands '9-1:2'"),
        (["mine", "nowhere.jsonl", "--to", "y"], 4, "nowhere.jsonl"),
        (["bench", "train-matrix"], 2, "Missing option"),
        (
            ["bench", "train-matrix", "--data", "x", "--backbone", "y", "--keep"],
            2,
            "--keep: needs a folder that stays",
        ),
    ],
)
def test_what_cannot_be_done_is_one_line(run, tmp_path, monkeypatch, arguments, status, message):
    monkeypatch.chdir(tmp_path)
    code, out, err = run(*arguments)
    assert (code, out) == (status, "")
    assert message in err
    assert "Traceback" not in err
    assert not list(tmp_path.iterdir())
