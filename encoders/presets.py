"""Every published method by name: which parts its document side and its query side are made of.

A preset tells how a checkpoint is to be taken, where its files do not (`load_encoder(path,
preset="splade-doc")`), and how a new model is made (`lexidex.encoders.creation.create`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from lexidex.errors import ParameterError

from .pruning import Pruning
from .recipe import BINARY, SCALAR, SPECIAL, TABLE, Checkpoint, Recipe, SideSpec


@dataclass(frozen=True)
class Preset:
    """A published method.

    Attributes:
        documents: how documents are encoded.
        queries: how queries are.
        source: where it is published.
        separate: whether the sides have models of their own.
    """

    documents: Recipe
    queries: Recipe
    source: str
    separate: bool = False


_MLM = Recipe()
_V3 = Recipe(activation="log1p_relu")
_BINARY = Recipe(BINARY, masked=(SPECIAL,))
_TABLE = Recipe(TABLE)
_WORDS = Recipe(SCALAR, "linear", terms="words")
_FIRST = replace(_WORDS, pooling="first")
_TOKENS = Recipe(SCALAR, "linear", masked=("cls", "pad"))
_BGE = Recipe(SCALAR, "linear", masked=("cls", "pad", "sep", "unk"))
_EPIC = Recipe("epic", "softplus", skipped=(SPECIAL,), pruning=Pruning(top_k=1000))
_SPARTA = Recipe("embeddings", masked=(SPECIAL,), pruning=Pruning(top_k=2000))


def _both(recipe: Recipe, source: str, *, separate: bool = False) -> Preset:
    return Preset(recipe, recipe, source, separate)


PRESETS = {
    "splade": _both(replace(_MLM, pooling="sum"), "arXiv 2107.05720"),
    "splade-max": _both(_MLM, "arXiv 2109.10086, 2205.04733, 2403.06789"),
    "splade-doc": Preset(_MLM, _BINARY, "arXiv 2109.10086"),
    "splade-lexical": Preset(
        _MLM, replace(_MLM, own_terms=True, masked=(SPECIAL,)), "arXiv 2403.06789"
    ),
    "splade-top-k": Preset(
        replace(_MLM, pruning=Pruning(top_k=32)),
        replace(_MLM, pruning=Pruning(top_k=5)),
        "arXiv 2304.12702",
    ),
    "efficient-splade": _both(_MLM, "arXiv 2207.03834", separate=True),
    "cls-mlm": _both(replace(_MLM, pooling="cls"), "arXiv 2303.13416"),
    "inference-free-v1": Preset(_MLM, _TABLE, "arXiv 2411.04403"),
    "inference-free-v2": Preset(_MLM, _TABLE, "arXiv 2411.04403"),
    "inference-free-v3": Preset(_V3, _TABLE, "arXiv 2504.14839"),
    "li-lsr": Preset(_MLM, _TABLE, "arXiv 2505.01452"),
    "unicoil": Preset(_TOKENS, replace(_TOKENS, pooling="sum"), "arXiv 2106.14807"),
    "tilde-v2": Preset(_TOKENS, _BINARY, "arXiv 2108.08513"),
    "deep-impact": Preset(_FIRST, Recipe(BINARY, terms="words"), "arXiv 2104.12016"),
    "deeper-impact": Preset(_FIRST, Recipe(BINARY, terms="words"), "arXiv 2405.17093"),
    "deepct": Preset(_WORDS, Recipe(BINARY, terms="words"), "arXiv 1910.10687"),
    "epic": Preset(
        _EPIC,
        Recipe(SCALAR, "softplus", "sum", masked=(SPECIAL,)),
        "arXiv 2004.14245",
    ),
    "sparta": Preset(_SPARTA, _BINARY, "arXiv 2009.13013"),
    "bge-m3": _both(_BGE, "arXiv 2402.03216"),
}
"""Published methods by name."""


def find_preset(name: object) -> Preset:
    """The preset of that name.

    Raises:
        ParameterError: there is none.
    """
    if not isinstance(name, str) or name not in PRESETS:
        raise ParameterError(f"preset: {name!r}; known are {', '.join(PRESETS)}")
    return PRESETS[name]


def apply_preset(checkpoint: Checkpoint, name: str) -> Checkpoint:
    """The checkpoint, its files taken as those of a published method.

    Raises:
        ParameterError: no such preset, or one whose query weights the checkpoint lacks.
    """
    preset = find_preset(name)
    documents = _taken(checkpoint.documents, preset.documents)
    queries, wanted = checkpoint.queries, preset.queries
    if wanted.head == TABLE and queries.recipe.head != TABLE:
        raise ParameterError(
            f"preset: {name!r}; {checkpoint.folder} has no table of query weights, such as idf.json"
        )
    if wanted.head != queries.recipe.head and not (wanted.has_model and queries.recipe.has_model):
        queries = replace(documents, prompt=queries.prompt)
    queries = _taken(queries, wanted)
    return replace(checkpoint, documents=documents, queries=queries, undecided=None)


def _taken(side: SideSpec, recipe: Recipe) -> SideSpec:
    """A side by another recipe, but for what its own files are.

    A residual network is a part of the head that was trained, and which tokens of a table do not
    count depends on the layout that the table came in.
    """
    if side.recipe.head == "residual" and recipe.head == "mlm":
        recipe = replace(recipe, head="residual")
    if recipe.head == TABLE:
        recipe = replace(recipe, masked=side.recipe.masked)
    table = side.table if recipe.head == TABLE or recipe.own_terms else None
    return replace(side, recipe=recipe, table=table)
