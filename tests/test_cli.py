"""The command line: what it prints and where, its JSON, its exit status, what it leaves behind."""

import gzip
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass

import pytest
import typer
from rich.markup import render

import lexidex
from lexidex import Collection
from lexidex.cli import app, main
from lexidex.errors import InputError
from lexidex.index.storage.files import FileStorage

HEAVY = ["faiss", "numba", "numpy", "pyarrow", "scipy", "torch", "transformers"]

ANIMALS = """\
{"id": "fox", "title": "Foxes", "text": "The red fox jumps.", "metadata": {"legs": 4}}
{"id": "dog", "text": "A lazy dog sleeps, the dog."}
{"_id": 3, "text": "Sleeping foxes and dogs", "lang": "en"}
"""

QRELS = "query-id\tcorpus-id\tscore\nq1\tfox\t1\nq1\t3\t1\ndog\tdog\t1\ndog\t3\t2\nq3\tfox\t1\n"
QUERIES = """\
{"_id": "q1", "text": "red fox"}
{"_id": "dog", "text": "sleeping dog"}
{"_id": "q3", "text": "zebra"}
"""


@dataclass
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self):
        assert self.out.count("\n") == 1
        return json.loads(self.out, parse_constant=lambda name: pytest.fail(name))


@pytest.fixture
def run(monkeypatch, capsys):
    """Run a command line in this process."""

    def run_here(*arguments):
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", ["lexidex", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        return Done(ended.value.code or 0, captured.out, captured.err)

    return run_here


def start(*arguments, **options):
    """Start a command line in a process of its own, where an interrupt is not ignored."""
    program = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from lexidex.cli import main; main()"
    )
    command = [sys.executable, "-c", program, *map(str, arguments)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, **options)


def run_apart(*arguments, **options):
    with start(*arguments, **options) as process:
        out, err = process.communicate(timeout=60)
    return Done(process.returncode, out, err)


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "animals.jsonl"
    path.write_text(ANIMALS, encoding="utf-8")
    return path


@pytest.fixture
def animals(tmp_path, run, source):
    """A collection of three animals; generation 2."""
    assert run("index", source, "--to", tmp_path / "animals").code == 0
    return tmp_path / "animals"


@pytest.fixture
def beir(tmp_path):
    folder = tmp_path / "beir"
    (folder / "qrels").mkdir(parents=True)
    (folder / "queries.jsonl").write_text(QUERIES, encoding="utf-8")
    (folder / "qrels" / "test.tsv").write_text(QRELS, encoding="utf-8")
    return folder


def files_of(folder):
    """Every file that a collection consists of: name -> bytes."""
    found = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return {path: data for path, data in found.items() if path.suffix != ".lock"}


def ids(done):
    return [hit["id"] for hit in done.json["hits"]]


# Start and help


@pytest.mark.smoke
@pytest.mark.parametrize("module", ["lexidex", "lexidex.cli"])
def test_imports_are_light(module):
    program = f"import sys, {module}; print([m for m in {HEAVY} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "[]\n"


@pytest.mark.smoke
def test_help_as_a_module():
    done = subprocess.run(
        [sys.executable, "-m", "lexidex", "--help"], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    for command in ("index", "search", "explain", "delete", "eval", "check", "serve", "demo"):
        assert re.search(rf"^\W+{command} ", done.stdout, re.M), command


@pytest.mark.parametrize(
    "command", ["index", "search", "explain", "update", "delete", "eval", "check"]
)
@pytest.mark.parametrize("option", ["-h", "--help"])
def test_every_command_has_help(run, command, option):
    done = run(command, option)
    assert (done.code, done.err) == (0, "")
    assert "--json" in done.out


def help_texts(command, path="lexidex"):
    """What the help of a command, and of those below it, is made of."""
    yield path, command.help or ""
    for parameter in command.params:
        for text in (getattr(parameter, "help", None), parameter.metavar):
            yield f"{path} {parameter.name}", text or ""
    for name, below in getattr(command, "commands", {}).items():
        yield from help_texts(below, f"{path} {name}")


def test_no_bracket_of_a_help_text_is_taken_for_markup():
    texts = list(help_texts(typer.main.get_command(app)))
    assert len(texts) > 100
    for where, text in texts:
        assert render(text).plain == text.replace("\\[", "["), where


def test_how_to_install_what_exports_need_is_shown_whole(run):
    shown = " ".join(run("models", "export", "--help").out.split())
    assert "pip install 'lexidex[onnx]'" in shown


def test_version(run):
    assert run("--version") == Done(0, f"lexidex {lexidex.__version__}\n", "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["frobnicate"], "No such command 'frobnicate'"),
        (["index"], "Missing argument 'SOURCES"),
        (["index", "x.jsonl"], "Missing option '--to'"),
        (["index", "x.jsonl", "--to", "y", "--on-duplicate", "first"], "--on-duplicate"),
        (["index", "x.jsonl", "--to", "y", "--memory", "much"], "memory: 'much'; expected a size"),
        (
            ["index", "x.jsonl", "--to", "y", "--memory", "1MB"],
            "memory: 1MB; a build takes at least",
        ),
        (["index", "x.jsonl", "--to", "y", "--memory", "3"], "memory: 3 bytes; a build takes"),
        (["search"], "Missing argument 'DIR'"),
        (["search", "x", "fox", "-k", "0"], "-k"),
        (["search", "x", "fox", "--frobnicate"], "No such option"),
        (["explain", "x", "fox"], "Missing argument 'ID'"),
        (["eval", "x"], "Missing option '--data'"),
        (["eval", "x", "--data", "y", "--threads", "0"], "--threads"),
        (["check"], "Missing argument 'DIR'"),
    ],
)
def test_wrong_usage_is_2(run, arguments, message):
    done = run(*arguments)
    assert (done.code, done.out) == (2, "")
    assert message.lower() in done.err.lower()
    assert "Traceback" not in done.err


def test_without_a_command_the_help_is_shown(run):
    done = run()
    assert done.code == 2
    assert "Usage: " in done.out + done.err


# index


@pytest.mark.smoke
def test_index_and_search(run, tmp_path, source):
    done = run("index", source, "--to", tmp_path / "c", "--json")
    assert (done.code, done.err) == (0, "")
    seconds = done.json["seconds"]
    assert 0 <= seconds < 60
    assert done.json == {
        "collection": str(tmp_path / "c"),
        "upserted": 3,
        "resumed": 0,
        "failed": [],
        "documents": 3,
        "generation": 2,
        "seconds": seconds,
    }
    assert ids(run("search", tmp_path / "c", "a sleepy dog", "--json")) == ["dog", "3"]


def test_index_says_what_it_did(run, tmp_path, source):
    done = run("index", source, "--to", tmp_path / "c")
    assert (done.code, done.err) == (0, "")
    expected = rf"3 documents indexed in \d+\.\d s \([\d,]+/s\); {tmp_path / 'c'} holds 3\n"
    assert re.fullmatch(expected, done.out)


