"""New models of published families: a pretrained backbone, and a head that is to be trained."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import replace
from os import PathLike
from pathlib import Path

import numpy as np

from lexidex.errors import ParameterError
from lexidex.index.vectors import Float32s

from .checkpoint_writer import write_table
from .layouts import own
from .layouts.settings import model_side
from .learned import LearnedEncoder
from .networks import network_class
from .presets import find_preset
from .recipe import SPECIAL, TABLE, Recipe, SideSpec
from .tokenizer import FILES, ModelTokenizer

QUERY_FOLDER = "query"
"""Where the query model of a family with two models lies."""

TABLE_FOLDER = "query_0_SparseStaticEmbedding"
"""Where a table of query weights lies."""


def create(
    preset: str,
    backbone: str | PathLike[str],
    path: str | PathLike[str],
    *,
    texts: Iterable[str] = (),
    max_length: int | None = None,
) -> None:
    """Make an untrained model of a published family, which `load_encoder(path)` loads.

    Heads that the backbone brings are taken, such as that for masked language modelling; others
    are random, after torch's seed.

    Args:
        preset: one of `lexidex.encoders.presets.PRESETS`.
        backbone: a folder in transformers' layout.
        path: the folder to write; not the backbone's own.
        texts: of which a table of query weights gets the inverse document frequencies, where the
            family has one; without any, all weights are 1.
        max_length: most tokens of a text; None for what the backbone takes.

    Raises:
        ParameterError: no such preset; the backbone is of a kind that the family cannot use.
        CorruptFile: the backbone cannot be loaded.
    """
    from .backbones import Source

    chosen, source, folder = find_preset(preset), Path(backbone), Path(path)
    if folder.exists() and folder.samefile(source):
        raise ParameterError(f"path: {str(path)!r} is the backbone's own folder; give another")
    network = network_class(chosen.documents.head).load(Source(source, untrained=True))
    places = [folder, folder / QUERY_FOLDER] if chosen.separate else [folder]
    for place in places:
        place.mkdir(parents=True, exist_ok=True)
        network.write(place)
        for name in FILES:
            if (source / name).is_file():
                shutil.copyfile(source / name, place / name)
    documents = _side(places[0], "document", chosen.documents, max_length)
    queries = _side(places[-1], "query", chosen.queries, max_length)
    if chosen.queries.head == TABLE:
        words = ModelTokenizer(folder, max_length=None, special_tokens=False)
        place = write_table(folder / TABLE_FOLDER, folder, idf_table(texts, words))
        queries = replace(queries, folder=place, table=place)
    own.write_description(folder, documents, queries)
    LearnedEncoder(folder).save(folder)


def idf_table(texts: Iterable[str], tokenizer: ModelTokenizer) -> Float32s:
    """Inverse document frequencies of tokens, float32 (terms,); of no texts, 1 for each.

    ln(1 + (N - df + 0.5) / (df + 0.5)), as BM25 has it; special tokens weigh nothing.
    """
    frequencies = np.zeros(len(tokenizer), dtype=np.int64)
    n_texts = 0
    for text in texts:
        frequencies[np.unique(np.array(tokenizer.pieces([text])[0], dtype=np.int64))] += 1
        n_texts += 1
    idf = np.ones(len(tokenizer), dtype=np.float32)
    if n_texts:
        idf = np.log1p((n_texts - frequencies + 0.5) / (frequencies + 0.5)).astype(np.float32)
    idf[list(tokenizer.special_ids((SPECIAL,)))] = 0
    return idf


def _side(folder: Path, task: str, recipe: Recipe, max_length: int | None) -> SideSpec:
    side = model_side(folder, task, recipe)
    return side if max_length is None else replace(side, max_length=max_length)
