"""The documentation of the running Python's standard library, as a collection to search.

Every machine that runs Lexidex has these documents, so a demonstration needs no download.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from .stdlib_compiled import COMPILED_TYPES, CompiledReader
from .stdlib_names import COMPILED_MODULES, Library, Name
from .stdlib_sources import SourceReader, source_files

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
    that of `__init__`) and `metadata`: `module`, `kind` (module, class, function, method or
    property), `signature` where it is known, and `aliases` where the same text goes by further
    names. `progress` is called with (modules read, modules in all).

    Raises:
        NotFound: this Python comes without its source files.
    """
    library = Library()
    compiled = CompiledReader(library)
    files = source_files()
    total = len(files) + len(COMPILED_MODULES)
    for done, (module, path) in enumerate(files, start=1):
        SourceReader(library, module, path).read()
        if progress:
            progress(done, total)
    for done, module in enumerate(COMPILED_MODULES, start=len(files) + 1):
        compiled.read(module)
        if progress:
            progress(done, total)
    for (module, leaf), value in COMPILED_TYPES.items():
        compiled.read_object(module, leaf, value)
    for (module, leaf), target in _BOUND_AT_RUN_TIME.items():
        library.offer(module, leaf, target)
    for module, type_name in _INSTANCE_AS_MODULE.items():
        library.scopes[module].stars.append(type_name)
    return _merge(library)


def _merge(library: Library) -> list[dict[str, Any]]:
    """One document for each text, with every name that it goes by."""
    groups: defaultdict[tuple[str, str], list[Name]] = defaultdict(list)
    for name in library.public_names():
        leaf = name.target.rpartition(".")[2]
        text = library.definitions[name.target].text
        if text and not (leaf.startswith("__") and len(text.split()) < _FEWEST_WORDS_OF_A_DUNDER):
            groups[leaf, text].append(name)
    documents = [_document(library, sorted(n, key=lambda n: n.rank)) for n in groups.values()]
    return sorted(documents, key=lambda document: document["id"])


def _document(library: Library, names: list[Name]) -> dict[str, Any]:
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