def test_index_over_a_collection_adds_and_replaces(run, tmp_path, animals):
    more = tmp_path / "more.tsv"
    more.write_text("cat\tthe cat\nfox\tan arctic fox\n", encoding="utf-8")
    done = run("index", more, "--to", animals, "--json")
    assert (done.json["upserted"], done.json["documents"], done.json["generation"]) == (2, 4, 3)
    assert ids(run("search", animals, "red", "--json")) == []
    assert ids(run("search", animals, "arctic cat", "--json")) == ["cat", "fox"]


def test_replace_puts_the_new_in_place_of_the_old(run, tmp_path, animals):
    more = tmp_path / "more.tsv"
    more.write_text("cat\tthe cat\n", encoding="utf-8")
    done = run("index", more, "--to", animals, "--replace", "--json")
    assert (done.json["upserted"], done.json["documents"], done.json["generation"]) == (1, 1, 3)
    assert ids(run("search", animals, "fox dog cat", "--json")) == ["cat"]


def test_several_sources_of_several_kinds(run, tmp_path, source):
    folder = tmp_path / "folder"
    (folder / "notes").mkdir(parents=True)
    (folder / "notes" / "a.md").write_text("# Owls\nowls hoot", encoding="utf-8")
    (folder / "b.csv.gz").write_bytes(gzip.compress(b"id,text\nnewt,newts swim\n"))
    done = run("index", source, folder, "--to", tmp_path / "c", "--json")
    assert done.json["documents"] == 5
    assert ids(run("search", tmp_path / "c", "hoot", "--json")) == ["notes/a.md"]
    assert ids(run("search", tmp_path / "c", "swim", "--json")) == ["newt"]


BAD = ANIMALS + '{"id": "bad"}\nnonsense\n' + '{"id": "last", "text": "at last"}\n'


def test_records_left_out_are_reported_and_the_status_is_4(tmp_path):
    """In a process of its own: data on stdout, messages on stderr."""
    path = tmp_path / "bad.jsonl"
    path.write_text(BAD, encoding="utf-8")
    done = run_apart("index", path, "--to", tmp_path / "c")
    assert done.code == 4
    assert re.fullmatch(r"4 documents indexed in .* holds 4\n", done.out)
    assert done.err == (
        f"left out: {path}:4: field 'text' is missing\n"
        f"left out: {path}:5: not JSON: Expecting value: line 1 column 1 (char 0)\n"
    )


def test_records_left_out_as_json_and_in_a_file(run, tmp_path):
    path, errors = tmp_path / "bad.jsonl", tmp_path / "errors.jsonl"
    path.write_text(BAD, encoding="utf-8")
    done = run("index", path, "--to", tmp_path / "c", "--json", "--errors", errors)
    expected = [
        {"file": str(path), "line": 4, "reason": "field 'text' is missing"},
        {
            "file": str(path),
            "line": 5,
            "reason": "not JSON: Expecting value: line 1 column 1 (char 0)",
        },
    ]
    assert done.code == 4
    assert done.json["failed"] == expected
    assert done.json["documents"] == 4
    assert [*map(json.loads, errors.read_text(encoding="utf-8").splitlines())] == expected


def test_an_errors_file_without_errors_is_empty(run, tmp_path, source):
    errors = tmp_path / "errors.jsonl"
    errors.write_text("of an earlier run", encoding="utf-8")
    assert run("index", source, "--to", tmp_path / "c", "--errors", errors).code == 0
    assert errors.read_text(encoding="utf-8") == ""


def test_an_errors_file_that_cannot_be_written_stops_before_anything_is_done(run, tmp_path, source):
    errors = tmp_path / "gone" / "errors.jsonl"
    done = run("index", source, "--to", tmp_path / "c", "--errors", errors)
    assert done == Done(1, "", f"error: {errors}: cannot be written: No such file or directory\n")
    assert not (tmp_path / "c").exists()


def test_many_records_left_out_are_not_all_shown(run, tmp_path):
    path = tmp_path / "bad.jsonl"
    path.write_text("{}\n" * 1500, encoding="utf-8")
    done = run("index", path, "--to", tmp_path / "c")
    lines = done.err.splitlines()
    assert done.code == 4
    assert len(lines) == 12
    assert lines[9] == f"left out: {path}:10: field 'text' is missing"
    assert lines[10] == "... and 1,490 more; --errors FILE lists them all"
    assert lines[11].startswith("error: none of 1,500 records is a document, so nothing is changed")
    assert not (tmp_path / "c").exists()


def test_records_that_are_all_bad_do_not_empty_a_collection(run, tmp_path, animals, source):
    before = files_of(animals)
    path, errors = tmp_path / "bad.jsonl", tmp_path / "errors.jsonl"
    path.write_text('nonsense\n{"id": "x"}\n', encoding="utf-8")
    done = run("index", path, "--to", animals, "--replace", "--json", "--errors", errors)
    assert (done.code, done.json["documents"], len(done.json["failed"])) == (4, 3, 2)
    assert len(errors.read_text(encoding="utf-8").splitlines()) == 2
    assert f"none of 2 records is a document, so nothing is changed; the first is {path}:1" in (
        done.err.replace("\n", " ")
    )
    done = run("index", source, "--to", animals, "--replace", "--encoder", "vectors")
    assert (done.code, "none of 3 documents can be taken" in done.err) == (4, True)
    assert files_of(animals) == before


def test_a_command_that_fails_leaves_nothing_in_the_way_of_the_next(run, tmp_path, source):
    to, twice = tmp_path / "c", tmp_path / "twice.jsonl"
    twice.write_text(ANIMALS + ANIMALS, encoding="utf-8")
    for given, *options in (
        (twice,),
        (source, "--memory", "3"),
        (source, "--passages", "split"),
        (source, "--encoder", "vectors"),
    ):
        assert run("index", given, "--to", to, *options).code in (2, 4)
        assert not to.exists()
    to.mkdir()
    assert run("index", twice, "--to", to).code == 4
    assert [*to.iterdir()] == []
    assert run("index", source, "--to", to, "--dense", "vectors").code == 0
    before = files_of(to)
    assert run("index", twice, "--to", to).code == 4
    assert files_of(to) == before


def test_documents_that_the_encoder_cannot_take_are_named_by_id(run, tmp_path, source):
    done = run("index", source, "--to", tmp_path / "c", "--encoder", "vectors", "--json")
    reason = "field 'vector' is missing; this collection has no text encoder"
    assert done.code == 4
    assert done.json["failed"] == [{"id": i, "reason": reason} for i in ("fox", "dog", "3")]
    assert done.json["documents"] == 0
    assert "error: none of 3 documents can be taken" in done.err
    assert not (tmp_path / "c").exists()


