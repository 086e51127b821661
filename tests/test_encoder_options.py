"""Options of the encoder on the command line: from `index` to `eval`, with a model's licence."""

import json
import sys

import pytest

from lexidex import Collection
from lexidex.cli import main
from lexidex.commands.encoder_options import given_options
from lexidex.encoders import load_encoder

from .encoders.checkpoints import TEXTS, write_plain
from .encoders.published import write_opensearch


@pytest.fixture
def run(monkeypatch, capsys):
    """Run a command line in this process: its status, stdout and stderr."""

    def run_here(*arguments):
        monkeypatch.setattr(sys, "argv", ["lexidex", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        return ended.value.code, captured.out, captured.err

    return run_here


@pytest.fixture
def beir(tmp_path):
    """A judged collection of two documents."""
    folder = tmp_path / "beir"
    (folder / "qrels").mkdir(parents=True)
    texts = {"a": "The weather in New York is rainy", "b": "Sparse vectors and inverted indexes"}
    lines = [json.dumps({"_id": name, "text": text}) + "\n" for name, text in texts.items()]
    (folder / "corpus.jsonl").write_text("".join(lines))
    (folder / "queries.jsonl").write_text('{"_id": "q", "text": "rainy weather"}\n')
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq\ta\t1\n")
    return folder


def test_a_model_indexes_searches_and_is_evaluated(run, beir, tmp_path):
    model = write_plain(tmp_path / "model")
    (model / "README.md").write_text("---\nlicense: mit\n---\n")
    options = ("--encoder-option", "preset=splade-doc", "--encoder-option", "max_length=16")
    to = tmp_path / "collection"

    prune = ("--prune", "top_k=40,max_ratio=0.05")
    code, _, err = run("index", beir, "--to", to, "--encoder", model, *options, *prune)
    assert code == 0
    assert f"{model}: licence: mit" in err
    encoder = Collection.open(to).encoder
    assert encoder.options["preset"] == "splade-doc"
    assert encoder.options["max_length"] == 16
    assert encoder.options["document_pruning"] == {"top_k": 40, "max_ratio": 0.05}

    # The model is random, and not the same everywhere: which words it gives weight, nobody knows.
    words = sorted({word for text in TEXTS for word in text.split()})
    word, expected = next((w, hits) for w in words if (hits := Collection.open(to).search(w).hits))
    code, out, _ = run("search", to, word, "--json", "--explain")
    assert code == 0
    assert [hit["id"] for hit in json.loads(out)["hits"]] == [hit.doc_id for hit in expected]
    code, out, _ = run("eval", to, "--data", beir, "--json")
    assert code == 0
    assert 0 <= json.loads(out)["measures"]["nDCG@10"] <= 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--prune", "top_k=3"], "document_pruning: give the encoder as well, by --encoder"),
        (["--encoder", "bm25", "--encoder-option", "k1"], "'k1'; expected NAME=VALUE"),
        (["--encoder", "bm25", "--encoder-option", "k3=1"], "encoder bm25: unknown option 'k3'"),
        (["--encoder", "bm25", "--prune-queries", "top_k=1"], "unknown option 'query_pruning'"),
        (["--encoder", "bm25", "--encoder-option", "k1=much"], "k1: 'much'; expected a finite"),
        (
            ["--encoder", "lexidex-mini", "--encoder-option", "trust_remote_code=False"],
            "trust_remote_code: 'False'; expected True or False, on the command line true or false",
        ),
    ],
)
def test_options_that_cannot_be_are_wrong_usage(run, beir, tmp_path, arguments, message):
    code, out, err = run("index", beir, "--to", tmp_path / "c", *arguments)
    assert (code, out) == (2, "")
    assert message in err.replace("\n", " ")
    assert not (tmp_path / "c").exists()


def test_options_that_are_text_stay_text():
    given = ["revision=8721394", "query_path=5", "preset=true", 'expansion_delimiter="\\n---\\n"']
    given += ["query_revision=null", "max_length=256", "batch_tokens=12", "collection_idf=0.5"]
    assert given_options(given) == {
        "revision": "8721394",
        "query_path": "5",
        "preset": "true",
        "expansion_delimiter": "\n---\n",
        "query_revision": None,
        "max_length": 256,
        "batch_tokens": 12,
        "collection_idf": 0.5,
    }


def test_models_of_plain_files_are_shown_as_they_are_to_be_taken(run, tmp_path):
    write_opensearch(tmp_path / "raw")
    shown = "models", "show", tmp_path / "raw", "--json"
    code, _, err = run(*shown)
    assert (code, 'give activation="relu"' in err.replace("\n", " ")) == (2, True)
    code, out, _ = run(*shown, "--encoder-option", "activation=relu")
    assert code == 0
    expected = load_encoder(tmp_path / "raw", activation="relu").fingerprint
    assert json.loads(out)["fingerprint"] == expected


@pytest.mark.parametrize("options", [{"activation": "log1p_relu"}, {"preset": "inference-free-v3"}])
def test_models_of_plain_files_are_exported_and_pruned(run, beir, tmp_path, options):
    pytest.importorskip("onnxruntime", reason="exports need the extra lexidex[onnx]")
    pytest.importorskip("onnx", reason="exports need the extra lexidex[onnx]")
    write_opensearch(tmp_path / "raw")
    given = [part for item in options.items() for part in ("--encoder-option", "=".join(item))]
    texts = ("--texts", beir, "--quiet")
    wanted = load_encoder(tmp_path / "raw", **options)

    assert run("models", "export", tmp_path / "raw", "--to", tmp_path / "no", *texts)[0] == 2
    export = "models", "export", tmp_path / "raw", "--to", tmp_path / "fast", "--fp32"
    assert run(*export, *texts, *given)[0] == 0
    assert load_encoder(tmp_path / "fast").fingerprint == wanted.fingerprint
    prune = "models", "prune", tmp_path / "raw", "--to", tmp_path / "pruned"
    assert run(*prune, *texts, *given)[0] == 0
    recipe = load_encoder(tmp_path / "pruned").checkpoint.documents.recipe
    assert recipe == wanted.checkpoint.documents.recipe


def test_what_has_no_model_is_not_exported(run, beir, tmp_path):
    code, _, err = run("models", "export", "bm25", "--to", tmp_path / "no", "--texts", beir)
    assert code == 2
    assert "bm25: no model; expected a folder" in err
