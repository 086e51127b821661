"""How an encoder is put together: the parts that every learned sparse method is a choice of.

An encoder has a document side and a query side, chosen apart. A side is

    backbone -> head -> activation -> pooling over positions or repeats -> masked ids -> pruning

(Nguyen, MacAvaney and Yates, "A Unified Framework for Learned Sparse Retrieval", ECIR 2023, arXiv
2303.13416: their MLM, CLS-MLM, MLP and BINARY encoders; tables of weights came later).
`lexidex.encoders.presets` names the published choices.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from lexidex.errors import ParameterError

from .activations import check_activation
from .collection_idf import check_exponent
from .projection import POOLINGS
from .pruning import NO_PRUNING, Pruning, as_pruning

VOCABULARY_HEADS = ("mlm", "residual", "embeddings", "epic")
"""Heads that score the whole vocabulary at every position: texts are weighed and expanded."""

SCALAR = "scalar"
"""The head that gives every position one score, for the term that stands there: MLP."""

TABLE = "table"
BINARY = "binary"
"""Heads without a model: a weight for each term from a table, or 1."""

HEADS = (*VOCABULARY_HEADS, SCALAR, TABLE, BINARY)
TERMS = ("tokens", "words")
REPEATS = ("max", "sum", "first")
"""How the weights of a term that stands in a text several times become one."""

ROLES = ("cls", "sep", "pad", "unk", "mask")
"""Roles of special tokens; BERT's names, <s> is "cls" and </s> is "sep"."""


SPECIAL = "special"
"""Stands for the roles of all special tokens."""


@dataclass(frozen=True)
class Recipe:
    """What one side does with a text, wherever its files lie.

    Attributes:
        head: one of `HEADS`.
        activation: from scores to weights, see `lexidex.encoders.activations`.
        pooling: over positions ("max", "sum", "cls"), for "scalar" over repeats ("max", "sum",
            "first").
        terms: what components stand for: "tokens" of the tokenizer, or whole "words", in a
            vocabulary that grows.
        masked: roles of tokens that never get a weight, or `SPECIAL` for all of them.
        skipped: roles of tokens whose positions are not pooled.
        own_terms: whether only terms of the text itself get a weight: no expansion.
        collection_idf: how far weights from a table are drawn towards the collection searched,
            from 0 to 1; see `lexidex.encoders.collection_idf`.
        pruning: what is kept of the vector.
    """

    head: str = "mlm"
    activation: str = "relu"
    pooling: str = "max"
    terms: str = "tokens"
    masked: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    own_terms: bool = False
    collection_idf: float = 0.0
    pruning: Pruning = field(default=NO_PRUNING)

    def __post_init__(self) -> None:
        _one_of("head", self.head, HEADS)
        _one_of("pooling", self.pooling, REPEATS if self.head == SCALAR else POOLINGS)
        _one_of("terms", self.terms, TERMS)
        check_activation(self.activation)
        if check_exponent(self.collection_idf) and self.head != TABLE:
            raise ParameterError(
                f"collection_idf: {self.collection_idf!r}; only weights from a table are drawn "
                f"towards the collection, this side has head {self.head!r}"
            )
        for role in (*self.masked, *self.skipped):
            _one_of("masked", role, (*ROLES, SPECIAL))
        if self.terms == "words" and self.head not in (SCALAR, BINARY):
            raise ParameterError(f"terms: 'words'; head {self.head!r} weighs tokens")

    @property
    def has_model(self) -> bool:
        """Whether texts pass through a model."""
        return self.head not in (TABLE, BINARY)

    def described(self) -> dict[str, Any]:
        """As JSON values; what is as usual is left out."""
        changed = {
            f.name: getattr(self, f.name)
            for f in fields(self)
            if f.name == "head" or getattr(self, f.name) != f.default
        }
        if "pruning" in changed:
            changed["pruning"] = self.pruning.options
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in changed.items()
        }

    @classmethod
    def parse(cls, described: Mapping[str, Any]) -> Recipe:
        """What `described` gave.

        Raises:
            ParameterError: an unknown part, or a value that it cannot have.
        """
        known = {f.name for f in fields(cls)}
        unknown = sorted(set(described) - known)
        if unknown:
            raise ParameterError(f"{unknown[0]}: no part; known are {', '.join(sorted(known))}")
        parts = dict(described)
        for name in ("masked", "skipped"):
            parts[name] = tuple(parts.get(name, ()))
        parts["pruning"] = as_pruning(parts.get("pruning"))
        return cls(**parts)


@dataclass(frozen=True)
class SideSpec:
    """One side of a checkpoint: a recipe, and where what it needs lies.

    Attributes:
        folder: holds the tokenizer, and config.json and weights where there is a model.
        recipe: what is done with texts.
        max_length: most tokens of a text, special ones included; None for any number.
        positions: most tokens that the model can take; None for any number.
        prompt: what each text is preceded by.
        lowercase: whether texts are lower-cased whatever the tokenizer's file says.
        pooling_folder: where sentence-transformers keeps the pooling's settings.
        table: the folder that holds a tensor of weights, or the file {token: weight}.
        adapter: a folder with a LoRA adapter, merged into the weights when they load.
    """

    folder: Path
    recipe: Recipe
    max_length: int | None
    positions: int | None = None
    prompt: str = ""
    lowercase: bool = False
    pooling_folder: Path | None = None
    table: Path | None = None
    adapter: Path | None = None

    def with_recipe(self, **parts: Any) -> SideSpec:
        """This side with parts of the recipe changed."""
        return replace(self, recipe=replace(self.recipe, **parts))


@dataclass(frozen=True)
class JointSpec:
    """The dense model beside a sparse one, see `lexidex.encoders.joint`.

    Attributes:
        folder: config.json, and the weights of the layers that are not shared.
        shared_layers: how many of the sparse model's lowest layers it stands on.
    """

    folder: Path
    shared_layers: int


@dataclass(frozen=True)
class Checkpoint:
    """A folder, and how its documents and its queries are encoded.

    Attributes:
        folder: where everything else lies, or most of it.
        documents: of the folder.
        queries: of the folder, or of another where two were joined.
        licence: what the model's card states.
        undecided: what the files do not tell and has to be given; None where they tell everything.
        joint: the dense model that shares layers with the documents' model; None without one.
    """

    folder: Path
    documents: SideSpec
    queries: SideSpec
    licence: str | None = None
    undecided: str | None = None
    joint: JointSpec | None = None


def _one_of(name: str, value: object, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ParameterError(f"{name}: {value!r}; known are {', '.join(known)}")
