"""What is installed: everything under `lexidex`, nothing beside it, all of it documented."""

import doctest
import inspect
import pkgutil
import subprocess
import sys
import tomllib
import zipfile
from importlib import import_module
from pathlib import Path

import pytest

import lexidex

ROOT = Path(__file__).parent.parent
GENERIC = ("encoders", "eval", "index", "server")


def modules():
    found = pkgutil.walk_packages(lexidex.__path__, "lexidex.")
    return ["lexidex", *(m.name for m in found if m.name != "lexidex.__main__")]


def run(program):
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr
    return finished.stdout.split()


@pytest.mark.smoke
def test_no_generic_name_becomes_a_module():
    program = (
        "import pkgutil, sys, lexidex\n"
        "for m in pkgutil.walk_packages(lexidex.__path__, 'lexidex.'):\n"
        "    if m.name != 'lexidex.__main__': __import__(m.name)\n"
        f"print(*(set({GENERIC}) & set(sys.modules)))"
    )
    assert run(program) == []


@pytest.mark.smoke
def test_importing_lexidex_and_asking_for_help_stays_light():
    heavy = ("torch", "transformers", "numba", "scipy", "pyarrow", "fastapi")
    program = (
        "import sys, lexidex, lexidex.cli\n"
        "sys.argv = ['lexidex', '--help']\n"
        "try: lexidex.cli.main()\n"
        "except SystemExit: pass\n"
        f"print('loaded:', *(set({heavy}) & set(sys.modules)))"
    )
    assert run(program)[-1] == "loaded:"


@pytest.mark.smoke
def test_searching_with_bm25_loads_no_text_model(tmp_path):
    program = (
        "import sys; from lexidex import Collection\n"
        f"c = Collection.create({str(tmp_path / 'c')!r})\n"
        "c.upsert([{'id': 'a', 'text': 'deep sea'}]); c.search('sea'); c.explain('sea', 'a')\n"
        "print('loaded:', *({'torch', 'transformers'} & set(sys.modules)))"
    )
    assert run(program) == ["loaded:"]


@pytest.mark.parametrize("name", modules())
def test_public_things_are_documented_and_examples_hold(name):
    module = import_module(name)
    assert module.__doc__, name
    for label, value in vars(module).items():
        is_ours = getattr(value, "__module__", None) == name
        if is_ours and not label.startswith("_") and (inspect.isclass(value) or callable(value)):
            assert inspect.getdoc(value), f"{name}.{label}"
    assert doctest.testmod(module).failed == 0
    names = getattr(module, "__all__", [])
    assert names == sorted(names, key=lambda n: (n.startswith("_"), n)), name


def test_packages_listed_are_the_packages_there_are():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    listed = settings["tool"]["setuptools"]["packages"]
    there = {"lexidex"} | {
        m.name for m in pkgutil.walk_packages(lexidex.__path__, "lexidex.") if m.ispkg
    }
    assert listed == sorted(there)


def test_the_wheel_holds_the_package_and_nothing_else(tmp_path):
    command = [sys.executable, "-m", "build", "--wheel", "--outdir", str(tmp_path), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names} == {
        "lexidex",
        f"lexidex-{lexidex.__version__}.dist-info",
    }
    tree = [
        path.relative_to(ROOT).as_posix()
        for folder in ("lexidex/commands", *GENERIC)
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    ]
    inside = {path if path.startswith("lexidex/") else f"lexidex/{path}" for path in tree}
    assert inside - set(names) == set()
    assert "lexidex/py.typed" in names
