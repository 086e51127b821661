"""Real processes: killed writers lose nothing they acknowledged; readers follow a writer."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest

from lexidex import Collection

SMALL_SIZES = """
import lexidex.merging, lexidex.writer
lexidex.writer.SMALL_WRITE, lexidex.writer.LOG_DOCUMENTS = 8, 30
lexidex.merging.FAN_IN, lexidex.merging.FEW_DEAD = 3, 5
"""

WRITERS = (
    SMALL_SIZES
    + """
import json, os, random, sys, threading
from lexidex import Collection
from lexidex.index.storage.files import MemoryStorage

def say(*words):
    os.write(1, (json.dumps(words) + "\\n").encode())

def work(collection, mine, seed):
    try:
        live(collection, mine, seed)
    except Exception as error:
        say("failed", mine, repr(error))

def live(collection, mine, seed):
    chance = random.Random(seed)
    for number in range(10**9):
        ids = [f"{mine}-{i}" for i in chance.sample(range(40), chance.choice([1, 1, 2, 12]))]
        deletes = chance.random() < 0.25
        value = None if deletes else seed % 10**6 + number
        say("sent", mine, ids, value)
        if deletes:
            collection.delete(ids)
        else:
            document = {"text": str(value), "vector": {"x": 1.0}, "metadata": {"v": value % 7}}
            collection.upsert([{"id": i, **document} for i in ids])
        say("done", mine)
        if chance.random() < 0.02:
            collection.compact()

with Collection.create(MemoryStorage(), "vectors", merge="off") as warm:
    warm.upsert([{"id": "a", "vector": {"x": 1.0}}])
    warm.search(sparse={"x": 1.0})
for line in sys.stdin:  # every round is a copy of this process, which has all kernels loaded
    seed = int(line)
    child = os.fork()
    if child == 0:
        say("started", os.getpid())
        collection = Collection.open(sys.argv[1])
        for mine in range(2):
            threading.Thread(target=work, args=(collection, mine, 2 * seed + mine)).start()
        threading.Event().wait()
    os.waitpid(child, 0)
    say("died")
"""
)


@pytest.fixture
def folder():
    """A folder in memory where the system has one: syncs cost nothing there."""
    parent = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    made = Path(tempfile.mkdtemp(dir=parent))
    yield made / "collection"
    shutil.rmtree(made)


def python(program, *arguments):
    return subprocess.Popen(
        [sys.executable, "-c", program, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    )


class Ledger:
    """What was acknowledged, and what each writer had sent when it died."""

    def __init__(self):
        self.known = {}
        self.sent = {}
        self.n_acknowledged = 0

    def take(self, words):
        what, mine, *rest = words
        assert what != "failed", words
        if what == "sent":
            self.sent[mine] = rest
        else:
            self.apply(*self.sent.pop(mine))
            self.n_acknowledged += 1

    def apply(self, ids, value):
        self.known.update(dict.fromkeys(ids, value))
        if value is None:
            for doc_id in ids:
                del self.known[doc_id]

    def settle(self, found):
        """Compare with what is there; a write that was under way is there, or it is not."""
        for ids, value in self.sent.values():
            if {i: found.get(i) for i in ids} != {i: self.known.get(i) for i in ids}:
                self.apply(ids, value)
        self.sent.clear()
        assert found == self.known


@pytest.mark.skipif(not hasattr(os, "fork"), reason="copies a process that is ready")
@pytest.mark.parametrize("n_rounds", [30, pytest.param(1000, marks=pytest.mark.slow)])
def test_killed_writers_lose_nothing_they_acknowledged(folder, n_rounds):
    seed = int.from_bytes(os.urandom(4), "little")
    print("seed", seed)
    rng = np.random.default_rng(seed)
    Collection.create(folder, "vectors")
    ledger = Ledger()
    with python(WRITERS, folder) as zygote:
        for number in range(n_rounds):
            zygote.stdin.write(f"{rng.integers(2**31)}\n")
            words = json.loads(zygote.stdout.readline())
            assert words[0] == "started", words
            delay = rng.uniform(0.05, 0.3)
            killer = subprocess.Popen(["sh", "-c", f"sleep {delay}; kill -9 {words[1]}"])
            while (words := json.loads(zygote.stdout.readline())) != ["died"]:
                ledger.take(words)
            killer.wait()
            opened = Collection.open(folder, merge="off")
            hits = opened.search(sparse={"x": 1.0}, k=1000).hits
            assert len({hit.doc_id for hit in hits}) == len(hits) == len(opened)
            ledger.settle({hit.doc_id: int(hit.text) for hit in hits})
            assert opened.check().problems == []
            for rest in range(7):
                scanned = {i for i, value in ledger.known.items() if value % 7 == rest}
                filtered = opened.search(sparse={"x": 1.0}, k=1000, filter={"v": rest})
                assert {hit.doc_id for hit in filtered} == scanned
                assert opened.count({"v": rest}) == len(scanned)
            if number % 10 == 9:
                opened.snapshot(folder.parent / "kept.tar", replace=True)
                again = Collection.restore(
                    folder.parent / "kept.tar", folder.parent / "again", replace=number > 9
                )
                found = again.search(sparse={"x": 1.0}, k=1000).hits
                assert {hit.doc_id: int(hit.text) for hit in found} == ledger.known
        zygote.stdin.close()
    assert ledger.n_acknowledged > 5 * n_rounds


WRITER = (
    SMALL_SIZES
    + """