def test_vectors_are_indexed_and_searched(run, tmp_path):
    path = tmp_path / "v.jsonl"
    lines = [{"id": "a", "vector": {"x": 1, "é": 2}}, {"id": "b", "vector": {"x": 3}}]
    path.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    assert run("index", path, "--to", tmp_path / "c", "--encoder", "vectors").code == 0
    done = run("search", tmp_path / "c", "--sparse", '{"x": 1, "é": 0.5, "no": 1}', "--json")
    assert [(hit["id"], hit["score"]) for hit in done.json["hits"]] == [("b", 3.0), ("a", 2.0)]
    assert done.json["ignored_terms"] == ["no"]
    done = run("search", tmp_path / "c", "x")
    assert done.code == 2
    assert done.err == (
        "error: this collection has no text encoder: query it with a sparse vector, or create "
        "the collection with an encoder\n"
    )


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("gone.jsonl", "{path}: no such file or folder"),
        ("a.pdf", "{path}: files of type .pdf are not read; known are .jsonl, "),
        ("empty", "{path}: no file of a known type in it (.jsonl, "),
    ],
)
def test_a_source_that_cannot_be_read_makes_no_collection(run, tmp_path, name, message):
    (tmp_path / "a.pdf").write_bytes(b"%PDF")
    (tmp_path / "empty").mkdir()
    done = run("index", tmp_path / name, "--to", tmp_path / "c")
    assert (done.code, done.out) == (4, "")
    assert done.err.startswith("error: " + message.format(path=tmp_path / name))
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize("replace", [[], ["--replace"]])
@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl.gz", gzip.compress(ANIMALS.encode())[:-9], "cannot be read: Compressed file"),
        ("a.csv", b'id,text\nnew,new\nx,"unclosed\n', "not CSV: unexpected end of data"),
        ("a.tsv", b"new\tnew\nnew\tagain\n", "id 'new' stands already at "),
    ],
)
def test_a_source_that_breaks_off_leaves_the_collection_as_it_was(
    run, tmp_path, animals, replace, name, content, message
):
    before = files_of(animals)
    (tmp_path / name).write_bytes(content)
    done = run("index", tmp_path / name, "--to", animals, *replace)
    assert (done.code, done.out) == (4, "")
    assert done.err.startswith(f"error: {tmp_path / name}:")
    assert message in done.err
    assert files_of(animals) == before


def test_the_last_of_an_id_wins_when_asked_for(run, tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text("1\told\n2\tother\n1\tnew\n", encoding="utf-8")
    done = run("index", path, "--to", tmp_path / "c", "--on-duplicate", "last", "--json")
    assert (done.code, done.json["documents"]) == (0, 2)
    assert ids(run("search", tmp_path / "c", "old", "--json")) == []
    assert ids(run("search", tmp_path / "c", "new", "--json")) == ["1"]


@pytest.mark.smoke
def test_another_encoder_is_a_mismatch(run, animals, source):
    before = files_of(animals)
    done = run("index", source, "--to", animals, "--encoder", "vectors")
    assert (done.code, done.out) == (2, "")
    assert done.err == (
        f"error: {animals}: made with encoder bm25, not vectors; leave --encoder out, or use "
        "--replace\n"
    )
    options = ["--encoder", "bm25", "--encoder-option", "k1=1.2"]
    done = run("index", source, "--to", animals, *options)
    assert f"{animals}: made with encoder bm25 with k1 0.9, not 1.2; leave" in done.err
    assert files_of(animals) == before
    assert run("index", source, "--to", animals, "--encoder", "bm25").code == 0


def test_replace_may_change_the_encoder(run, tmp_path, animals):
    path = tmp_path / "v.jsonl"
    path.write_text('{"id": "a", "vector": {"x": 1}}', encoding="utf-8")
    done = run("index", path, "--to", animals, "--encoder", "vectors", "--replace", "--json")
    assert (done.code, done.json["documents"]) == (0, 1)
    assert Collection.open(animals).encoder.kind == "vectors"


def test_an_unknown_encoder_is_3_and_makes_no_collection(run, tmp_path, source):
    done = run("index", source, "--to", tmp_path / "c", "--encoder", "nothing")
    assert (done.code, done.out) == (3, "")
    assert done.err.startswith("error: encoder 'nothing': not one of bm25, ")
    assert not (tmp_path / "c").exists()


def test_a_folder_with_other_files_is_not_taken(run, source):
    done = run("index", source, "--to", source.parent)
    assert (done.code, done.out) == (2, "")
    assert done.err == (
        f"error: {source.parent}: the folder holds other files ({source.name}); choose a new one\n"
    )


# search and explain


def test_search_as_json(run, animals):
    done = run("search", animals, "red zebra foxes", "-k", "1", "--json")
    assert (done.code, done.err) == (0, "")
    answer = done.json
    assert {"hits", "timings", "generation", "ignored_terms", "counters"} <= set(answer)
    [hit] = answer["hits"]
    score = hit.pop("score")
    assert 0 < score < 2
    expected = {
        "id": "fox",
        "title": "Foxes",
        "text": "The red fox jumps.",
        "metadata": {"legs": 4},
        "passage": {"number": 0, "start": 0, "end": 18},
    }
    assert {name: hit[name] for name in expected} == expected
    assert answer["ignored_terms"] == ["zebra"]
    assert answer["generation"] == 2
    assert {"encode_us", "search_us", "fetch_us"} <= set(answer["timings"])
    assert score == pytest.approx(Collection.open(animals).search("red zebra foxes").hits[0].score)


def test_terms_of_an_explained_search_add_up(run, animals):
    for hit in run("search", animals, "sleeping red dogs", "--explain", "--json").json["hits"]:
        for term in hit["terms"]:
            assert term["product"] == pytest.approx(term["query"] * term["document"])
        total = sum(term["product"] for term in hit["terms"])
        assert total == pytest.approx(hit["score"], rel=1e-5)


def test_search_for_people(run, animals):
    done = run("search", animals, "red zebra", "--explain")
    score = Collection.open(animals).search("red").hits[0].score
    lines = done.out.splitlines()
    assert lines[0].split() == ["1", f"{score:.4f}", "fox", "Foxes"]
    assert lines[1].strip() == "The red fox jumps."
    assert lines[2].strip() == f"red {score:.3f}"
    assert lines[3] == "in no document: zebra"
    assert re.match(r"encode [\d,]+ us, search [\d,]+ us, ", lines[4])
    assert len(lines) == 5


def test_a_search_without_a_hit(run, animals):
    done = run("search", animals, "zebra")
    assert done.code == 0
    assert done.out.splitlines()[:2] == ["no document matches", "in no document: zebra"]
    assert run("search", animals, "", "--json").json["hits"] == []


def test_documents_are_shown_as_they_are(run, tmp_path):
    """Neither Rich's markup nor its emoji codes may change an id, a title or a term."""
    path = tmp_path / "a.jsonl"
    document = {"id": "[b]:key:", "title": "[red]:fox_face:", "text": ":fire: [/] \x1b[1mfox \\"}
    path.write_text(json.dumps(document), encoding="utf-8")
    run("index", path, "--to", tmp_path / "c:key:")
    done = run("search", tmp_path / "c:key:", "fox [i]:dog: fire", "--explain")
    assert "[b]:key: [red]:fox_face:\n" in done.out
    assert ":fire: [/]  [1mfox \\\n" in done.out
    assert run("explain", tmp_path / "c:key:", "fox", "[b]:key:").code == 0
    done = run("explain", tmp_path / "c:key:", "fox", "[x]:key:")
    expected = f"error: {tmp_path / 'c:key:'}: no document with id '[x]:key:'\n"
    assert done == Done(3, "", expected)


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "cp1252"])
def test_json_is_json_in_every_encoding(run, monkeypatch, tmp_path, encoding):
    path = tmp_path / "a.jsonl"
    path.write_text('{"id": "日", "text": "café fox"}', encoding="utf-8")
    run("index", path, "--to", tmp_path / "c")
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding))
    done = run("search", tmp_path / "c", "fox", "--json")
    sys.stdout.flush()
    assert (done.code, done.err) == (0, "")
    [hit] = json.loads(raw.getvalue().decode(encoding))["hits"]
    assert (hit["id"], hit["text"]) == ("日", "café fox")
    assert ("café".encode() in raw.getvalue()) is (encoding == "utf-8")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give a query, or a vector by --sparse"),
        (["--mode", "dense"], "give a query, or a vector by --dense"),
        (["fox", "--mode", "hybrid"], "mode: 'hybrid', but this collection has no dense side"),
        (["fox", "--sparse", "{}"], "give a query, or a vector by --sparse, and not both"),
        (["--sparse", "{"], "--sparse: not JSON: Expecting property name enclosed in double "),
        (["--sparse", "[1]"], "sparse: vector: [1]; expected {term: weight} or "),
        (["--sparse", '{"fox": -1}'], "sparse: vector: weight -1 of term 'fox'; weights must "),
        (["--sparse", '{"fox": NaN}'], "sparse: vector: weight nan of term 'fox'; weights must "),
        (["fox", "-k", "1000001"], "k: 1000001; expected an integer from 1 to 1,000,000"),
    ],
)
def test_a_search_that_cannot_be_done(run, animals, arguments, message):
    done = run("search", animals, *arguments)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"error: {message}")
    assert done.err.count("\n") == 1


