"""Long writes that are killed go on where they were, and end as if nothing had happened."""

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress

import numpy as np
import pytest

from lexidex import Collection
from lexidex.collection import exists
from lexidex.commands.target import opened_or_created
from lexidex.dense_side import DenseSide
from lexidex.encoders import load_encoder
from lexidex.errors import DuplicateId, StorageFull

from .counting_encoder import (
    REGISTER,
    CountingEncoder,
    CountingWordsEncoder,
    read_journal,
    register,
)
from .encoders.checkpoints import write_plain, write_word_weigher
from .faults import Crash, FaultyStorage

TEXTS = [f"word{number} in sentence {number % 7}" for number in range(11)]
TOGETHER = 4


def documents(texts=TEXTS):
    return [{"id": f"d{number}", "text": text} for number, text in enumerate(texts)]


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Parts of a few texts, on disk at once; a new encoder kind."""
    register()
    monkeypatch.setattr("lexidex.drafting.ENCODE_BATCH", TOGETHER)
    monkeypatch.setattr("lexidex.resuming.TOGETHER", TOGETHER)
    monkeypatch.setattr("lexidex.index.storage.staging.PART_SECONDS", (0.0, 0.0))
    monkeypatch.setattr("lexidex.writer.SMALL_WRITE", 4)


@pytest.fixture
def encoded():
    """The texts that this process has encoded since the last look."""
    CountingEncoder.encoded.clear()

    def look():
        texts = list(CountingEncoder.encoded)
        CountingEncoder.encoded.clear()
        return texts

    return look


def content(collection):
    """Every document with its text and its score, which tells the weights of its vector."""
    assert collection.check().problems == []
    hits = collection.search("in sentence", k=1000).hits
    assert len(hits) == len(collection)
    return {hit.doc_id: (hit.text, hit.score) for hit in hits}


WRITES = {
    "upsert": lambda c: c.upsert(documents()),
    "few": lambda c: c.upsert(documents(TEXTS[:3]), resumable=True),
    "replace": lambda c: c.replace(documents(), CountingEncoder(model="other")),
    "words": lambda c: c.replace(documents(), CountingWordsEncoder()),
}


@pytest.mark.parametrize("name", WRITES)
def test_a_crash_at_any_operation_costs_no_more_than_what_was_under_way(name, encoded):
    write = WRITES[name]
    born = FaultyStorage()
    Collection.create(born, CountingEncoder()).upsert([{"id": "d3", "text": "in sentence old"}])
    complete = FaultyStorage(born.files)
    encoded()
    write(Collection.open(complete, merge="off"))
    once = len(encoded())
    expected = content(Collection.open(complete))
    rng = np.random.default_rng(0)
    for at in range(complete.operations):
        for power_loss in (False, True):
            storage = FaultyStorage(born.files, fail_at=at)
            with pytest.raises(Crash):
                write(Collection.open(storage, merge="off"))
            first = encoded()
            again = FaultyStorage(storage.after_power_loss(rng) if power_loss else storage.files)
            was_there = content(Collection.open(again)) == expected
            encoded()
            result = write(Collection.open(again, merge="off"))
            second = encoded()
            if not was_there and not power_loss:
                assert len(first) + len(second) <= once + TOGETHER, at
                assert result.resumed + len(second) == once
            assert content(Collection.open(again)) == expected
            assert again.list("staging") == []


@pytest.mark.parametrize("error", [DuplicateId("d3 stands twice"), StorageFull("no space left")])
def test_a_write_that_fails_keeps_what_it_has_encoded(error, encoded):
    def failing():
        yield from documents()
        raise error

    storage = FaultyStorage()
    collection = Collection.create(storage, CountingEncoder(), merge="off")
    with pytest.raises(type(error)):
        collection.upsert(failing())
    assert len(collection) == 0
    assert encoded() == TEXTS[:8]
    assert storage.list("staging")
    result = collection.upsert(documents(["another sentence", *TEXTS]))
    assert encoded() == ["another sentence", *TEXTS[8:]]
    assert (result.upserted, result.resumed) == (len(TEXTS) + 1, 8)
    assert not storage.list("staging")


@pytest.mark.parametrize("kind", ["counting-words", "deep-impact", "deepct"])
def test_what_is_staged_by_words_is_numbered_as_the_next_run_numbers_them(kind, tmp_path):
    options = {}
    if kind != "counting-words":
        backbone = write_plain(tmp_path / "backbone")
        options["path"] = write_word_weigher(tmp_path / "model", kind, backbone)

    def encoder():
        return load_encoder("learned" if kind == "deep-impact" else kind, **options)

    def failing():
        yield from documents()
        raise DuplicateId("d3 stands twice")

    storage = FaultyStorage()
    collection = Collection.create(storage, encoder(), merge="off")
    with pytest.raises(DuplicateId):
        collection.upsert(failing())
    texts = ["sentence by another", *TEXTS]  # whose words come in another order
    result = Collection.open(storage, merge="off").upsert(documents(texts))
    assert (result.upserted, result.resumed) == (len(TEXTS) + 1, 8)
    assert not storage.list("staging")
    whole = Collection.create(FaultyStorage(), encoder(), merge="off")
    whole.upsert(documents(texts))
    for query in ("in sentence 4", "word1 word7", "another"):
        found, expected = (
            {hit.doc_id: hit.score for hit in one.search(query, k=20).hits}
            for one in (Collection.open(storage), whole)
        )
        assert len(expected)
        # Weights depend on the company, those of the counting encoder more than a model's.
        assert found == pytest.approx(expected, rel=1e-4 if options else 0.01)


def test_a_command_that_fails_leaves_what_it_has_encoded_and_no_collection(tmp_path, encoded):
    def failing():
        yield from documents()
        raise DuplicateId("d3 stands twice")

    to, encoder = tmp_path / "collection", CountingEncoder()
    with pytest.raises(DuplicateId), opened_or_created(to, encoder) as collection:
        collection.replace(failing(), encoder)
    assert not exists(to)
    assert encoded() == TEXTS[:8]
    with opened_or_created(to, encoder, DenseSide.of("vectors")) as collection:
        result = collection.replace(documents(), encoder)
    assert (result.upserted, result.resumed) == (len(TEXTS), 8)
    assert encoded() == TEXTS[8:]
    assert Collection.open(to).dense_side is not None


def test_a_collection_that_was_written_to_is_not_taken_away(tmp_path):
    def write_and_fail(to, n_documents):
        with opened_or_created(to, None):
            Collection.open(to, merge="off").upsert(documents(TEXTS[:n_documents]))
            raise StorageFull("no space left")

    for number in (1, 5):  # in the log, and in a segment
        with pytest.raises(StorageFull):
            write_and_fail(tmp_path / f"{number}", number)
        assert len(Collection.open(tmp_path / f"{number}")) == number


def test_an_encoder_that_costs_little_stages_nothing():
    names = []

    class Recording(FaultyStorage):
        def create(self, name):
            names.append(name)
            return super().create(name)

    for encoder in ("bm25", "vectors", CountingEncoder()):
        names.clear()
        more = {"vector": {"a": 1.0}} if encoder == "vectors" else {}
        collection = Collection.create(Recording(), encoder, merge="off")
        collection.upsert([document | more for document in documents()])
        assert len(collection) == len(TEXTS)
        staged = any(name.startswith("staging/") for name in names)
        assert staged == isinstance(encoder, CountingEncoder)


COMMANDS = (
    REGISTER
    + """
