"""transformers' layout: config.json, weights and a tokenizer, and what stands beside them.

- A masked language model alone is SPLADE-max with relu, as sentence-transformers takes it; a model
  in `query/` or `query_model/` is the query side (naver's and light-splade's trainers).
- idf.json or query_token_weights.txt beside it: OpenSearch's inference-free queries. Which
  activation documents have is in no file, and has to be given.
- Weights of a scalar head, under the names of their authors: uniCOIL (TILDEv2's are the same),
  DeepImpact, DeeperImpact; BGE-M3's in a file of its own.
"""

from __future__ import annotations

from pathlib import Path

from ..presets import PRESETS
from ..recipe import SPECIAL, TABLE, Recipe, SideSpec
from ..scalar_weights import published_family
from .settings import CONFIG, model_side, tokenizer_says

TABLES = ("idf.json", "query_token_weights.txt")
_QUERY_FOLDERS = ("query", "query_model")

UNDECIDED = (
    "these files do not tell whether weights have one logarithm or two: give activation="
    '"relu" (OpenSearch\'s doc-v1 and doc-v2) or "log1p_relu" (doc-v3)'
)


def read_sides(folder: Path) -> tuple[SideSpec, SideSpec, str | None]:
    """The document side, the query side, and what is left to be given, of a checkpoint.

    Raises:
        CorruptFile: a file is missing or unreadable.
    """
    family = published_family(folder)
    if family is not None:
        preset = PRESETS[family]
        documents = model_side(folder, "document", preset.documents)
        queries = model_side(folder, "query", preset.queries)
        return documents, queries, None
    documents = model_side(folder, "document", Recipe())
    for name in TABLES:
        if (folder / name).is_file():
            recipe = Recipe(TABLE, masked=(SPECIAL,))
            queries = SideSpec(folder, recipe, tokenizer_says(folder), table=folder / name)
            return documents, queries, UNDECIDED
    for name in _QUERY_FOLDERS:
        if (folder / name / CONFIG).is_file():
            return documents, model_side(folder / name, "query", Recipe()), None
    return documents, model_side(folder, "query", Recipe()), None