def test_a_search_under_a_filter(run, animals):
    assert sorted(ids(run("search", animals, "fox", "--json"))) == ["3", "fox"]
    assert ids(run("search", animals, "fox", "--filter", '{"lang": "en"}', "--json")) == ["3"]
    done = run("search", animals, "fox", "--filter", '{"lang": "de"}')
    assert (done.code, done.out.splitlines()[0]) == (0, "no document matches")
    assert "(skipped)" in done.out


@pytest.mark.parametrize(
    ("given_filter", "message"),
    [
        ("{", "--filter: not JSON: Expecting property name enclosed in double quotes"),
        ("[" * 100_000, "--filter: not JSON: "),
        ("3", "filter: expected an object of fields and conditions, got 3"),
        ('{"a": {"gt": []}}', "filter.a.gt: expected a number, date-time or string, got []"),
    ],
)
@pytest.mark.parametrize("command", [["search", "fox"], ["delete"]])
def test_a_filter_that_is_none(run, animals, command, given_filter, message):
    done = run(command[0], animals, *command[1:], "--filter", given_filter)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"error: {message}")


def test_deleting_by_ids_and_by_a_filter(run, animals):
    done = run("delete", animals, "fox", "nothing", "--json")
    counts = {"deleted": 1, "documents": 2, "generation": 3}
    assert (done.code, done.json) == (0, {"collection": str(animals), **counts})
    done = run("delete", animals, "--filter", '{"lang": {"exists": true}}')
    assert done == Done(0, f"1 documents deleted; {animals} holds 1\n", "")
    assert run("delete", animals, "--filter", '{"lang": "en"}').out.startswith("0 documents")
    assert ids(run("search", animals, "fox dog", "--json")) == ["dog"]


def test_updating_metadata_of_documents_and_from_a_file(run, animals, tmp_path):
    done = run("update", animals, "fox", "dog", "--metadata", '{"lang": "fr"}', "--json")
    told = {"collection": str(animals), "updated": 2, "failed": [], "generation": 3}
    assert (done.code, done.json) == (0, told)
    french = run("search", animals, "fox dog", "--filter", '{"lang": "fr"}', "--json")
    assert set(ids(french)) == {"fox", "dog"}
    updates = tmp_path / "updates.jsonl"
    updates.write_text(
        '{"id": "fox", "metadata": {"lang": "de"}}\nno JSON\n'
        '{"id": "elk", "metadata": {}}\n{"id": "dog", "text": "a"}\n'
    )
    done = run("update", animals, "--from", updates)
    assert (done.code, done.out) == (4, f"1 documents updated in {animals}\n")
    reasons = [
        f"{updates}:2: not JSON: ",
        f"{updates}:4: expected an object with id and metadata",
        f"{updates}:3: elk: no document with that id",
    ]
    for line, reason in zip(done.err.splitlines(), reasons, strict=True):
        assert line.startswith(f"left out: {reason}")
    assert ids(run("search", animals, "fox dog", "--filter", '{"lang": "de"}', "--json")) == ["fox"]
    updates.write_text('{"id": 7, "metadata": {}}\n{"id": "fox", "metadata": {}}\n' * 2)
    done = run("update", animals, "--from", updates, "--json")
    reason = "no document with that id"
    assert (done.code, done.json["updated"], done.json["failed"]) == (
        4,
        2,
        [{"file": str(updates), "line": n, "id": "7", "reason": reason} for n in (1, 3)],
    )
    done = run("update", animals, "fox", "--metadata", "3", "--json")
    assert (done.code, done.json["updated"]) == (4, 0)
    assert "'metadata': 3; expected an object" in done.json["failed"][0]["reason"]


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["fox"],
        ["--metadata", "{}"],
        ["fox", "--from", "a.jsonl"],
        ["fox", "--metadata", "{}", "--from", "a.jsonl"],
        ["fox", "--metadata", "{"],
    ],
)
def test_updating_takes_ids_with_metadata_or_a_file(run, animals, arguments):
    done = run("update", animals, *arguments)
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    assert "metadata" in done.err


@pytest.mark.parametrize("arguments", [[], ["fox", "--filter", '{"lang": "en"}']])
def test_deleting_takes_ids_or_a_filter(run, animals, arguments):
    done = run("delete", animals, *arguments)
    message = "error: ids: give a list of ids or a filter, one of the two\n"
    assert done == Done(2, "", message)


def test_a_sparse_query_by_terms(run, animals):
    done = run("search", animals, "--sparse", '{"fox": 2, "nothing": 1}', "--json", "--explain")
    assert done.json["ignored_terms"] == ["nothing"]
    assert {hit["id"] for hit in done.json["hits"]} == {"fox", "3"}
    assert done.json["hits"][0]["terms"][0]["query"] == 2
    assert run("search", animals, "--sparse", "{}", "--json").json["hits"] == []