import os, lexidex.resuming, lexidex.writer
from lexidex.cli import main
from lexidex.index.storage import staging
lexidex.resuming.TOGETHER, staging.PART_SECONDS, lexidex.writer.SMALL_WRITE = 8, (0, 0), 4
from lexidex import Collection
from lexidex.index.storage.files import MemoryStorage
from tests.counting_encoder import CountingEncoder

warm = Collection.create(MemoryStorage(), CountingEncoder(), merge="off")
warm.upsert([{"id": "a", "text": "warm"}])
warm.search("warm")
for line in sys.stdin:  # every command in a copy of this process, which has loaded everything
    child = os.fork()
    if child == 0:
        print(os.getpid(), flush=True)
        sys.argv = ["lexidex", *line.rstrip().split(chr(9))]
        main()
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
)


@pytest.fixture
def commands():
    """Start a command; gives its process, and then its exit status."""
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [sys.executable, "-c", COMMANDS], stdin=pipe, stdout=pipe, text=True, bufsize=1
    ) as process:

        def run(*arguments, kill_after=None):
            process.stdin.write("\t".join(map(str, arguments)) + "\n")
            child = int(process.stdout.readline())
            if kill_after is not None:
                time.sleep(kill_after)
                with suppress(ProcessLookupError):  # it was quicker
                    os.kill(child, signal.SIGKILL)
            *printed, status = list(lines_until_status(process.stdout))
            return int(status), "".join(printed)

        yield run
        process.stdin.close()


