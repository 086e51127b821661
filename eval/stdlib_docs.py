"""The documentation of the running Python's standard library, as a collection to search.

Every machine that runs Lexidex has these documents, so a demonstration needs no download. They
are gathered in three steps, and `collect` merges what is one and the same text:

1. `_SourceReader` parses each source file with `ast` and notes what it defines, imports and
   re-exports. No source module is imported for it: some of them act when they are.
2. `_CompiledReader` inspects the modules written in C, from a fixed list.
3. `_Library.public_names` walks the modules as a user sees them, so that what `asyncio.tasks` or
   `_collections_abc` defines goes by the name that programs use.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import sys
import sysconfig
import types
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from lexidex.errors import NotFound

# fmt: off
# Test suites, applications, generated tables, leftovers of packaging, and two modules that act
# when they are imported.
_SKIPPED = frozenset((
    "__main__", "_bundled", "antigravity", "distutils", "encodings", "idlelib", "imp", "lib2to3",
    "pydoc_data", "test", "tests", "this", "turtledemo", "xxlimited", "xxlimited_35", "xxsubtype",
))
# Public by their spelling only: programs reach what these define through another module.
_BEHIND_OTHERS = frozenset((
    "genericpath", "nt", "ntpath", "nturl2path", "opcode", "posix", "posixpath", "pyexpat",
    "sre_compile", "sre_constants", "sre_parse",
))
# Built-in and extension modules. Those that this Python or platform lacks are passed over.
_COMPILED = (
    "builtins", "_blake2", "_bz2", "_codecs", "_collections", "_contextvars", "_csv", "_ctypes",
    "_curses", "_curses_panel", "_decimal", "_functools", "_hashlib", "_heapq", "_io", "_locale",
    "_lzma", "_operator", "_pickle", "_queue", "_random", "_signal", "_socket", "_sqlite3", "_ssl",
    "_stat", "_string", "_struct", "_thread", "_tracemalloc", "_warnings", "_weakref", "array",
    "atexit", "binascii", "cmath", "errno", "faulthandler", "fcntl", "gc", "grp", "itertools",
    "marshal", "math", "mmap", "msvcrt", "nt", "posix", "pwd", "pyexpat", "resource", "select",
    "sys", "syslog", "termios", "time", "unicodedata", "winreg", "winsound", "zlib",
)
# fmt: on
# Types written in C to which only a module in Python gives a name.
_COMPILED_TYPES = {
    ("re", "Match"): re.Match,
    ("re", "Pattern"): re.Pattern,
    ("types", "AsyncGeneratorType"): types.AsyncGeneratorType,
    ("types", "CoroutineType"): types.CoroutineType,
    ("types", "GeneratorType"): types.GeneratorType,
    ("types", "MappingProxyType"): types.MappingProxyType,
    ("types", "SimpleNamespace"): types.SimpleNamespace,
}
# What modules bind in ways that cannot be read off their source.
_BOUND_AT_RUN_TIME = {
    ("collections", "abc"): "_collections_abc",
    ("concurrent.futures", "ProcessPoolExecutor"): "concurrent.futures.process.ProcessPoolExecutor",
    ("concurrent.futures", "ThreadPoolExecutor"): "concurrent.futures.thread.ThreadPoolExecutor",
    ("hashlib", "blake2b"): "_blake2.blake2b",
    ("hashlib", "blake2s"): "_blake2.blake2s",
    ("hashlib", "md5"): "_hashlib.openssl_md5",
    ("hashlib", "sha1"): "_hashlib.openssl_sha1",
    ("hashlib", "sha224"): "_hashlib.openssl_sha224",
    ("hashlib", "sha256"): "_hashlib.openssl_sha256",
    ("hashlib", "sha384"): "_hashlib.openssl_sha384",
    ("hashlib", "sha512"): "_hashlib.openssl_sha512",
    ("hmac", "compare_digest"): "_operator._compare_digest",
    ("os", "path"): "posixpath",
}
# Functions of the module that are methods of an object.
_INSTANCE_AS_MODULE = {"multiprocessing": "multiprocessing.context.BaseContext"}
# Operators whose docstring is shorter say no more than their name does.
_FEWEST_WORDS_OF_A_DUNDER = 5


def collect(progress: Callable[[int, int], None] | None = None) -> list[dict[str, Any]]:
    """The standard library's docstrings, one document each, sorted by id.

    A document has `id` (the public dotted name, `shutil.copytree`; built-in names stand alone,
    `str.split`), `title` (the words of the name), `text` (the docstring; a class's goes on with
    that of `__init__`) and `metadata`: `module`, `kind` (module, class, function, method or property), `signature`
    where it is known, and `aliases` where the same text goes by further names. `progress` is
    called with (modules read, modules in all).

    Raises:
        NotFound: this Python comes without its source files.
    """
    library = _Library()
    compiled = _CompiledReader(library)
    files = _source_files()
    total = len(files) + len(_COMPILED)
    for done, (module, path) in enumerate(files, start=1):
        _SourceReader(library, module, path).read()
        if progress:
            progress(done, total)
    for done, module in enumerate(_COMPILED, start=len(files) + 1):
        compiled.read(module)
        if progress:
            progress(done, total)
    for (module, leaf), value in _COMPILED_TYPES.items():
        compiled.read_object(module, leaf, value)
    for (module, leaf), target in _BOUND_AT_RUN_TIME.items():
        library.offer(module, leaf, target)
    for module, type_name in _INSTANCE_AS_MODULE.items():
        library.scopes[module].stars.append(type_name)
    return _merge(library)


@dataclass(frozen=True)
class _Definition:
    """What a module, class, function, method or property says of itself ("" for nothing)."""

    kind: str
    text: str
    signature: str | None = None


@dataclass
class _Scope:
    """The names that a module or a class binds, apart from those of its base classes."""

    is_class: bool
    defined: set[str] = field(default_factory=set)
    borrowed: set[str] = field(default_factory=set)  # imported, or another name for something
    stars: list[str] = field(default_factory=list)
    bases: list[str] = field(default_factory=list)
    listed: set[str] = field(default_factory=set)  # __all__, as far as it can be read
    is_listed_in_full: bool = False


class _Name(NamedTuple):
    """A name in use, the definition that it stands for, and the module to import for it."""

    text: str
    target: str
    module: str

    @property
    def is_member(self) -> bool:
        """Whether a class stands between the module and the name."""
        return "." in self.text.removeprefix(f"{self.module}.")

    @property
    def rank(self) -> tuple[int, int, bool, str]:
        """Smallest for the name that a user would rather type."""
        text = self.text
        return text.count("."), len(text), not f".{self.target}".endswith(f".{text}"), text


class _Library:
    """All definitions by the names of their places, and how other names lead to them."""

    def __init__(self) -> None:
        self.definitions: dict[str, _Definition] = {}
        self.scopes: dict[str, _Scope] = {}
        self._bindings: dict[str, list[str]] = {}
        self._instances: dict[str, str] = {}
        self._documented_as: dict[str, str] = {}
        self._resolved: dict[str, str | None] = {}
        self._named: set[str] = set()

    def define(self, scope: str, leaf: str, definition: _Definition) -> str:
        """Note what a scope ("" for a module) defines, and return its full name."""
        name = f"{scope}.{leaf}" if scope else leaf
        self.definitions[name] = definition
        if scope:
            self.scopes[scope].defined.add(leaf)
        if definition.kind in ("module", "class"):
            self.scopes[name] = _Scope(definition.kind == "class")
        return name

    def bind(self, scope: str, leaf: str, target: str) -> None:
        """Note that a name of a scope stands for another; the last one that is known counts."""
        self._bindings.setdefault(f"{scope}.{leaf}", []).append(target)

    def instantiate(self, scope: str, leaf: str, class_name: str) -> None:
        """Note that a name of a scope is an instance, whose methods may get names of their own."""
        self._instances[f"{scope}.{leaf}"] = class_name

    def offer(self, scope: str, leaf: str, target: str) -> None:
        """Note that a name of a scope stands for another, for all the world to use."""
        self.scopes[scope].defined.add(leaf)
        self.bind(scope, leaf, target)

    def document_as(self, name: str, other: str) -> None:
        """Note that a definition has the docstring of another."""
        self._documented_as[name] = other

    def public_names(self) -> list[_Name]:
        """Every name that a program can use; each text comes once."""
        for name, other in self._documented_as.items():
            if name in self.definitions and (source := self.resolve(other)):
                text = self.definitions[source].text
                self.definitions[name] = replace(self.definitions[name], text=text)
        found = self._reachable()
        self._named = {name.target for name in found}
        # Only now is it known which base classes no program can name: the classes derived from
        # them take over their members.
        return self._reachable()

    def _reachable(self) -> list[_Name]:
        self._resolved.clear()
        found: dict[str, _Name] = {}
        for module, scope in sorted(self.scopes.items()):
            if not scope.is_class and not _is_hidden(module):
                for name in self._walk(module, module, module):
                    found.setdefault(name.text, name)
        return list(found.values())

    def _walk(self, text: str, target: str, module: str) -> Iterator[_Name]:
        """A definition that goes by `text`, and what is reached through it."""
        yield _Name(text, target, module)
        prefix = "" if target == "builtins" else f"{text}."
        for leaf in sorted(self._offers(target)) if target in self.scopes else ():
            member = self.resolve(f"{target}.{leaf}")
            if member is None or (leaf.startswith("_") and not leaf.endswith("__")):
                continue
            if self.definitions[member].kind != "module":
                yield from self._walk(prefix + leaf, member, module)
            elif _is_hidden(member):
                yield from self._walk(prefix + leaf, member, prefix + leaf)

    def _offers(self, name: str) -> set[str]:
        """The names to be reached through a module or a class."""
        scope = self.scopes[name]
        leaves = set(scope.defined)
        for leaf in sorted(scope.borrowed):
            target = None if scope.is_listed_in_full else self.resolve(f"{name}.{leaf}")
            if leaf in scope.listed or (target and _belongs_to(name, target)):
                leaves.add(leaf)
        for star in scope.stars:
            if star in self.scopes and (_is_hidden(star) or _belongs_to(name, star)):
                is_full = self.scopes[star].is_listed_in_full
                leaves |= self.scopes[star].listed if is_full else self._offers(star)
        return leaves.union(*map(self._offers, self._adopted_bases(name)))

    def _adopted_bases(self, name: str) -> Iterator[str]:
        """The bases of a class whose members belong to it: no program names them, or they are C."""
        for base in map(self.resolve, self.scopes[name].bases):
            if base is None or base == name or base not in self.scopes:
                continue
            is_unnamed = bool(self._named) and base not in self._named
            if is_unnamed or base.partition(".")[0] in _COMPILED:
                yield base

    def resolve(self, name: str) -> str | None:
        """The definition that a dotted name stands for, one with a docstring if there is."""
        if name not in self._resolved:
            self._resolved[name] = None  # imports can run in circles
            found = [name] if name in self.definitions else []
            found += filter(None, map(self.resolve, self._elsewhere(name)))
            documented = (n for n in found if self.definitions[n].text)
            self._resolved[name] = next(documented, found[0] if found else None)
        return self._resolved[name]

    def _elsewhere(self, name: str) -> Iterator[str]:
        """The other names under which to look for a dotted name."""
        yield from reversed(self._bindings.get(name, ()))
        scope_name, _, leaf = name.rpartition(".")
        owner = self._instances.get(scope_name) or (scope_name and self.resolve(scope_name))
        if owner and owner != scope_name:
            yield f"{owner}.{leaf}"
        elif owner in self.scopes:
            scope = self.scopes[owner]
            bases = self._adopted_bases(owner) if name in self.definitions else scope.bases
            yield from (f"{source}.{leaf}" for source in (*scope.stars, *bases))


def _is_hidden(module: str) -> bool:
    """Whether programs leave a module alone and use what it defines through another."""
    return any(part.startswith("_") or part in _BEHIND_OTHERS for part in module.split("."))


def _belongs_to(module: str, target: str) -> bool:
    """Whether a module offers what is defined in its submodules and private companions."""
    top = module.partition(".")[0]
    return target.startswith((f"{module}.", f"{top}._", f"_{top}", f"_py{top}"))


def _source_files() -> list[tuple[str, Path]]:
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


class _SourceReader(ast.NodeVisitor):
    """Enters what one source file defines, imports and re-exports into the library."""

    def __init__(self, library: _Library, module: str, path: Path) -> None:
        self._library = library
        self._module = self._scope = module
        self._package = module if path.name == "__init__.py" else module.rpartition(".")[0]
        self._source = path.read_bytes()

    def read(self) -> None:
        """Parse the file and walk through its statements."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # invalid escapes, in the files of some versions
            tree = ast.parse(self._source)
        self._library.define("", self._module, _Definition("module", _docstring(tree)))
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
        self._scope = self._library.define(outer, node.name, _Definition("class", text, signature))
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
            definition = _Definition("property", _docstring(node))
        else:
            kind = "function" if self._scope == self._module else "method"
            definition = _Definition(kind, _docstring(node), _signature(node))
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