@pytest.mark.parametrize("command", [["search", "fox"], ["explain", "fox", "1"], ["check"]])
def test_no_collection_is_3(run, tmp_path, command):
    name, *rest = command
    done = run(name, tmp_path / "gone", *rest)
    assert done == Done(
        3,
        "",
        f"error: {tmp_path / 'gone'}: no collection here; make one with 'lexidex index' or "
        "Collection.create\n",
    )


def test_explain(run, animals):
    hit = run("search", animals, "sleeping red dogs", "--json").json["hits"][0]
    done = run("explain", animals, "sleeping red zebra dogs", hit["id"], "--json")
    answer = done.json
    assert (answer["id"], answer["passage"], answer["ignored_terms"]) == ("dog", 0, ["zebra"])
    assert answer["score"] == pytest.approx(hit["score"], rel=1e-5)
    assert [term["term"] for term in answer["terms"]] == ["dog", "sleep"]
    lines = run("explain", animals, "sleeping red zebra dogs", "dog").out.splitlines()
    assert lines[0].split() == ["term", "query", "document", "product", "share"]
    first = answer["terms"][0]
    numbers = [f"{first[name]:.4f}" for name in ("query", "document", "product")]
    share = f"{first['product'] / answer['score']:.0%}"
    assert lines[1].split() == ["dog", *numbers, share]
    assert lines[3] == f"score {answer['score']:.4f}"
    assert lines[4] == "in no document: zebra"


def test_a_document_that_shares_no_term(run, animals):
    answer = run("explain", animals, "red", "dog", "--json").json
    assert (answer["score"], answer["terms"]) == (0, [])
    assert run("explain", animals, "red", "dog").out.splitlines()[-1] == "score 0.0000"


# eval


def test_eval(run, tmp_path, animals, beir):
    """q1 finds both of its two documents, dog's own is left out, q3 finds nothing."""
    done = run("eval", animals, "--data", beir, "--measures", "RR@10 R@10,P@1", "--json")
    assert (done.code, done.err) == (0, "")
    assert done.json == {
        "measures": {"RR@10": 0.66667, "R@10": 0.5, "P@1": 0.66667},
        "queries": 3,
        "data": str(beir),
        "split": "test",
    }
    kept = run("eval", animals, "--data", beir, "--measures", "R@10", "--keep-self", "--json")
    assert kept.json["measures"] == {"R@10": 0.66667}


def test_eval_of_hybrid_search_takes_what_is_ranked(run, tmp_path, beir):
    both = tmp_path / "both"
    (tmp_path / "one.jsonl").write_text('{"id": "a", "text": "A red fox."}\n')
    assert run("index", tmp_path / "one.jsonl", "--to", both, "--dense", "vectors").code == 0
    asked = ("eval", both, "--data", beir, "--mode", "hybrid", "--measures", "R@1000")
    refused = run(*asked)
    assert "this collection's vectors are brought along" in refused.err
    assert "measured on the first 399 of each query" in refused.err
    assert "measured on" not in run(*asked, "--fusion", "rrf,depth=501").err


def test_eval_for_people(run, animals, beir):
    done = run("eval", animals, "--data", beir, "--measures", "RR@10 R@10")
    lines = [line.split() for line in done.out.splitlines()]
    assert lines == [["RR@10", "R@10", "queries"], ["0.6667", "0.5000", "3"]]


def test_a_run_that_is_written_measures_the_same(run, tmp_path, animals, beir):
    trec, values = tmp_path / "run.trec", tmp_path / "values.tsv"
    options = ["--data", beir, "--measures", "nDCG@10 AP", "--json"]
    done = run("eval", animals, *options, "--run", trec, "--per-query", values)
    again = run("eval", *options, "--from-run", trec)
    assert done.json["measures"] == again.json["measures"]
    lines = [line.split() for line in trec.read_text(encoding="utf-8").splitlines()]
    assert [line[:4] for line in lines] == [
        ["q1", "Q0", "fox", "1"],
        ["q1", "Q0", "3", "2"],
        ["dog", "Q0", "3", "1"],
    ]
    assert all(line[5] == "lexidex" for line in lines)
    rows = [line.split("\t") for line in values.read_text(encoding="utf-8").splitlines()]
    assert rows[0] == ["query_id", "nDCG@10", "AP"]
    assert [row[0] for row in rows[1:]] == ["q1", "dog", "q3"]
    mean = sum(float(row[2]) for row in rows[1:]) / 3
    assert mean == pytest.approx(done.json["measures"]["AP"], abs=1e-5)


def test_depth_cuts_the_results(run, tmp_path, animals, beir):
    trec = tmp_path / "run.trec"
    run("eval", animals, "--data", beir, "--depth", "1", "--run", trec)
    assert [line.split()[0] for line in trec.read_text().splitlines()] == ["q1", "dog"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "give a collection to search, or a run by --from-run, and not both"),
        (["{c}", "--from-run", "x"], 2, "give a collection to search, or a run by --from-run, "),
        (["{c}", "--measures", "foo"], 2, "measure 'foo' is not known (measure not found: foo)"),
        (["{c}", "--measures", "nDCG@0"], 2, "measure 'nDCG@0' is not known (its cutoff must "),
        (["{c}", "--split", "dev"], 4, "{beir}: no split 'dev' in qrels/; there is test"),
        (["--from-run", "{beir}/gone"], 4, "{beir}/gone: cannot be read: "),
        (["{beir}/gone"], 3, "{beir}/gone: no collection here; "),
        (["{c}", "--run", "{beir}/no/x"], 1, "{beir}/no/x: cannot be written: No such file"),
        (["{c}", "--per-query", "{beir}"], 1, "{beir}: cannot be written: Is a directory"),
    ],
)
def test_an_evaluation_that_cannot_be_done(run, animals, beir, arguments, code, message):
    places = {"c": animals, "beir": beir}
    done = run("eval", "--data", beir, *(a.format(**places) for a in arguments))
    assert (done.code, done.out) == (code, "")
    assert done.err.startswith(f"error: {message.format(**places)}")
    assert done.err.count("\n") == 1


def test_data_that_is_no_beir_folder(run, animals, tmp_path):
    done = run("eval", animals, "--data", tmp_path / "gone")
    expected = f"error: {tmp_path / 'gone'}: no queries.jsonl in it; expected a BEIR folder\n"
    assert done == Done(4, "", expected)


# check


@pytest.fixture
def changed(run, tmp_path, animals):
    """A collection with every kind of file: two segments, deletions, a vocabulary, a log."""
    Collection.open(animals).flush()
    more = tmp_path / "more.tsv"
    more.write_text("cat\tthe cat\nfox\tan arctic fox\n", encoding="utf-8")
    assert run("index", more, "--to", animals).code == 0
    Collection.open(animals).flush()
    return animals


def test_check_of_a_sound_collection(run, changed):
    files = files_of(changed)
    counted = {path: data for path, data in files.items() if "manifest" not in path.name}
    n_bytes = sum(map(len, counted.values()))
    done = run("check", changed, "--json")
    assert (done.code, done.err) == (0, "")
    assert done.json == {
        "generation": 3,
        "n_files": len(counted),
        "n_bytes": n_bytes,
        "problems": [],
        "notes": [],
    }
    people = run("check", changed)
    assert people == Done(
        0, f"generation 3: {len(counted)} files, {n_bytes:,} bytes, all intact\n", ""
    )


