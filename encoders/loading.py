"""`load_encoder`, `load_dense_encoder`: from a name, a folder or a hub id to an encoder."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from importlib import import_module
from os import PathLike, fspath
from pathlib import Path
from typing import Any, TypeAlias, TypeVar, get_args, get_type_hints

from lexidex.errors import CorruptFile, EncoderNotFound, ParameterError

from .base import Encoder
from .checkpoint import is_checkpoint
from .dense import DenseEncoder
from .hub import looks_like_hub_id
from .layouts.own import has_dense_side
from .saved import DESCRIPTION, read_description
from .shipped import SHIPPED, shipped_folder

T = TypeVar("T")

Kinds: TypeAlias = Mapping[str, tuple[str, str]]
"""Modules and classes of families, by the families' names."""

KINDS: Kinds = {
    "bm25": ("lexidex.encoders.bm25", "BM25Encoder"),
    "deepct": ("lexidex.encoders.deepct", "DeepCTEncoder"),
    "learned": ("lexidex.encoders.learned", "LearnedEncoder"),
    "vectors": ("lexidex.encoders.ready_made", "ReadyMadeEncoder"),
}
"""Families of encoders, by name; their modules load when they are asked for."""

DENSE_MODEL = "model"

DENSE_OF_JOINT = "dense-of-joint"

DENSE_KINDS: Kinds = {
    DENSE_MODEL: ("lexidex.encoders.dense_model", "DenseModelEncoder"),
    DENSE_OF_JOINT: ("lexidex.encoders.joint", "DenseOfJoint"),
}
"""The same of dense encoders."""


def load_encoder(name: str | PathLike[str], **options: Any) -> Encoder:
    """The encoder of that name, in that folder, or with that id on the model hub.

    Args:
        name: "lexidex-mini", "bm25", "vectors"; a folder written by `Encoder.save`, or with a model
            in sentence-transformers' or transformers' layout; or organisation/model on the hub.
        options: the family's own, such as `language` for bm25 or `max_length` for a model; over a
            saved encoder they replace its own.

    Raises:
        EncoderNotFound: no such name, no such folder, and no such model that can be reached.
        ParameterError: an option that the family does not have, or out of its range; a model of
            a kind that cannot be loaded.
        CorruptFile: a file of the encoder is missing, truncated or does not belong to the others.
    """
    name = fspath(name)
    if name in KINDS:
        return _make(name, _harmless(options))
    if name in SHIPPED:
        return _make("learned", {"path": name} | options)
    folder = Path(name)
    if (folder / DESCRIPTION).is_file():
        described = read_description(folder)
        encoder = _make(described["kind"], _harmless(described["options"]) | options)
        try:
            return encoder.restore(described["state"])
        except (KeyError, TypeError, ValueError) as error:
            raise CorruptFile(f"{folder / DESCRIPTION}: its state is unusable: {error!r}") from None
    if is_checkpoint(folder) or (looks_like_hub_id(name) and not folder.exists()):
        return _make("learned", {"path": name} | options)
    raise EncoderNotFound(
        f"encoder {name!r}: not one of {', '.join(sorted([*KINDS, *SHIPPED]))}, not "
        f"organisation/model, and no folder with a {DESCRIPTION}, modules.json or config.json"
    )


def load_dense_encoder(name: str | PathLike[str], **options: Any) -> DenseEncoder:
    """The dense encoder in that folder, or with that id on the model hub.

    Args:
        name: a folder in sentence-transformers' or transformers' layout, organisation/model on the
            hub; "lexidex-mini", or the folder of another joint model, for its dense side; or the
            kind of a dense encoder together with its options.
        options: such as `pooling` and `max_length`.

    Raises:
        EncoderNotFound, ParameterError, CorruptFile: as `load_encoder`.
    """
    name = fspath(name)
    if name in DENSE_KINDS:
        kind, given = name, _harmless(options)
    else:
        joint = has_dense_side(shipped_folder(name) or Path(name))
        kind, given = DENSE_OF_JOINT if joint else DENSE_MODEL, {"path": name} | options
    return _make_dense(kind, given)


def load_stored_encoder(
    kind: str, options: dict[str, Any], trust_remote_code: bool = False
) -> Encoder:
    """The encoder that a collection or a file describes by its kind and options.

    Args:
        kind, options: as `Encoder.kind` and `Encoder.options` gave them.
        trust_remote_code: whether code that its model's repository brings may run. Whoever opens
            the collection says so, each time; nothing that is stored can.

    Raises:
        EncoderNotFound, ParameterError, CorruptFile: as `load_encoder`.
    """
    return _make(kind, _harmless(options) | _trust(KINDS, kind, trust_remote_code))


def load_stored_dense_encoder(
    kind: str, options: dict[str, Any], trust_remote_code: bool = False
) -> DenseEncoder:
    """As `load_stored_encoder`, of a dense encoder."""
    given = _harmless(options) | _trust(DENSE_KINDS, kind, trust_remote_code)
    return _make_dense(kind, given)


def _trust(kinds: Kinds, kind: str, trusted: bool) -> dict[str, bool]:
    """The option that tells a family whether code may run; none where it never runs any."""
    if not trusted or kind not in kinds:
        return {}
    parameters = inspect.signature(_family(kinds, kind, "encoder").__init__).parameters
    return {"trust_remote_code": True} if "trust_remote_code" in parameters else {}


def _harmless(stored: dict[str, Any]) -> dict[str, Any]:
    """Options that may come from a file, which must not be able to have code run."""
    if stored.get("trust_remote_code"):
        raise ParameterError(
            "trust_remote_code: give it together with the model's folder or hub id; a stored "
            "encoder cannot ask for it"
        )
    return stored


def text_options() -> set[str]:
    """Names of options, of any family, whose values are texts, though they may look like others."""
    both = KINDS, DENSE_KINDS
    families = (_family(kinds, kind, "encoder") for kinds in both for kind in kinds)
    hints = (hint for family in families for hint in get_type_hints(family.__init__).items())
    return {name for name, hint in hints if str in (hint, *get_args(hint))}


def _make(kind: str, options: dict[str, Any]) -> Encoder:
    family: type[Encoder] = _family(KINDS, kind, "encoder")
    return _built(family, f"encoder {kind}", options)


def _make_dense(kind: str, options: dict[str, Any]) -> DenseEncoder:
    family: type[DenseEncoder] = _family(DENSE_KINDS, kind, "dense encoder")
    return _built(family, "dense encoder", options)


def _family(kinds: Kinds, kind: str, what: str) -> type[Any]:
    """The class of a family, whose module loads now."""
    if kind not in kinds:
        raise EncoderNotFound(f"{what} kind {kind!r}: known are {', '.join(sorted(kinds))}")
    module, class_name = kinds[kind]
    family: type[Any] = getattr(import_module(module), class_name)
    return family


def _built(family: type[T], what: str, options: dict[str, Any]) -> T:
    """An encoder of a family, once its options are known to be its own."""
    parameters = inspect.signature(family.__init__).parameters
    known = [name for name in parameters if name != "self"]
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise ParameterError(
            f"{what}: unknown option {unknown[0]!r}; it has {', '.join(known) or 'none'}"
        )
    for name in known:
        if parameters[name].default is inspect.Parameter.empty and name not in options:
            raise ParameterError(f"{what}: the option {name!r} has to be given")
    return family(**options)
