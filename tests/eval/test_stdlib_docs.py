"""The standard library as a test collection: its documents, their names, and the questions."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from lexidex.errors import NotFound
from lexidex.eval import stdlib_docs
from lexidex.eval.stdlib_docs import collect
from lexidex.eval.stdlib_questions import questions

Documents = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def progress() -> list[tuple[int, int]]:
    """The calls that collecting the documents makes to report progress."""
    return []


@pytest.fixture(scope="module")
def documents(progress: list[tuple[int, int]]) -> Documents:
    """Every document by its id."""
    collected = collect(lambda done, total: progress.append((done, total)))
    by_id = {document["id"]: document for document in collected}
    assert len(by_id) == len(collected)
    return by_id


def test_covers_the_library(documents: Documents) -> None:
    kinds = Counter(document["metadata"]["kind"] for document in documents.values())
    assert len(documents) > 4_000
    assert set(kinds) == {"module", "class", "function", "method", "property"}
    assert min(kinds.values()) > 100


def test_documents_are_sorted_and_complete(documents: Documents) -> None:
    assert list(documents) == sorted(documents)
    for doc_id, document in documents.items():
        assert set(document) == {"id", "title", "text", "metadata"}
        assert document["title"].split() == doc_id.replace(".", " ").replace("_", " ").split()
        assert document["text"].strip()
    json.dumps(list(documents.values()))


@pytest.mark.parametrize(
    ("name", "module", "kind", "signature"),
    [
        ("json", "json", "module", None),
        ("shutil.rmtree", "shutil", "function", "(path, "),
        ("os.path.splitext", "os.path", "function", "(p)"),
        ("os.stat", "os", "function", "(path, *, dir_fd=None"),
        ("str.split", "builtins", "method", "(sep=None, maxsplit=-1)"),
        ("sorted", "builtins", "function", "(iterable, /, *, key=None"),
        ("dict.pop", "builtins", "method", "("),
        ("math.isclose", "math", "function", "(a, b, *"),
        ("time.sleep", "time", "function", "("),
        ("itertools.chain", "itertools", "class", "(*iterables)"),
        ("itertools.chain.from_iterable", "itertools", "method", "("),
        ("re.Pattern.match", "re", "method", "(string"),
        ("random.shuffle", "random", "function", "(x)"),
        ("asyncio.gather", "asyncio", "function", "(*coros_or_futures"),
        ("collections.Counter.most_common", "collections", "method", "(n=None)"),
        ("collections.deque.popleft", "collections", "method", None),
        ("concurrent.futures.ThreadPoolExecutor", "concurrent.futures", "class", "(max_workers=No"),
        ("datetime.datetime.strptime", "datetime", "method", "(date_string, format)"),
        ("decimal.Decimal", "decimal", "class", None),
        ("hashlib.sha256", "hashlib", "function", "("),
        ("io.StringIO", "io", "class", "("),
        ("ipaddress.IPv4Network.hosts", "ipaddress", "method", "()"),
        ("multiprocessing.Pool", "multiprocessing", "function", "(processes=None"),
        ("pathlib.Path.exists", "pathlib", "method", "("),
        ("threading.Thread.name", "threading", "property", None),
        ("socket.socket.recv", "socket", "method", "("),
        ("sqlite3.Connection.backup", "sqlite3", "method", "(target, "),
        ("threading.Thread.join", "threading", "method", "(timeout=None)"),
        ("unittest.TestCase.assertRaises", "unittest", "method", "(expected_exception"),
    ],
)
def test_known_names(
    documents: Documents, name: str, module: str, kind: str, signature: str | None
) -> None:
    metadata = documents[name]["metadata"]
    assert (metadata["module"], metadata["kind"]) == (module, kind)
    if signature:
        assert metadata["signature"].startswith(signature)


def test_a_class_is_documented_by_its_initialiser_too(documents: Documents) -> None:
    assert "max_workers" in documents["concurrent.futures.ThreadPoolExecutor"]["text"]
    assert not any(doc_id.endswith(".__init__") for doc_id in documents)


def test_no_private_names(documents: Documents) -> None:
    for name in _all_names(documents):
        for part in name.split("."):
            assert not part.startswith("_") or (part.startswith("__") and part.endswith("__")), name


def test_no_tests_or_applications(documents: Documents) -> None:
    tops = {name.partition(".")[0] for name in _all_names(documents)}
    assert tops.isdisjoint({"antigravity", "idlelib", "lib2to3", "pytest", "test", "this"})
    assert not any("unittest.test." in name for name in documents)


def test_what_is_imported_for_use_only_is_no_name(documents: Documents) -> None:
    names = set(_all_names(documents))
    assert names.isdisjoint({"imaplib.datetime", "os.Mapping", "shutil.fnmatch", "turtle.Canvas"})


@pytest.mark.parametrize(
    ("doc_id", "alias"),
    [
        ("OSError", "IOError"),
        ("open", "io.open"),
        ("asyncio.gather", "asyncio.tasks.gather"),
        ("random.choice", "secrets.choice"),
        ("random.shuffle", "random.Random.shuffle"),
        ("bisect.bisect", "bisect.bisect_right"),
        ("unittest.TestCase", "unittest.case.TestCase"),
        ("ipaddress.IPv4Network.subnets", "ipaddress.IPv6Network.subnets"),
    ],
)
def test_aliases_are_merged(documents: Documents, doc_id: str, alias: str) -> None:
    assert alias in documents[doc_id]["metadata"]["aliases"]
    assert alias not in documents


def test_a_name_leads_to_one_document(documents: Documents) -> None:
    assert [name for name, n in Counter(_all_names(documents)).items() if n > 1] == []


@pytest.mark.usefixtures("documents")
def test_progress_reaches_the_end(progress: list[tuple[int, int]]) -> None:
    total = len(progress)
    assert progress == [(done, total) for done in range(1, total + 1)]


def test_a_python_without_sources_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lexidex.eval.stdlib_sources.sysconfig.get_path", lambda _: str(tmp_path))
    with pytest.raises(NotFound, match=tmp_path.name):
        collect()


def test_source_modules_are_not_imported(documents: Documents) -> None:
    program = (
        "import json, sys\n"
        "from lexidex.eval.stdlib_docs import collect\n"
        "ids = [document['id'] for document in collect()]\n"
        "print(json.dumps([ids, sorted(sys.modules)]))"
    )
    # Another hash seed: the order of sets must not reach the documents.
    finished = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        capture_output=True,
        check=True,
        text=True,
        env={
            **os.environ,
            "PYTHONHASHSEED": "7",
            "PYTHONPATH": str(Path(stdlib_docs.__file__).parents[2]),
        },
    )
    ids, modules = json.loads(finished.stdout)
    assert ids == list(documents)
    assert not {"antigravity", "this", "tkinter", "turtle", "unittest"} & set(modules)


def test_every_question_has_an_answer(documents: Documents) -> None:
    queries, qrels = questions(documents.values())
    assert len(queries) == len(_written_questions()) >= 60
    assert set(queries) == set(qrels)
    for relevance in qrels.values():
        assert relevance
        assert set(relevance.values()) == {1}
        assert set(relevance) <= set(documents)


def test_aliases_count_as_answers(documents: Documents) -> None:
    known = [question for question in _written_questions() if "cProfile.run" in question["answers"]]
    _, qrels = questions(documents.values())
    assert [qrels[question["_id"]]["profile.run"] for question in known] == [1]


def test_a_question_without_an_answer_is_left_out(documents: Documents) -> None:
    queries, qrels = questions([documents["shutil.rmtree"]])
    assert list(qrels.values()) == [{"shutil.rmtree": 1}]
    assert set(queries) == set(qrels)


def test_questions_and_answers_are_unique() -> None:
    written = _written_questions()
    assert len({question["_id"] for question in written}) == len(written)
    assert len({question["text"] for question in written}) == len(written)
    for question in written:
        assert 1 <= len(set(question["answers"])) == len(question["answers"]) <= 5, question


def _all_names(documents: Documents) -> list[str]:
    aliases = (d["metadata"].get("aliases", ()) for d in documents.values())
    return [*documents, *(alias for names in aliases for alias in names)]


def _written_questions() -> list[dict[str, Any]]:
    path = Path(stdlib_docs.__file__).parent / "data" / "stdlib_questions.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