def lines_until_status(lines):
    for line in lines:
        yield line
        if re.fullmatch(r"-?\d+\n", line):
            return


@pytest.mark.parametrize("replace", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_killed_runs_encode_nothing_twice_and_end_the_same(tmp_path, commands, replace):
    texts = [f"word{number} in sentence {number % 7}" for number in range(240)]
    source = tmp_path / "source.jsonl"
    source.write_text("".join(json.dumps(document) + "\n" for document in documents(texts)))
    journal = tmp_path / "journal"
    made = {}
    for name, options in {"whole": {}, "killed": {"journal": str(journal)}}.items():
        path = tmp_path / name
        with Collection.create(path, CountingEncoder(seconds=0.004, **options)) as collection:
            collection.upsert([{"id": "old", "text": "in sentence old"}])
        made[name] = path
    journal.unlink()
    more = ["--replace"] * replace
    assert commands("index", source, "--to", made["whole"], "-q", *more)[0] == 0
    seed = random.randrange(2**32)
    print("seed", seed)
    chance = random.Random(seed)
    n_killed, status = 0, None
    while status != 0:
        n_before = len(read_journal(journal))
        delay = chance.uniform(0.1, 0.7) if n_killed < 6 else None
        arguments = ("index", source, "--to", made["killed"], "-q", "--json", *more)
        status, printed = commands(*arguments, kill_after=delay)
        n_killed += status != 0
        with Collection.open(made["killed"]) as reader:
            assert len(reader) in (1, 240 + (not replace)), "all or nothing"
            if len(reader) > 1:
                break  # perhaps killed when it was done
    counts = Counter(read_journal(journal))
    assert counts.keys() == set(texts)
    assert counts.total() - len(counts) <= 8 * n_killed
    assert n_killed
    assert status or json.loads(printed)["resumed"] == 240 - (counts.total() - n_before)
    with Collection.open(made["whole"]) as whole, Collection.open(made["killed"]) as killed:
        assert content(killed) == content(whole)


@pytest.mark.slow
def test_killed_reencodings_encode_nothing_twice_and_leave_the_old_encoder(tmp_path, commands):
    texts = [f"word{number} in sentence {number % 7}" for number in range(240)]
    path, journal = tmp_path / "collection", tmp_path / "journal"
    with Collection.create(path, CountingEncoder()) as collection:
        collection.upsert(documents(texts))
    seed = random.randrange(2**32)
    print("seed", seed)
    chance = random.Random(seed)
    given = ("model=other", "seconds=0.004", f"journal={json.dumps(str(journal))}")
    options = [part for option in given for part in ("--encoder-option", option)]
    n_killed, status = 0, None
    while status != 0:
        delay = chance.uniform(0.1, 0.7) if n_killed < 6 else None
        arguments = ("reencode", path, "--encoder", "counting", *options, "-q", "--json")
        status, printed = commands(*arguments, kill_after=delay)
        n_killed += status != 0
        with Collection.open(path) as reader:
            assert len(content(reader)) == 240
            if reader.encoder.model == "other":
                break  # perhaps killed when it was done
    counts = Counter(read_journal(journal))
    assert n_killed
    assert counts.keys() == set(texts)
    assert counts.total() - len(counts) <= 8 * n_killed
    assert status or json.loads(printed)["documents"] == 240
