"""Machine code is kept under a hash of the sources that it is made of."""

import ast
from pathlib import Path

import lexidex.index.jit as jit

INDEX = Path(jit.__file__).parent


def imported(source: Path) -> set[str]:
    """The modules of the project that a source file imports, by the last parts of their names."""
    nodes = ast.walk(ast.parse(source.read_text()))
    return {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}


def test_what_is_left_out_of_the_hash_has_no_kernels_and_serves_none() -> None:
    n_kernel_modules = 0
    for source in INDEX.rglob("*.py"):
        modules = imported(source)
        if "jit" in modules:
            n_kernel_modules += 1
            assert source.relative_to(INDEX).parts[0] not in jit._WITHOUT_KERNELS
            parts = {part for module in modules for part in module.split(".")}
            assert not parts & jit._WITHOUT_KERNELS, f"{source} imports {modules}"
    assert n_kernel_modules >= 10