import select, sys
from lexidex import Collection

collection = Collection.open(sys.argv[1])
version = 0
while not select.select([sys.stdin], [], [], 0)[0]:
    version += 1
    text = str(version)
    three = [{"id": i, "text": text, "vector": {"x": 1.0, f"v{version % 50}": 1.0}} for i in "abc"]
    collection.upsert(three)
    if version % 40 == 0:
        collection.upsert([{"id": f"m{i}", "text": "", "vector": {"y": 1.0}} for i in range(20)])
    if version % 100 == 0:
        collection.compact()
collection.close()
print(version, collection.generation)
"""
)

READER = """
import select, sys
from lexidex import Collection

collection = Collection.open(sys.argv[1])
last, n_seen, held, stopped = (0, 0), 0, None, False
while not stopped:
    stopped = select.select([sys.stdin], [], [], 0)[0]
    generation = collection.refresh()
    result = collection.search(sparse={"x": 1.0})
    versions = {int(hit.text) for hit in result}
    assert len(versions) <= 1 and len(result) in (0, 3), result
    seen = (result.generation, max(versions, default=0))
    assert seen >= last and result.generation >= generation, (seen, last)
    if seen != last:
        n_seen += 1
        if n_seen == int(sys.argv[2]):
            print("enough", flush=True)
    last = seen
    if held is None:
        held = (collection._snapshot, [hit.text for hit in result])
    snapshot, texts = held
    again = [s.documents.fetch(d, ("text",))["text"] for s in snapshot.segments
             for d in range(len(s.documents)) if s.deleted is None or not s.deleted[d]]
    assert [text for text in again if text] == texts, "an old generation stays readable"
    if n_seen % 50 == 0:
        held = None
print(*last)
"""


@pytest.mark.parametrize("n_changes", [20, pytest.param(1000, marks=pytest.mark.slow)])
def test_readers_follow_a_writer_and_see_whole_commits(folder, n_changes):
    Collection.create(folder, "vectors")
    with (
        python(READER, folder, n_changes) as one,
        python(READER, folder, n_changes) as other,
        python(WRITER, folder) as writer,
    ):
        assert [reader.stdout.readline() for reader in (one, other)] == ["enough\n"] * 2
        # They stop when their input ends: the readers once the last version is written.
        answers = [process.communicate()[0] for process in (writer, one, other)]
    assert [process.returncode for process in (writer, one, other)] == [0, 0, 0]
    version, generation = map(int, answers[0].split())
    assert version >= n_changes
    assert answers[1:] == [f"{generation} {version}\n"] * 2
    opened = Collection.open(folder)
    assert opened.check().problems == []
    assert opened.get("a").text == str(version)


def test_a_second_process_that_writes_is_told_who_does(tmp_path):
    made = Collection.create(tmp_path / "c", "vectors")
    hold = "import sys; from lexidex.index.storage.files import FileStorage\n"
    hold += "with FileStorage(sys.argv[1]).lock(): print('held', flush=True); sys.stdin.read()"
    with python(hold, tmp_path / "c") as holder:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(Exception, match=f"process {holder.pid} on .* has been writing since"):
            made.upsert([{"id": "a", "vector": {"x": 1.0}}])
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    deadline = time.monotonic() + 60
    while len(made) == 0:
        assert time.monotonic() < deadline
        made.upsert([{"id": "a", "vector": {"x": 1.0}}])
