"""The documentation says what is: examples run, paths exist, every command and error is named."""

import json
import re
from pathlib import Path

import pytest

from lexidex.encoders.base import DEFAULT_ENCODER

ROOT = Path(__file__).parent.parent
DOCUMENTS = [
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "docs/ENCODERS.md",
    "docs/FORMAT.md",
    "docs/EXCHANGE.md",
    "docs/FILTERS.md",
    "docs/HTTP.md",
    "docs/FUSION.md",
    "docs/RERANKING.md",
    "docs/SCALE.md",
    "docs/TRAINING.md",
]


def test_the_readme_s_python_runs_and_prints_what_it_says(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("lexidex.writing.DEFAULT_ENCODER", DEFAULT_ENCODER)
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.S)
    assert blocks
    space: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, "README.md", "exec"), space)
    printed = capsys.readouterr().out.splitlines()
    promised = re.findall(r"(?<=^# )(?:\w+ \d\.\d{3} .*|\w+: .* = .*)$", text, re.M)
    assert promised
    assert printed == promised


@pytest.mark.parametrize("document", DOCUMENTS)
def test_paths_that_documents_name_exist(document):
    text = (ROOT / document).read_text(encoding="utf-8")
    folders = [ROOT, *(ROOT / f for f in ("lexidex", "encoders", "index", "eval", "server"))]
    folders += [ROOT / "index" / "storage", ROOT / "index" / "seismic"]
    folders += [ROOT / "index" / "filters", ROOT / "index" / "dense", ROOT / "index" / "exact"]
    folders += [ROOT / "docs", ROOT / "eval" / "benchmarks", ROOT / "encoders" / "engines"]
    folders.append(ROOT / "encoders" / "training")
    for name in re.findall(r"`([\w./]+\.(?:py|md|toml|txt))`|\]\(([\w./]+)\)", text):
        path = name[0] or name[1]
        assert any((folder / path).exists() for folder in folders), f"{document}: {path}"


def test_filters_are_described_with_their_operators_and_limits():
    from lexidex.index.filters import masks, parse_filter, parsing

    text = (ROOT / "docs" / "FILTERS.md").read_text(encoding="utf-8")
    for name in (*parsing.OPERATORS, *parsing.CONNECTIVES):
        assert re.search(rf'[`"]{name}[`"]', text), name
    limits = (parsing.DEPTH_LIMIT, parsing.CLAUSE_LIMIT, parsing.VALUE_LIMIT)
    for limit in (*limits, masks.CACHE_BYTES >> 20):
        assert f" {limit:,} " in text, limit
    examples = re.findall(r"^\| `({.*?})`", text, re.M)
    assert len(examples) == 13
    for example in examples:
        parse_filter(json.loads(example))


def test_every_method_of_fusion_is_described():
    from lexidex.index.fusion import METHODS

    text = (ROOT / "docs" / "FUSION.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `([\w-]+)`", text, re.M) == list(METHODS)


def test_every_preset_of_an_encoder_is_described():
    from lexidex.encoders.presets import PRESETS

    text = (ROOT / "docs" / "ENCODERS.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`[\w`, +-]+`) \| `[a-z]", text, re.M)
    assert re.findall(r"`([\w-]+)`", " ".join(rows)) == list(PRESETS)


def test_every_route_is_in_the_readme_and_every_problem_in_the_description():
    from lexidex.server import problems, routes, snapshot_routes, task_routes, write_routes

    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    modules = (routes, write_routes, task_routes, snapshot_routes)
    for route in (route for module in modules for route in module.ROUTES):
        path = route.path.replace("{collection}", "{c}").replace("{id:path}", "{id}")
        path = path.replace("{snapshot}", "{s}")
        said = f"{route.method} {path}", path.removeprefix("/v1/collections/{c}")
        assert any(one in readme for one in said), route
    text = (ROOT / "docs" / "HTTP.md").read_text(encoding="utf-8")
    for error, status in problems.STATUSES.items():
        assert re.search(rf"^\| {status} \|.*`{error.code}`", text, re.M), error
    for status, code in problems.CODES.items():
        assert re.search(rf"^\| {status} \|.*`{code}`", text, re.M), code


def test_what_searches_may_ask_for_is_in_the_readme():
    from lexidex.server.schemas import BatchRequest, SearchRequest

    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for path, body in (("search", SearchRequest), ("search:batch", BatchRequest)):
        (row,) = re.findall(rf"^\| `POST /v1/collections/{{c}}/{path}` \| (.*) \|$", text, re.M)
        assert set(re.findall(r"`(\w+)`", row)) == set(body.model_fields)


def test_limits_of_requests_are_described():
    from lexidex.server import importing, limits

    text = (ROOT / "docs" / "HTTP.md").read_text(encoding="utf-8")
    for megabytes in (limits.BODY_BYTES, limits.DOCUMENTS_BYTES, limits.LINE_BYTES):
        assert f" {megabytes >> 20} MiB" in text
    for number in (limits.DOCUMENTS, limits.DELETED_IDS, importing.BATCH_LINES):
        assert f" {number:,} " in text
    for number in (limits.RERANK_DEPTH, limits.BATCH_RERANKED):
        assert re.search(rf"reranked \|.* {number:,}\b", text)


def test_every_recipe_and_every_setting_is_described():
    from lexidex.encoders.training.recipe import settings
    from lexidex.encoders.training.recipe_files import recipe_names

    text = (ROOT / "docs" / "TRAINING.md").read_text(encoding="utf-8")
    for name in (*recipe_names(), *settings()):
        assert f"`{name.rpartition('.')[2]}`" in text, name


def test_every_command_is_in_the_readme():
    from lexidex.cli import app

    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for command in app.registered_commands:
        name = command.name or command.callback.__name__
        assert f"lexidex {name}" in text or f"make {name}" in text, name
        assert command.callback.__doc__, name


def test_every_exit_status_is_in_the_readme_and_the_command_line_s_text():
    import lexidex.cli
    import lexidex.errors

    statuses = {
        error.exit_code
        for error in vars(lexidex.errors).values()
        if isinstance(error, type) and issubclass(error, lexidex.errors.LexidexError)
    }
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    exit_part = text[text.index("Exit\nstatus") :][:300]
    for status in statuses:
        assert re.search(rf"\b{status}\b", exit_part), status
        assert re.search(rf"\b{status}\b", lexidex.cli.__doc__), status


def test_the_error_tree_names_every_error():
    import lexidex.errors

    for name, value in vars(lexidex.errors).items():
        if isinstance(value, type) and issubclass(value, lexidex.errors.LexidexError):
            assert name in lexidex.errors.__doc__


@pytest.mark.parametrize("document", [*DOCUMENTS, "encoders/models/lexidex-mini/README.md"])
def test_commands_name_models_as_they_can_be_found(document):
    text = (ROOT / document).read_text(encoding="utf-8")
    options = r"--(?:backbone|dense|encoder|reranker?|start)\s+|\b(?:dense|cross-encoder):"
    for name in re.findall(rf"(?:{options})([\w./-]*MiniLM[\w.-]*)", text):
        assert name.count("/") == 1, f"{document}: {name} is neither a hub id nor a folder's path"


def test_training_that_goes_on_names_the_backbone_that_teaches():
    text = (ROOT / "docs" / "TRAINING.md").read_text(encoding="utf-8")
    commands = re.findall(r"lexidex train mini (?:.*\\\n)*.*", text)
    going_on = [command for command in commands if "model.start=" in command]
    assert going_on
    for command in going_on:
        assert "--backbone " in command, command
