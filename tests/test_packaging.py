"""The package as it is installed: its names, its modules, its wheel, its documentation."""

import ast
import doctest
import email
import importlib
import importlib.metadata
import importlib.util
import json
import os
import pkgutil
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import lexidex

ROOT = Path(__file__).parent.parent
LINKED = ["encoders", "eval", "index", "server"]
"""Folders of the checkout that are sub-packages of lexidex, and nothing else."""

PARTS = {
    "huggingface_hub": "transformers",
    "llvmlite": "numba",
    "pydantic": "fastapi",
    "starlette": "fastapi",
}
"""Packages that come with another, and whose versions that other one chooses."""

IMPORT_ALL = """
import importlib, json, sys
modules = json.loads(sys.stdin.read())
absent = []
for name in modules:
    module = importlib.import_module(name)
    absent += [f"{name}.{public}" for public in getattr(module, "__all__", [])
               if not hasattr(module, public)]
print(json.dumps({"top": sorted({name.split(".")[0] for name in sys.modules}), "absent": absent}))
"""


@pytest.fixture(scope="module")
def pyproject():
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def modules():
    """The name of every module of the package."""
    walked = pkgutil.walk_packages(lexidex.__path__, "lexidex.")
    return ["lexidex", *(module.name for module in walked)]


@pytest.fixture(scope="module")
def imported(modules):
    """What a process holds that has imported every module of the package."""
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL],
        input=json.dumps(modules),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def files_of_the_tree():
    """Every file of the package, by its path in site-packages, through the links."""
    found = set()
    for folder, folders, files in os.walk(ROOT / "lexidex", followlinks=True):
        folders[:] = [name for name in folders if name != "__pycache__"]
        found |= {(Path(folder) / name).relative_to(ROOT).as_posix() for name in files}
    return found


def source_of(module):
    return Path(importlib.util.find_spec(module).origin).read_text(encoding="utf-8")


def public(nodes):
    kinds = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    return [n for n in nodes if isinstance(n, kinds) and not n.name.startswith("_")]


# Names and modules


def test_every_module_of_the_tree_is_a_module_of_the_package(modules):
    of_files = {
        name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        for name in files_of_the_tree()
        if name.endswith(".py")
    }
    assert set(modules) == of_files


def test_nothing_generic_is_imported_at_top_level(imported):
    assert "lexidex" in imported["top"]
    assert not set(imported["top"]) & {*LINKED, "commands", "storage", "utils", "tests"}


def test_all_names_exist(imported):
    assert imported["absent"] == []


def test_all_is_sorted_as_the_linter_sorts_it(modules):
    def rank(name):
        return not name.isupper(), not name[0].isupper(), name

    for module in modules:
        for node in ast.parse(source_of(module)).body:
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
                names = ast.literal_eval(node.value)
                assert names == sorted(set(names), key=rank), module


@pytest.mark.smoke
def test_the_public_names_are_there():
    for name in lexidex.__all__:
        assert getattr(lexidex, name) is not None
    with pytest.raises(AttributeError, match=r"^module 'lexidex' has no attribute 'nothing'$"):
        _ = lexidex.nothing


# Documentation


def test_what_is_public_is_documented(modules):
    bare = []
    for module in modules:
        tree = ast.parse(source_of(module))
        bare += [module] if not ast.get_docstring(tree) else []
        bare += [f"{module}.{n.name}" for n in public(tree.body) if not ast.get_docstring(n)]
    assert bare == []


def test_examples_in_docstrings_do_as_they_say(modules):
    """Under their installed names; pytest's own collection would import `index` at top level."""
    for name in modules:
        if ">>>" in source_of(name):
            failures, examples = doctest.testmod(importlib.import_module(name))
            assert examples
            assert not failures, name


# What is declared


def test_packages_are_those_of_the_tree(pyproject):
    packages = pyproject["tool"]["setuptools"]["packages"]
    assert packages == sorted(packages)
    of_files = {
        str(Path(name).parent).replace("/", ".")
        for name in files_of_the_tree()
        if name.endswith(".py")
    }
    assert packages == sorted(of_files)


def test_what_is_imported_is_declared(pyproject, modules):
    """A dependency of a dependency may go at any time; what we import we ask for."""
    project = pyproject["project"]
    lists = [project["dependencies"], *project["optional-dependencies"].values()]
    declared = {normal(re.split(r"[\[<>=!~; ]", line)[0]) for lines in lists for line in lines}
    providers = importlib.metadata.packages_distributions()
    undeclared = {}
    for module in modules:
        for name in imports(ast.parse(source_of(module))):
            known = {normal(PARTS.get(name, p)) for p in providers.get(name, [name])}
            if name not in sys.stdlib_module_names and name != "lexidex" and not known & declared:
                undeclared.setdefault(name, []).append(module)
    assert undeclared == {}


def imports(tree):
    """Top-level packages that a module imports by their full names."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module.split(".")[0]


def normal(name):
    return re.sub(r"[-_.]+", "-", name).lower()


# The wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """A wheel built from a copy of the checkout, so that nothing is left in it."""
    work = tmp_path_factory.mktemp("build")
    left = shutil.ignore_patterns(
        ".*", "build", "dist", "*.egg-info", "__pycache__", "tests", "docs"
    )
    shutil.copytree(ROOT, work / "tree", symlinks=True, ignore=left)
    command = ["-m", "build", "--wheel", "--no-isolation", "--outdir", work, work / "tree"]
    done = subprocess.run(
        [sys.executable, *map(str, command)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    [path] = work.glob("*.whl")
    with zipfile.ZipFile(path) as opened:
        yield opened


def test_the_wheel_holds_the_package_and_nothing_else(wheel):
    names = {name for name in wheel.namelist() if not name.endswith("/")}
    metadata = f"lexidex-{lexidex.__version__}.dist-info/"
    assert {name for name in names if not name.startswith(metadata)} == files_of_the_tree()
    assert {name.removeprefix(metadata) for name in names if name.startswith(metadata)} == {
        "METADATA",
        "RECORD",
        "WHEEL",
        "entry_points.txt",
        "licenses/LICENSE",
        "top_level.txt",
    }


def test_the_wheel_has_the_files_that_are_no_modules(wheel):
    names = set(wheel.namelist())
    assert {"lexidex/py.typed", "lexidex/eval/data/stdlib_questions.jsonl"} <= names
    console = {path.name for path in (ROOT / "server" / "console").iterdir()}
    assert console
    assert {f"lexidex/server/console/{name}" for name in console} <= names
    model = "lexidex/encoders/models/lexidex-mini"
    assert {f"{model}/model.safetensors", f"{model}/dense/model.safetensors"} <= names


def test_the_wheel_describes_itself(wheel, pyproject):
    folder = f"lexidex-{lexidex.__version__}.dist-info"
    assert wheel.read(f"{folder}/top_level.txt") == b"lexidex\n"
    entry_points = wheel.read(f"{folder}/entry_points.txt").decode()
    assert entry_points.split() == ["[console_scripts]", "lexidex", "=", "lexidex.cli:main"]
    described = email.message_from_bytes(wheel.read(f"{folder}/METADATA"))
    assert described["Name"] == "lexidex"
    assert described["Version"] == lexidex.__version__
    assert described["License-Expression"] == pyproject["project"]["license"]
    required = [line for line in described.get_all("Requires-Dist") if "extra ==" not in line]
    assert len(required) == len(pyproject["project"]["dependencies"])