class _CompiledReader:
    """Enters the functions and types of modules written in C into the library."""

    def __init__(self, library: _Library) -> None:
        self._library = library
        self._known: dict[int, str] = {}  # identity of the object -> its first name

    def read(self, module: str) -> None:
        """Add a module, where this Python has it."""
        try:
            namespace = vars(importlib.import_module(module))
        except ImportError:
            return
        text = inspect.cleandoc(namespace["__doc__"] or "")
        self._library.define("", module, _Definition("module", text))
        found = {
            leaf: value
            for leaf, value in sorted(namespace.items())
            if isinstance(value, type | types.BuiltinFunctionType) and leaf != "__loader__"
        }
        for leaf in [n for n in found if n.startswith("__") and n.strip("_") in namespace]:
            # Programs replace sys.excepthook; sys.__excepthook__ stays what it was.
            found[leaf.strip("_")] = found.pop(leaf)
        # A type's own name comes first, so that IOError is a further name of OSError.
        for leaf, value in sorted(found.items(), key=lambda item: item[0] != item[1].__name__):
            self.read_object(module, leaf, value)

    def read_object(self, module: str, leaf: str, value: type | types.BuiltinFunctionType) -> None:
        """Add a function, or a type with its methods and properties."""
        if id(value) in self._known:
            self._library.offer(module, leaf, self._known[id(value)])
            return
        kind = "class" if isinstance(value, type) else "function"
        definition = _compiled_definition(kind, leaf, value)
        name = self._known[id(value)] = self._library.define(module, leaf, definition)
        for member in sorted(vars(value)) if isinstance(value, type) else ():
            # The docstrings of operators written in C are generic: "Return repr(self)."
            member_kind = _member_kind(vars(value)[member])
            if member_kind and not member.startswith("_"):
                definition = _compiled_definition(member_kind, member, getattr(value, member))
                self._library.define(name, member, definition)


