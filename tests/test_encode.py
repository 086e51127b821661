"""Encoding files: the vectors, what a kill costs, many processes, and what is refused."""

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from filelock import FileLock

from lexidex import Collection
from lexidex.cli import main
from lexidex.encoders import load_encoder
from lexidex.encoding import Workforce, encode_files
from lexidex.errors import (
    CorruptFile,
    EncoderMismatch,
    InputError,
    LexidexError,
    Locked,
    ParameterError,
)
from lexidex.exchange import read_description, schema_of
from lexidex.sources import Reader

from .counting_encoder import REGISTER, CountingEncoder, read_journal, register
from .encoders.checkpoints import write_plain, write_word_weigher

N = 50
PART = 8
RECORDS = [
    {
        "id": f"d{number}",
        "text": f"word{number} in sentence {number % 7}",
        **({"title": f"title {number}"} if number % 3 else {}),
        **({"metadata": {"n": number, "of": ["a", None]}} if number % 2 else {}),
    }
    for number in range(N)
]


@pytest.fixture(autouse=True)
def small(monkeypatch):
    register()
    CountingEncoder.encoded.clear()
    monkeypatch.setattr("lexidex.encoding.PART_TEXTS", PART)


@pytest.fixture
def source(tmp_path):
    return write(tmp_path / "source.jsonl", RECORDS)


