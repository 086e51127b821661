"""Names in a library: what defines them, and by which of them programs reach a thing.

`Library.public_names` walks the modules as a user sees them, so that what `asyncio.tasks` or
`_collections_abc` defines goes by the name that programs use.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import NamedTuple

# fmt: off
# Public by their spelling only: programs reach what these define through another module.
_BEHIND_OTHERS = frozenset((
    "genericpath", "nt", "ntpath", "nturl2path", "opcode", "posix", "posixpath", "pyexpat",
    "sre_compile", "sre_constants", "sre_parse",
))
# Built-in and extension modules. Those that this Python or platform lacks are passed over.
COMPILED_MODULES = (
    "builtins", "_blake2", "_bz2", "_codecs", "_collections", "_contextvars", "_csv", "_ctypes",
    "_curses", "_curses_panel", "_decimal", "_functools", "_hashlib", "_heapq", "_io", "_locale",
    "_lzma", "_operator", "_pickle", "_queue", "_random", "_signal", "_socket", "_sqlite3", "_ssl",
    "_stat", "_string", "_struct", "_thread", "_tracemalloc", "_warnings", "_weakref", "array",
    "atexit", "binascii", "cmath", "errno", "faulthandler", "fcntl", "gc", "grp", "itertools",
    "marshal", "math", "mmap", "msvcrt", "nt", "posix", "pwd", "pyexpat", "resource", "select",
    "sys", "syslog", "termios", "time", "unicodedata", "winreg", "winsound", "zlib",
)
# fmt: on


@dataclass(frozen=True)
class Definition:
    """What a module, class, function, method or property says of itself ("" for nothing)."""

    kind: str
    text: str
    signature: str | None = None


@dataclass
class Scope:
    """The names that a module or a class binds, apart from those of its base classes."""

    is_class: bool
    defined: set[str] = field(default_factory=set)
    borrowed: set[str] = field(default_factory=set)  # imported, or another name for something
    stars: list[str] = field(default_factory=list)
    bases: list[str] = field(default_factory=list)
    listed: set[str] = field(default_factory=set)  # __all__, as far as it can be read
    is_listed_in_full: bool = False


class Name(NamedTuple):
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


class Library:
    """All definitions by the names of their places, and how other names lead to them."""

    def __init__(self) -> None:
        """Start with no definition."""
        self.definitions: dict[str, Definition] = {}
        self.scopes: dict[str, Scope] = {}
        self._bindings: dict[str, list[str]] = {}
        self._instances: dict[str, str] = {}
        self._documented_as: dict[str, str] = {}
        self._resolved: dict[str, str | None] = {}
        self._named: set[str] = set()

    def define(self, scope: str, leaf: str, definition: Definition) -> str:
        """Note what a scope ("" for a module) defines, and return its full name."""
        name = f"{scope}.{leaf}" if scope else leaf
        self.definitions[name] = definition
        if scope:
            self.scopes[scope].defined.add(leaf)
        if definition.kind in ("module", "class"):
            self.scopes[name] = Scope(definition.kind == "class")
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

    def public_names(self) -> list[Name]:
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

    def _reachable(self) -> list[Name]:
        self._resolved.clear()
        found: dict[str, Name] = {}
        for module, scope in sorted(self.scopes.items()):
            if not scope.is_class and not _is_hidden(module):
                for name in self._walk(module, module, module):
                    found.setdefault(name.text, name)
        return list(found.values())

    def _walk(self, text: str, target: str, module: str) -> Iterator[Name]:
        """A definition that goes by `text`, and what is reached through it."""
        yield Name(text, target, module)
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
            if is_unnamed or base.partition(".")[0] in COMPILED_MODULES:
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