def _member_kind(descriptor: object) -> str | None:
    """Method or property; None for constants and the like."""
    if isinstance(descriptor, types.GetSetDescriptorType | types.MemberDescriptorType):
        return "property"
    methods = (types.MethodDescriptorType, types.ClassMethodDescriptorType, staticmethod)
    return "method" if isinstance(descriptor, methods) else None


def _compiled_definition(kind: str, leaf: str, value: object) -> _Definition:
    text = inspect.cleandoc(value.__doc__) if isinstance(value.__doc__, str) else ""
    signature = getattr(value, "__text_signature__", None)
    if signature:
        signature = re.sub(r"\$\w+(, /(?=[,)]))?(, )?", "", " ".join(signature.split()))
    elif usage := re.match(rf"(?:\w+\.)?{re.escape(leaf)}(\([^()]*\))", text):
        signature = usage[1]
    return _Definition(kind, text, signature)


def _merge(library: _Library) -> list[dict[str, Any]]:
    """One document for each text, with every name that it goes by."""
    groups: defaultdict[tuple[str, str], list[_Name]] = defaultdict(list)
    for name in library.public_names():
        leaf = name.target.rpartition(".")[2]
        text = library.definitions[name.target].text
        if text and not (leaf.startswith("__") and len(text.split()) < _FEWEST_WORDS_OF_A_DUNDER):
            groups[leaf, text].append(name)
    documents = [_document(library, sorted(n, key=lambda n: n.rank)) for n in groups.values()]
    return sorted(documents, key=lambda document: document["id"])


def _document(library: _Library, names: list[_Name]) -> dict[str, Any]:
    name, *others = names
    definition = library.definitions[name.target]
    is_function = definition.kind == "method" and not name.is_member
    kind = "function" if is_function else definition.kind
    metadata: dict[str, Any] = {"module": name.module, "kind": kind}
    if definition.signature:
        metadata["signature"] = definition.signature
    if others:
        metadata["aliases"] = sorted(other.text for other in others)
    # The words of the name: as one dotted word, it would match nothing that a person types.
    title = " ".join(re.split(r"[._]+", name.text)).strip()
    return {"id": name.text, "title": title, "text": definition.text, "metadata": metadata}
