"""The standard library's modules that are written in C, inspected from a fixed list."""

from __future__ import annotations

import importlib
import inspect
import re
import types

from .stdlib_names import Definition, Library

# Types written in C to which only a module in Python gives a name.
COMPILED_TYPES = {
    ("re", "Match"): re.Match,
    ("re", "Pattern"): re.Pattern,
    ("types", "AsyncGeneratorType"): types.AsyncGeneratorType,
    ("types", "CoroutineType"): types.CoroutineType,
    ("types", "GeneratorType"): types.GeneratorType,
    ("types", "MappingProxyType"): types.MappingProxyType,
    ("types", "SimpleNamespace"): types.SimpleNamespace,
}


class CompiledReader:
    """Enters the functions and types of modules written in C into the library."""

    def __init__(self, library: Library) -> None:
        """Read into `library`."""
        self._library = library
        self._known: dict[int, str] = {}  # identity of the object -> its first name

    def read(self, module: str) -> None:
        """Add a module, where this Python has it."""
        try:
            namespace = vars(importlib.import_module(module))
        except ImportError:
            return
        text = inspect.cleandoc(namespace["__doc__"] or "")
        self._library.define("", module, Definition("module", text))
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


def _compiled_definition(kind: str, leaf: str, value: object) -> Definition:
    text = inspect.cleandoc(value.__doc__) if isinstance(value.__doc__, str) else ""
    signature = getattr(value, "__text_signature__", None)
    if signature:
        signature = re.sub(r"\$\w+(, /(?=[,)]))?(, )?", "", " ".join(signature.split()))
    elif usage := re.match(rf"(?:\w+\.)?{re.escape(leaf)}(\([^()]*\))", text):
        signature = usage[1]
    return Definition(kind, text, signature)