def test_check_finds_a_flipped_byte_in_any_file(run, changed):
    names = set()
    for path, data in files_of(changed).items():
        names.add(path.name.split("-")[0])
        for place in {0, 9, len(data) // 3, len(data) // 2, len(data) - 20, len(data) - 1}:
            altered = bytearray(data)
            altered[place] ^= 0x41
            path.write_bytes(altered)
            done = run("check", changed, "--json")
            assert done.code == 5, (path, place)
            if path.name.startswith("manifest"):
                assert done.err.startswith(f"error: {path}: ")
            else:
                assert len(done.json["problems"]) == 1
                assert done.json["problems"][0].startswith(f"{path}: ")
        path.write_bytes(data)
    assert run("check", changed).code == 0
    known = {"manifest", "vocabulary", "documents.arrow", "documents.lxd", "vectors.lxd"}
    assert known | {"exact.lxd", "deleted", "log"} <= names


@pytest.mark.parametrize("kept", [0, 10, -1])
def test_check_finds_a_file_that_is_cut_or_missing(run, changed, kept):
    for path, data in files_of(changed).items():
        path.write_bytes(data[:kept])
        assert run("check", changed).code == 5, path
        path.unlink()
        if not path.name.startswith("manifest"):
            done = run("check", changed, "--json")
            assert (done.code, done.json["problems"]) == (5, [f"{path}: the file is missing"])
        path.write_bytes(data)
    assert run("check", changed).code == 0


def test_check_shows_problems_to_people(run, changed):
    path = next(changed.rglob("vectors.lxd"))
    path.write_bytes(path.read_bytes()[:-1])
    done = run("check", changed)
    size = path.stat().st_size
    assert done.code == 5
    assert done.out.endswith(" bytes, 1 problems\n")
    assert done.err == f"{path}: {size} bytes, the manifest says {size + 1}\n"


def test_a_damaged_collection_is_5_for_every_command(run, changed, beir, source):
    path = next(changed.rglob("vectors.lxd"))
    path.write_bytes(path.read_bytes()[:-1])
    for command in (
        ["search", changed, "fox"],
        ["explain", changed, "fox", "fox"],
        ["eval", changed, "--data", beir],
        ["index", source, "--to", changed],
    ):
        done = run(*command)
        assert (done.code, done.out) == (5, ""), command
        assert done.err.startswith(f"error: {path}: ")


# Several at once, and interrupts


def test_while_another_writes_it_is_75(run, animals, source):
    before = files_of(animals)
    with FileStorage(animals).lock():
        done = run("index", source, "--to", animals)
        assert ids(run("search", animals, "fox", "--json")) == ["fox", "3"]
    assert (done.code, done.out) == (75, "")
    assert done.err.startswith(f"error: {animals}: process {os.getpid()} on ")
    assert done.err.endswith("; wait for it, then try again\n")
    assert files_of(animals) == before
    assert run("index", source, "--to", animals).code == 0


def open_when_read(path, process):
    """Open a named pipe for writing as soon as the process reads it."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:
            time.sleep(0.02)
            continue
        os.set_blocking(descriptor, True)
        return open(descriptor, "w", encoding="utf-8")
    raise AssertionError(process.communicate())


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
@pytest.mark.parametrize("replace", [[], ["--replace"]])
def test_an_interrupted_index_is_130_and_leaves_the_collection_as_it_was(
    run, tmp_path, animals, source, replace
):
    before = files_of(animals)
    pipe = tmp_path / "endless.jsonl"
    os.mkfifo(pipe)
    with (
        start("index", pipe, "--to", animals, *replace) as process,
        open_when_read(pipe, process) as writer,
    ):
        for number in range(1500):
            writer.write(json.dumps({"id": f"new {number}", "text": "a new fox"}) + "\n")
        writer.flush()
        while not (animals / "write.json").exists():  # the pipe holds what is not read yet
            assert process.poll() is None
            time.sleep(0.01)
        done = run("index", source, "--to", animals)
        assert done.code == 75
        assert f"process {process.pid} on " in done.err
        assert ids(run("search", animals, "fox", "--json")) == ["fox", "3"]
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert "Traceback" not in err
    assert files_of(animals) == before
    assert run("check", animals).code == 0
    assert run("index", source, "--to", animals).code == 0


# tune


@pytest.fixture
def tunable(tmp_path, monkeypatch):
    """A collection with an approximate index, and queries to it."""
    monkeypatch.setattr("lexidex.index.planner.SEISMIC_FROM", 300)
    words = [f"w{i}" for i in range(60)]
    made = Collection.create(tmp_path / "tunable")
    made.upsert(
        {"id": str(i), "text": " ".join(words[(i * j + j) % 60] for j in range(1, 15))}
        for i in range(400)
    )
    made.flush()
    (tmp_path / "queries.txt").write_text(
        "\n".join(f"{words[i]} {words[(7 * i) % 60]}\n" for i in range(30))
    )
    return tmp_path / "tunable"


def test_tune_shows_the_curve_and_what_is_chosen(run, tunable):
    done = run("tune", tunable, "--queries", tunable.parent / "queries.txt", "--accuracy", "0.01")
    assert done.code == 0, done.err
    assert "segment s000000: 400 passages, 30 queries" in done.out
    assert "query_cut" in done.out
    assert done.out.count("chosen") == 1
    assert "accuracy@10 of 0.01: by query_cut" in done.out
    found = run("search", tunable, "w3 w21", "--accuracy", "0.01", "--json")
    assert found.json["hits"]
    assert run("check", tunable).code == 0


def test_tune_tells_what_it_found_as_json(run, tunable):
    beir = tunable.parent / "beir"
    beir.mkdir()
    lines = [{"_id": str(i), "text": f"w{i} w{i + 9}"} for i in range(20)]
    lines += [{"_id": f"v{i}", "vector": {f"w{i}": 1.0, f"w{i + 5}": 2.0}} for i in range(20)]
    (beir / "queries.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    told = run("tune", tunable, "--queries", beir, "-k", "5", "--json").json
    assert (told["k"], told["accuracy"], told["generation"]) == (5, 0.95, 2)
    (segment,) = told["segments"]
    assert (segment["name"], segment["passages"], segment["queries"]) == ("s000000", 400, 40)
    assert segment["held_out"] is False
    assert {"accuracy", "assured", "query_cut", "heap_factor", "us", "documents", "chosen"} <= set(
        segment["points"][0]
    )
    assert run("tune", tunable, "--json").json["segments"][0]["held_out"] is True


def test_tune_has_nothing_to_do_for_a_small_collection(run, animals):
    done = run("tune", animals)
    assert (done.code, done.out.count("\n")) == (0, 1)
    assert "nothing to tune" in done.out


@pytest.mark.parametrize(
    ("option", "value"),
    [("--queries", "none.txt"), ("-k", "10"), ("--accuracy", "7"), ("--threads", "1")],
)
@pytest.mark.parametrize("fusion", [("--fusion", "--data", "none"), ("--data", "none")])
def test_tune_refuses_options_of_no_use_for_a_fusion(run, animals, option, value, fusion):
    done = run("tune", animals, *fusion, option, value)
    assert done.code == 2
    assert f"{option}: of no use with --fusion, which takes its queries from --data" in done.err
    assert done.err.count("\n") == 1
    assert not done.out


def test_tune_refuses_options_of_no_use_but_for_a_fusion(run, animals):
    for option, value in (("--split", "dev"), ("--measure", "R@10")):
        done = run("tune", animals, option, value)
        assert done.code == 2
        assert f"{option}: of no use without --fusion" in done.err
    done = run("tune", animals, "--fusion", "--split", "test", "--measure", "R@10")
    assert done.code == 2
    assert "--fusion: needs judged queries; give their folder by --data" in done.err


def test_tune_names_what_is_wrong_with_the_queries(run, tunable, tmp_path):
    (tmp_path / "empty.txt").write_text("\n\n")
    (tmp_path / "bad.jsonl").write_text('{"text": "w1"}\n{"text": 3}\n')
    (tmp_path / "folder").mkdir()
    for name, words in (
        ("empty.txt", "no queries in it"),
        ("bad.jsonl", "bad.jsonl:2: field 'text' is missing or no string"),
        ("none.txt", "none.txt: cannot be read"),
        ("folder", "no queries.jsonl in it"),
    ):
        done = run("tune", tunable, "--queries", tmp_path / name)
        assert done.code == 4
        assert words in done.err
    assert run("tune", tunable, "--accuracy", "2").code == 2
    assert run("search", tunable, "w1", "--accuracy", "0.9", "--exact").code == 2


# check --repair, compact


def test_a_torn_tail_is_a_note_and_no_damage(run, animals):
    (log,) = animals.glob("log-*")
    sound = log.read_bytes()
    log.write_bytes(sound + bytes(100))
    done = run("check", animals, "--json")
    assert (done.code, done.json["problems"]) == (0, [])
    assert done.json["notes"][0].startswith(f"{log}: ends in 100 bytes of a record that is not")
    done = run("check", animals, "--repair")
    assert done.code == 0
    assert done.err.startswith(f"{log}: cut 100 bytes at byte {len(sound)}, behind commit 2: ")
    assert log.read_bytes() == sound
    assert run("check", animals, "--repair").err == "nothing to repair\n"


def test_repairing_drops_a_damaged_segment_and_names_what_is_lost(run, changed):
    newest = sorted(changed.glob("segments/*"))[-1]
    path = newest / "vectors.lxd"
    path.write_bytes(path.read_bytes()[:-1])
    assert run("search", changed, "fox").code == 5
    done = run("check", changed, "--repair", "--json")
    assert done.code == 0
    assert sorted(done.json["repair"]["lost_ids"]) == ["cat", "fox"]
    assert not newest.exists()
    assert "fox" not in ids(run("search", changed, "fox", "--json")), "the older one stays replaced"
    assert run("check", changed).code == 0


def test_repairing_makes_a_damaged_index_anew(run, changed):
    found = run("search", changed, "fox", "--json").json["hits"]
    path = sorted(changed.glob("segments/*"))[0] / "exact.lxd"
    path.write_bytes(path.read_bytes()[:-1])
    done = run("check", changed, "--repair")
    assert done.code == 0
    assert "made anew from the vectors, as m" in done.err
    assert run("search", changed, "fox", "--json").json["hits"] == found


def test_a_damaged_vocabulary_cannot_be_repaired(run, changed):
    (path,) = changed.glob("vocabulary-*")
    path.write_bytes(path.read_bytes()[:-1])
    before = files_of(changed)
    done = run("check", changed, "--repair")
    assert done.code == 5
    assert "restore it from a backup, or index again" in done.err
    assert files_of(changed) == before


def test_compacting_leaves_one_segment_and_the_same_results(run, changed):
    found = run("search", changed, "fox", "--json").json
    done = run("compact", changed, "--json")
    assert done.code == 0
    assert done.json["documents"] == 4
    assert done.json["bytes"] < done.json["bytes_before"]
    assert [path.name[0] for path in changed.glob("segments/*")] == ["m"]
    again = run("search", changed, "fox", "--json").json
    assert again["hits"] == found["hits"]
    assert again["generation"] == found["generation"], "the content is the same"
    assert run("check", changed).code == 0


def test_long_documents_become_passages(tmp_path, run):
    text = "Whales sing. Sharks hunt in the deep sea. An eagle hunts from the air."
    line = json.dumps({"id": "a", "title": "Hunters", "text": text})
    (tmp_path / "c.jsonl").write_text(line + "\n", encoding="utf-8")
    to = tmp_path / "c"
    options = ["--passages", "split,tokens=8,overlap=0"]
    assert run("index", tmp_path / "c.jsonl", "--to", to, *options).code == 0
    [hit] = run("search", to, "eagles", "--json").json["hits"]
    assert hit["passage"] == {"number": 2, "start": 42, "end": len(text)}
    assert "... An eagle hunts from the air." in run("search", to, "eagles").out
    again = run("index", tmp_path / "c.jsonl", "--to", to, *options)
    assert again.code == 0
    other = run("index", tmp_path / "c.jsonl", "--to", to, "--passages", "max,tokens=8")
    assert other.code == 2
    assert "made with passages split,tokens=8,overlap=0, not max,tokens=8,overlap=32" in other.err
    replaced = run("index", tmp_path / "c.jsonl", "--to", to, "--replace", "--passages", "truncate")
    assert replaced.code == 0
    assert run("search", to, "eagles", "--json").json["hits"][0]["passage"]["number"] == 0
    wrong = run("index", tmp_path / "c.jsonl", "--to", tmp_path / "d", "--passages", "split")
    assert wrong.code == 2
    assert "bm25 reads texts of any length" in wrong.err
    assert not (tmp_path / "d").exists()


def test_a_snapshot_is_restored(run, animals, tmp_path):
    kept, copy = tmp_path / "kept.tar", tmp_path / "copy"
    made = run("snapshot", animals, "--to", kept, "--json")
    assert made.code == 0
    assert made.json["bytes"] == kept.stat().st_size
    assert run("snapshot", animals, "--to", kept).code == 2
    assert run("snapshot", animals, "--to", kept, "--replace").code == 0
    told = run("restore", kept, "--to", copy, "--json")
    assert told.json == {
        "collection": str(copy),
        "documents": 3,
        "generation": made.json["generation"],
    }
    before = run("search", animals, "red fox", "--json").json
    after = run("search", copy, "red fox", "--json").json
    assert after["hits"] == before["hits"] != []
    assert run("restore", kept, "--to", copy).code == 2
    assert run("restore", kept, "--to", copy, "--replace").out.startswith(f"{copy} holds 3 doc")
    assert run("restore", tmp_path / "none.tar", "--to", copy).code == 3
    kept.write_bytes(kept.read_bytes()[:-3000])
    refused = run("restore", kept, "--to", copy, "--replace")
    assert (refused.code, refused.out) == (5, "")
    assert re.search(r"kept\.tar: .*\n$", refused.err)
    assert run("check", copy).code == 0


@pytest.mark.parametrize("name", ["kept.ndjson", "kept.jsonl.gz", "kept.parquet"])
def test_an_export_is_imported(run, animals, tmp_path, name):
    kept, copy = tmp_path / name, tmp_path / "copy"
    made = run("export", animals, "--to", kept, "--json")
    assert made.json == {"export": str(kept), "documents": 3, "generation": 2}
    assert run("export", animals, "--to", kept).code == 2
    assert run("export", animals, "--to", kept, "--replace").out.startswith("3 documents of gen")
    before = run("search", animals, "red fox", "--json").json
    for options in ([], [], ["--replace"]):
        told = run("import", kept, "--to", copy, *options, "--json").json
        assert (told["collection"], told["documents"]) == (str(copy), 3)
        assert run("search", copy, "red fox", "--json").json["hits"] == before["hits"] != []
    assert run("import", kept, "--to", copy).out.startswith(f"{copy} holds 3 documents")


def test_an_export_s_texts_can_be_encoded_anew(run, animals, tmp_path):
    kept, copy = tmp_path / "kept.ndjson", tmp_path / "copy"
    assert run("export", animals, "--to", kept, "--vectors", "none").code == 0
    refused = run("import", kept, "--to", copy)
    assert (refused.code, "has no vectors; encode the texts anew" in refused.err) == (4, True)
    for options in ([], [], ["--replace"]):
        done = run("import", kept, "--to", copy, "--encoder", "bm25", *options)
        assert done.code == 0
        assert run("search", copy, "red fox", "--json").json["hits"][0]["id"] == "fox"
        assert len(Collection.open(copy)) == 3
    refused = run("import", kept, "--to", copy, "--encoder", "vectors")
    assert (refused.code, "made with encoder bm25, not vectors; " in refused.err) == (2, True)
    refused = run("import", kept, "--to", copy, "--encoder", "vectors", "--replace")
    assert (refused.code, refused.out) == (4, "")
    assert "left out: fox: field 'vector' is missing" in refused.err
    assert "error: none of 3 documents can be taken" in refused.err
    assert len(Collection.open(copy)) == 3
    assert run("import", tmp_path / "none.ndjson", "--to", copy).code == 4


@pytest.mark.parametrize("name", ["kept.ndjson", "kept.jsonl.gz", "kept.parquet"])
def test_an_export_is_no_source(run, animals, tmp_path, name):
    kept = tmp_path / name
    assert run("export", animals, "--to", kept).code == 0
    before = files_of(animals)
    for options in (["--to", tmp_path / "new"], ["--to", animals], ["--to", animals, "--replace"]):
        done = run("index", kept, *options)
        told = f"error: {kept}: an export of a collection; use 'lexidex import', with --encoder to"
        assert (done.code, done.out, done.err[: len(told)]) == (4, "", told)
        assert done.err.count("\n") == 1
    assert not (tmp_path / "new").exists()
    assert files_of(animals) == before


def test_dense_vectors_of_documents_outlive_another_encoder(run, tmp_path, animals):
    source, kept, copy = tmp_path / "m.jsonl", tmp_path / "m.ndjson", tmp_path / "copy"
    lines = [{"id": f"d{n}", "text": f"fox number {n}", "dense": [1.0, float(n)]} for n in range(3)]
    source.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    mixed = tmp_path / "mixed"
    assert run("index", source, "--to", mixed, "--encoder", "bm25", "--dense", "vectors").code == 0
    assert run("export", mixed, "--to", kept).code == 0
    before = files_of(animals)
    for options in ([], ["--replace"]):
        refused = run("import", kept, "--to", animals, "--encoder", "bm25", *options)
        assert (refused.code, refused.out) == (2, "")
        assert "its dense side is vectors, not none as the collection's; import it" in refused.err
    assert files_of(animals) == before
    for options in ([], [], ["--replace"]):
        done = run("import", kept, "--to", copy, "--encoder", "bm25", *options, "--json")
        assert (done.code, done.json["upserted"], done.json["documents"]) == (0, 3, 3)
        assert done.json["failed"] == []
        with Collection.open(copy) as anew, Collection.open(mixed) as old:
            for asked in ({"query": "fox 2"}, {"mode": "dense", "dense": [1.0, 2.0]}):
                assert [(h.doc_id, h.score) for h in anew.search(**asked)] == [
                    (h.doc_id, h.score) for h in old.search(**asked)
                ]


def test_what_an_import_by_another_encoder_cannot_take_is_told(run, tmp_path, animals):
    source, kept = tmp_path / "v.jsonl", tmp_path / "v.ndjson"
    with_text = {"id": "a", "text": "fox", "vector": {"fox": 1.0}}
    alone = {"id": "b", "vector": {"fox": 1.0}}
    source.write_text(json.dumps(with_text) + "\n" + json.dumps(alone) + "\n", encoding="utf-8")
    assert run("index", source, "--to", tmp_path / "v", "--encoder", "vectors").code == 0
    assert run("export", tmp_path / "v", "--to", kept).code == 0
    before = files_of(animals)
    for options in (["--to", animals], ["--to", animals, "--replace"], ["--to", tmp_path / "new"]):
        refused = run("import", kept, *options, "--encoder", "bm25")
        assert (refused.code, refused.out) == (4, "")
        assert f"{kept}: document 'b' brought its own vector, and has no text" in refused.err
    assert files_of(animals) == before
    assert not (tmp_path / "new").exists()
    several = {"id": "c", "text": "a fox", "passages": [{"vector": {"a": 1.0}}] * 2}
    source.write_text(json.dumps(several) + "\n" + json.dumps(with_text) + "\n")
    assert run("index", source, "--to", tmp_path / "v", "--replace").code == 0
    assert run("export", tmp_path / "v", "--to", kept, "--replace").code == 0
    assert run("import", kept, "--to", tmp_path / "new", "--encoder", "bm25", "--json").code == 0


def test_an_import_that_fails_leaves_no_collection(run, tmp_path, animals):
    kept, to = tmp_path / "kept.ndjson", tmp_path / "im4"
    assert run("export", animals, "--to", kept).code == 0
    lines = kept.read_text(encoding="utf-8").splitlines(keepends=True)
    kept.write_text("".join(lines[:-1]), encoding="utf-8")
    for options in ([], ["--encoder", "bm25"], ["--memory", "3"]):
        assert run("import", kept, "--to", to, *options).code in (2, 4)
        assert not to.exists()
    with pytest.raises(InputError, match="ends after 2 of 3"):
        Collection.from_export(kept, to)
    assert not to.exists() or [*to.iterdir()] == []