def write(path, records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def rows(path):
    return pq.read_table(path).to_pylist()


def encode(source, target, model="one", **options):
    return encode_files([source], target, CountingEncoder(model=model), **options)


def test_a_file_has_texts_as_they_are_and_their_vectors(source, tmp_path):
    target = tmp_path / "out.parquet"
    states = []
    report = encode(source, target, progress=states.append)
    texts = [f"{record.get('title', '')} {record['text']}".strip() for record in RECORDS]
    assert CountingEncoder.encoded == texts
    assert pq.read_schema(target).remove_metadata() == schema_of("components")
    found = rows(target)
    expected = CountingEncoder()
    for first in range(0, N, PART):
        vectors = expected.encode_documents(texts[first : first + PART])
        for place, row in enumerate(found[first : first + PART]):
            start, end = vectors.indptr[place : place + 2]
            assert row["indices"] == vectors.indices[start:end].tolist()
            assert np.float32(row["values"]).tolist() == vectors.data[start:end].tolist()
    for row, record in zip(found, RECORDS, strict=True):
        kept = {name: row[name] for name in ("id", "text", "title") if row[name] is not None}
        if row["metadata"] is not None:
            kept["metadata"] = json.loads(row["metadata"])
        assert kept == record
    described, n_rows = read_description(target)
    n_postings = sum(len(row["indices"]) for row in found)
    assert (n_rows, described.n_postings) == (N, n_postings)
    assert described.encoder["fingerprint"] == CountingEncoder().fingerprint
    assert described.n_tokens == sum(len(text.split()) for text in texts)
    assert [state.n_encoded for state in states] == [*range(PART, N, PART), N]
    assert states[-1] == report.state
    assert report.state.nnz == n_postings / N
    assert not (tmp_path / "out.parquet.parts").exists()


@pytest.mark.parametrize("kind", ["jsonl.gz", "tsv", "csv", "parquet"])
def test_other_kinds_of_files_give_the_same_vectors(source, tmp_path, kind):
    encode(source, tmp_path / "out.parquet")
    other = tmp_path / f"other.{kind}"
    plain = [{"id": r["id"], "title": r.get("title", ""), "text": r["text"]} for r in RECORDS]
    if kind == "jsonl.gz":
        other.write_bytes(gzip.compress(source.read_bytes()))
    elif kind == "parquet":
        import pyarrow as pa

        pq.write_table(pa.Table.from_pylist(plain), other)
    else:
        mark = "\t" if kind == "tsv" else ","
        lines = [mark.join(row.values()) + "\n" for row in plain]
        other.write_text("".join([mark.join(("id", "title", "text")) + "\n", *lines]))
    states = []
    encode(other, tmp_path / "other-out.parquet", progress=states.append)
    assert states[-1].n_expected in (N, N + 1)
    columns = ["id", "text", "indices", "values"]
    one, two = (
        pq.read_table(tmp_path / name, columns=columns).to_pylist()
        for name in ("out.parquet", "other-out.parquet")
    )
    assert one == two


def test_a_run_goes_on_where_it_failed(source, tmp_path, monkeypatch):
    whole, target = tmp_path / "whole.parquet", tmp_path / "out.parquet"
    encode(source, whole)
    CountingEncoder.encoded.clear()

    class Stop(Exception):
        pass

    def stop(state):
        if state.n_encoded:
            raise Stop

    for n_runs in range(1, N // PART + 2):
        with pytest.raises(Stop):
            encode(source, target, progress=stop)
        assert not target.exists()
        assert len(CountingEncoder.encoded) == min(PART * n_runs, N)
    report = encode(source, target)
    assert (report.state.n_encoded, report.state.n_resumed) == (0, N)
    assert max(Counter(CountingEncoder.encoded).values()) == 1
    assert target.read_bytes() == whole.read_bytes()
    assert [path.name for path in tmp_path.glob("*.parts")] == []


def test_a_damaged_part_is_told_or_made_anew(source, tmp_path):
    target = tmp_path / "out.parquet"
    folder = tmp_path / "out.parquet.parts"

    def interrupt(state):
        if state.n_encoded == N:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        encode(source, target, progress=interrupt)
    first, second = sorted(folder.glob("part-*"))[:2]
    first.write_bytes(first.read_bytes()[:-20])
    data = bytearray(second.read_bytes())
    data[data.index(b"\x28\xb5\x2f\xfd") + 10] ^= 1  # within the first compressed page
    second.write_bytes(data)
    CountingEncoder.encoded.clear()
    with pytest.raises(CorruptFile, match=r"part-0000001.parquet: .*; remove this file"):
        encode(source, target)
    assert len(CountingEncoder.encoded) == PART
    assert not target.exists()
    second.unlink()
    assert encode(source, target).state.n_encoded == PART
    assert len(rows(target)) == N


def test_a_complete_file_is_left_as_it_is(source, tmp_path):
    target = tmp_path / "out.parquet"
    encode(source, target)
    before = target.read_bytes(), target.stat().st_mtime_ns
    CountingEncoder.encoded.clear()
    (tmp_path / "out.parquet.parts").mkdir()  # killed before it was removed
    report = encode(source, target)
    assert CountingEncoder.encoded == []
    assert (report.state.n_encoded, report.state.n_resumed) == (0, N)
    assert (target.read_bytes(), target.stat().st_mtime_ns) == before
    assert not (tmp_path / "out.parquet.parts").exists()
    with pytest.raises(InputError, match="holds something else"):
        encode(source, target, model="other")
    target.write_text("mine")
    with pytest.raises(InputError, match="holds something else"):
        encode(source, target)
    assert target.read_text() == "mine"


def test_what_has_changed_since_is_refused(source, tmp_path):
    target = tmp_path / "out.parquet"

    def interrupt(state):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        encode(source, target, progress=interrupt)
    with pytest.raises(EncoderMismatch, match=r"begun with encoder counting .* remove .*\.parts"):
        encode(source, target, model="other")
    with pytest.raises(InputError, match="begun with side 'documents', not 'queries'"):
        encode(source, target, side="queries")
    write(source, RECORDS[:-1])
    with pytest.raises(InputError, match=r"they have changed; .* remove .*out.parquet.parts"):
        encode(source, target)
    write(source, RECORDS)
    with FileLock(tmp_path / "out.parquet.parts" / "lock"), pytest.raises(Locked):
        encode(source, target)
    (tmp_path / "out.parquet.parts" / "run.json").unlink()
    with pytest.raises(CorruptFile, match=r"run.json: missing"):
        encode(source, target)


def test_what_cannot_be_encoded_is_refused(source, tmp_path):
    target = tmp_path / "out.parquet"
    for kind in ("bm25", "vectors", "deepct"):
        with pytest.raises(ParameterError, match=f"encoder {kind}: no model"):
            encode_files([source], target, load_encoder(kind))
    with pytest.raises(ParameterError, match=r"ends in \.parquet"):
        encode(source, tmp_path / "out.json")
    with pytest.raises(ParameterError, match="device: 'tpu'"):
        encode(source, target, workforce=Workforce(devices=["tpu"]))
    with pytest.raises(ParameterError, match="n_processes: 0"):
        Workforce(n_processes=0)
    with pytest.raises(LexidexError, match="cannot be made"):
        encode(source, source / "out.parquet")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source.jsonl"]


def test_long_texts_make_small_parts(tmp_path, monkeypatch):
    monkeypatch.setattr("lexidex.encoding.PART_CHARACTERS", 100)
    source = write(tmp_path / "s.jsonl", [{"id": str(i), "text": "x" * 60} for i in range(7)])
    states = []
    encode(source, tmp_path / "out.parquet", progress=states.append)
    assert [state.n_encoded for state in states] == [2, 4, 6, 7]


@pytest.fixture
def run(monkeypatch, capsys):
    def run_here(*arguments):
        monkeypatch.setattr(sys, "argv", ["lexidex", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        return ended.value.code or 0, captured.out, captured.err

    return run_here


def test_the_command_reports_and_what_it_made_is_indexed(source, tmp_path, run):
    with source.open("a") as file:
        file.write('not json\n{"id": "own", "text": "a", "vector": {"a": 1}}\n')
    target, errors = tmp_path / "out.parquet", tmp_path / "errors.jsonl"
    arguments = ("encode", source, "--to", target, "--encoder", "counting", "--errors", errors)
    code, out, err = run(*arguments, "--json")
    report = json.loads(out)
    assert code == 4
    assert (report["texts"], report["encoded"], report["resumed"]) == (N, N, 0)
    assert [bad.get("line", bad.get("id")) for bad in report["failed"]] == [N + 1, "own"]
    assert [json.loads(line) for line in errors.read_text().splitlines()] == report["failed"]
    assert f"{source}:{N + 1}: not JSON" in err
    code, out, _ = run(*arguments)
    assert (code, f"{N} texts encoded, {N} of them by earlier runs" in out) == (4, True)
    CountingEncoder.encoded.clear()
    code, out, err = run("index", target, "--to", tmp_path / "collection", "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)["upserted"] == N
    assert CountingEncoder.encoded == []
    collection = Collection.open(tmp_path / "collection")
    assert collection.encoder.kind == "counting"
    for record in RECORDS:
        document = collection.get(record["id"])
        assert document.text == record["text"]
        assert document.title == record.get("title")
        assert document.metadata == record.get("metadata", {})
        assert collection.search(record["text"], k=1).hits[0].doc_id == record["id"]


def test_vectors_of_another_encoder_are_refused(source, tmp_path, run):
    target, other = tmp_path / "out.parquet", tmp_path / "other.parquet"
    encode(source, target)
    encode(source, other, model="other")
    to = tmp_path / "collection"
    code, _, err = run("index", target, "--to", to, "--encoder", "bm25")
    assert (code, to.exists()) == (2, False)
    assert "its vectors are by counting" in err
    assert run("index", target, other, "--to", to)[0] == 2
    assert run("index", source, "--to", to, "--encoder", "counting")[0] == 0
    assert run("index", other, "--to", to)[0] == 2
    assert run("index", target, "--to", to)[0] == 0
    assert run("index", other, "--to", to, "--replace")[0] == 0
    assert Collection.open(to).encoder.model == "other"
    assert run("index", target, "--to", tmp_path / "plain", "--encoder", "vectors")[0] == 0


def test_queries_of_a_beir_folder(tmp_path, run):
    folder = tmp_path / "beir"
    folder.mkdir()
    write(folder / "corpus.jsonl", [{"_id": "d", "text": "a document"}])
    write(folder / "queries.jsonl", [{"_id": f"q{i}", "text": f"query {i}"} for i in range(3)])
    target = tmp_path / "queries.parquet"
    assert run("encode", folder, "--to", target, "--encoder", "counting", "--queries")[0] == 0
    assert [row["id"] for row in rows(target)] == ["q0", "q1", "q2"]
    assert read_description(target)[0].side == "queries"
    code, _, err = run("index", target, "--to", tmp_path / "collection")
    assert (code, "holds queries" in err) == (4, True)
    (folder / "queries.jsonl").unlink()
    other = tmp_path / "other.parquet"
    assert run("encode", folder, "--to", other, "--encoder", "counting", "--queries")[0] == 4


@pytest.fixture
def command(tmp_path):
    """Start the command in a process of its own, where the counting encoder is known."""
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(
        REGISTER + "import lexidex.encoding\nlexidex.encoding.PART_TEXTS = 8\n"
    )
    environment = os.environ | {
        "PYTHONPATH": f"{site}{os.pathsep}{Path(__file__).parents[1]}",
        "COUNTING_JOURNAL": str(tmp_path / "journal"),
        "COUNTING_SECONDS": "0.02",
    }

    def start(*arguments):
        command = [sys.executable, "-m", "lexidex", "encode", "--encoder", "counting", "--json"]
        return subprocess.Popen(
            [*command, *map(str, arguments)], env=environment, stdout=subprocess.PIPE, text=True
        )

    return start


def test_killed_with_its_processes_it_goes_on_and_ends_the_same(source, tmp_path, command):
    whole, target = tmp_path / "whole.parquet", tmp_path / "out.parquet"
    encode(source, whole)
    folder = tmp_path / "out.parquet.parts"
    arguments = (source, "--to", target, "--processes", 2, "--threads", 1)
    with command(*arguments) as process:
        while len(list(folder.glob("part-*"))) < 2:
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    n_kept = len(list(folder.glob("part-*")))
    assert n_kept < 7
    n_encoded = -1
    while n_encoded < (n_encoded := len(read_journal(tmp_path / "journal"))):
        time.sleep(0.5)
    assert n_encoded < N, "its processes end with it"
    with command(*arguments) as process:
        report = json.loads(process.stdout.read())
    assert process.returncode == 0
    assert report["resumed"] >= PART * n_kept
    assert report["resumed"] + report["encoded"] == N
    counts = Counter(read_journal(tmp_path / "journal"))
    assert len(counts) == N
    assert counts.total() - N <= 2 * PART
    assert target.read_bytes() == whole.read_bytes()


LONG = "The whale is a mammal. It lives in the sea. Sharks hunt in the deep sea. Whales sing. " * 2


@pytest.mark.parametrize("passages", [None, "max", "truncate", "split,tokens=6,overlap=2"])
def test_long_documents_are_encoded_as_they_are_indexed(tmp_path, passages):
    model = write_plain(tmp_path / "model", "bert")
    encoder = load_encoder(model, max_length=12)
    records = [
        {"id": "long", "title": "Seas", "text": LONG, "metadata": {"n": 1}},
        {"id": "short", "text": "deep sea"},
        {"id": "marked", "text": LONG, "passages": [{"end": 22}, {"start": 22, "end": 43}]},
        {"id": "part", "text": LONG, "passages": [{"start": 22, "end": 43}]},
    ]
    if passages == "truncate":
        del records[2]
    source, target = write(tmp_path / "c.jsonl", records), tmp_path / "c.parquet"
    report = encode_files([source], target, encoder, passages=passages)
    assert (report.failed, report.state.n_texts) == ([], len(records))
    again = encode_files([source], target, encoder, passages=passages)
    assert again.state.n_encoded == 0
    direct, taken = (
        Collection.create(tmp_path / name, encoder, passages=passages) for name in ("a", "b")
    )
    direct.upsert(records)
    assert taken.upsert(Reader([target])).failed == []
    for query in ("the sea", "whales sing", "hunting mammals"):
        expected, found = direct.search(query), taken.search(query)
        assert [(h.doc_id, h.passage, h.metadata) for h in found] == [
            (h.doc_id, h.passage, h.metadata) for h in expected
        ]
        np.testing.assert_allclose([h.score for h in found], [h.score for h in expected], rtol=1e-4)
    assert taken._snapshot.n_passages == direct._snapshot.n_passages


def test_passages_that_cannot_be_encoded_are_left_out_and_told(tmp_path):
    encoder = load_encoder(write_plain(tmp_path / "model", "bert"), max_length=12)
    records = [
        {"id": "a", "text": "x", "passages": [{"vector": {"sea": 1.0}}]},
        {"id": "b", "text": "x", "passages": [{}, {}]},
        {"id": "c", "text": "x"},
    ]
    source = write(tmp_path / "c.jsonl", records)
    report = encode_files([source], tmp_path / "c.parquet", encoder, passages="truncate")
    assert [doc_id for doc_id, _ in report.failed] == ["a", "b"]
    assert (report.state.n_expected, report.state.seconds_left) == (1, 0)
    with pytest.raises(InputError, match="holds something else"):
        encode_files([source], tmp_path / "c.parquet", encoder, passages="split")


@pytest.fixture(scope="module")
def model_of(tmp_path_factory):
    """Folders with a model of a family by its name, made when asked for; not to be changed."""
    backbone = write_plain(tmp_path_factory.mktemp("backbone"), "bert")
    made = {"splade-max": backbone}

    def folder(preset):
        if preset not in made:
            made[preset] = write_word_weigher(tmp_path_factory.mktemp(preset), preset, backbone)
        return made[preset]

    return folder


WORDS = ("deep-impact", "deeper-impact", "deepct")

SEAS = [
    {"id": "long", "title": "Seas", "text": LONG, "metadata": {"n": 1}},
    {"id": "short", "text": "Deep databases of the sea"},
    {"id": "empty", "text": ""},
    {"id": "marked", "text": LONG, "passages": [{"end": 22}, {"start": 22, "end": 43}]},
]


@pytest.mark.parametrize(
    ("preset", "options", "passages"),
    [
        *((preset, {}, "split") for preset in (*WORDS, "splade-max")),
        ("deepct", {"weighting": "bm25"}, "split"),
        ("deepct", {"weighting": "bm25"}, "max"),
        ("deepct", {"weighting": "weights"}, "split"),
    ],
)
def test_families_are_encoded_as_they_are_indexed(
    tmp_path, run, model_of, preset, options, passages
):
    model = model_of(preset)
    options = {"max_length": 14, **options, **({"path": model} if options else {})}
    chosen = ["--encoder", "deepct" if "path" in options else model, "--passages", passages]
    for name, value in options.items():
        chosen += ["--encoder-option", f"{name}={value}"]
    others = write(tmp_path / "others.jsonl", RECORDS)
    seas, encoded = write(tmp_path / "seas.jsonl", SEAS), tmp_path / "seas.parquet"
    assert run("encode", seas, "--to", encoded, *chosen)[0] == 0
    for name, source in (("direct", seas), ("taken", encoded)):
        assert run("index", others, "--to", tmp_path / name, *chosen)[0] == 0
        assert run("index", source, "--to", tmp_path / name)[0] == 0
    assert run("index", encoded, "--to", tmp_path / "alone")[0] == 0

    direct, taken, alone = (
        Collection.open(tmp_path / name) for name in ("direct", "taken", "alone")
    )
    assert alone.encoder.fingerprint == direct.encoder.fingerprint
    for query in ("the deep sea", "whales sing", "a sentence of databases"):
        expected, found = direct.search(query, k=60), taken.search(query, k=60)
        assert len(expected)
        assert [hit.score for hit in found] == pytest.approx([h.score for h in expected], rel=1e-4)
        passages_of = {hit.doc_id: hit.passage for hit in expected}
        assert {hit.doc_id: hit.passage for hit in found} == passages_of
        assert len(alone.search(query))
    assert "short" in {hit.doc_id for hit in taken.search("databases")} or preset == "splade-max"


def test_words_are_the_same_bytes_whoever_encodes_them(source, tmp_path, model_of):
    encoder = load_encoder("deepct", path=model_of("deepct"))
    whole, target = tmp_path / "whole.parquet", tmp_path / "out.parquet"
    encode_files([source], whole, encoder, workforce=Workforce(1, 1))
    assert pq.read_schema(whole).remove_metadata() == schema_of("terms")
    n_terms = 0
    for row in rows(whole):
        assert row["terms"] == sorted(row["terms"])
        assert all(value == round(value) for value in row["values"]), "not weighed yet"
        n_terms += len(row["terms"])
    assert n_terms == read_description(whole)[0].n_postings > N

    def stop(state):
        if state.n_encoded == 2 * PART:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        encode_files([source], target, encoder, workforce=Workforce(1, 1), progress=stop)
    again = load_encoder("deepct", path=model_of("deepct"))
    report = encode_files([source], target, again, workforce=Workforce(2, 1))
    assert (report.state.n_resumed, report.state.n_encoded) == (2 * PART, N - 2 * PART)
    assert target.read_bytes() == whole.read_bytes()


@pytest.mark.parametrize("preset", WORDS)
def test_queries_of_words_need_a_collection(source, tmp_path, model_of, preset):
    encoder = load_encoder(model_of(preset))
    with pytest.raises(ParameterError, match="queries consist of the words that a collection has"):
        encode_files([source], tmp_path / "out.parquet", encoder, side="queries")
