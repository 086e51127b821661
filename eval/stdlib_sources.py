"""The standard library's source files, read with `ast`: what they define, import and re-export.

No module is imported for it: some of them act when they are.
"""

from __future__ import annotations

import ast
import sys
import sysconfig
import warnings
from pathlib import Path

from lexidex.errors import NotFound

from .stdlib_names import Definition, Library

# fmt: off
# Test suites, applications, generated tables, leftovers of packaging, and two modules that act
# when they are imported.
_SKIPPED = frozenset((
    "__main__", "_bundled", "antigravity", "distutils", "encodings", "idlelib", "imp", "lib2to3",
    "pydoc_data", "test", "tests", "this", "turtledemo", "xxlimited", "xxlimited_35", "xxsubtype",
))
# fmt: on


def source_files() -> list[tuple[str, Path]]:
    """The name and the path of every source module, in the order of their names."""
    root = Path(sysconfig.get_path("stdlib"))
    files = []
    for top in sorted(sys.stdlib_module_names):
        for path in [root / f"{top}.py", *sorted((root / top).rglob("*.py"))]:
            parts = path.relative_to(root).with_suffix("").parts
            if path.exists() and _SKIPPED.isdisjoint(parts):
                files.append((".".join(p for p in parts if p != "__init__"), path))
    if not files:
        raise NotFound(f"{root}: no source files of the standard library; use a full Python")
    return files


class SourceReader(ast.NodeVisitor):
    """Enters what one source file defines, imports and re-exports into the library."""

    def __init__(self, library: Library, module: str, path: Path) -> None:
        """Read the file at `path`, the source of `module`."""
        self._library = library
        self._module = self._scope = module
        self._package = module if path.name == "__init__.py" else module.rpartition(".")[0]
        self._source = path.read_bytes()

    def read(self) -> None:
        """Parse the file and walk through its statements."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # invalid escapes, in the files of some versions
            tree = ast.parse(self._source)
        self._library.define("", self._module, Definition("module", _docstring(tree)))
        self.visit(tree)
        scope = self._library.scopes[self._module]
        scope.is_listed_in_full = bool(scope.listed) and self._source.count(b"__all__") == 1

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        """Add a class and what its body defines."""
        text, signature = _docstring(node), None
        for child in node.body:
            if isinstance(child, ast.FunctionDef) and child.name == "__init__":
                text = "\n\n".join(filter(None, (text, _docstring(child))))
                signature = _signature(child)
        outer = self._scope
        self._scope = self._library.define(outer, node.name, Definition("class", text, signature))
        bases = filter(None, map(_dotted, node.bases))
        self._library.scopes[self._scope].bases = [f"{self._module}.{base}" for base in bases]
        for child in node.body:
            self.visit(child)
        self._scope = outer

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        """Add a function, a method or a property, but nothing from inside it."""
        decorators = [(_dotted(d) or "").rpartition(".")[2] for d in node.decorator_list]
        if node.name == "__init__" or "setter" in decorators or "deleter" in decorators:
            return
        if any(d.endswith("property") for d in decorators):
            definition = Definition("property", _docstring(node))
        else:
            kind = "function" if self._scope == self._module else "method"
            definition = Definition(kind, _docstring(node), _signature(node))
        self._library.define(self._scope, node.name, definition)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        """Add a coroutine function in the same way."""
        self.visit_FunctionDef(node)

    def visit_Import(self, node: ast.Import) -> None:
        """Note what the names of the imported modules stand for."""
        for alias in node.names:
            name = alias.name if alias.asname else alias.name.partition(".")[0]
            self._library.bind(self._scope, alias.asname or name, name)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        """Note the names that are imported, and from where."""
        parts = self._package.split(".")
        above = parts[: len(parts) + 1 - node.level] if node.level else []
        source = ".".join([*above, *filter(None, [node.module])])
        for alias in node.names:
            if alias.name == "*":
                self._library.scopes[self._scope].stars.append(source)
            else:
                self._borrow(alias.asname or alias.name, f"{source}.{alias.name}")

    def visit_Assign(self, node: ast.Assign) -> None:
        """Note `__all__`, docstrings, further names (`bisect = bisect_right`) and instances."""
        target, value = _dotted(node.targets[0]), node.value
        source = _dotted(value.func if isinstance(value, ast.Call) else value)
        if target == "__all__":
            self._library.scopes[self._scope].listed = _literal_strings(value)
        elif target is None or source is None:
            return
        elif target.endswith("__doc__") and source.endswith(".__doc__"):
            name = f"{self._scope}.{target}".removesuffix(".__doc__")
            self._library.document_as(name, f"{self._module}.{source.removesuffix('.__doc__')}")
        elif "." in target:
            return
        elif isinstance(value, ast.Name | ast.Attribute):
            self._borrow(target, f"{self._scope}.{source}")
        elif source[0].isupper():
            self._library.instantiate(self._scope, target, f"{self._scope}.{source}")

    def _borrow(self, leaf: str, target: str) -> None:
        self._library.scopes[self._scope].borrowed.add(leaf)
        self._library.bind(self._scope, leaf, target)


def _docstring(node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    return ast.get_docstring(node) or ""


def _dotted(node: ast.expr) -> str | None:
    """`a.b.c` as text, where that is what an expression is."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (owner := _dotted(node.value)):
        return f"{owner}.{node.attr}"
    return None


def _literal_strings(node: ast.expr) -> set[str]:
    try:
        return set(ast.literal_eval(node))
    except ValueError:
        return set()


def _signature(node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    """The parameters and what is returned, as written; without `self` or `cls`."""
    positional = node.args.posonlyargs or node.args.args
    if positional and positional[0].arg in ("self", "cls"):
        del positional[0]
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    return f"({ast.unparse(node.args)}){returns}"
