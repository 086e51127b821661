"""What a recipe trains on and what it measures on, from its `data` and `held_out` sections."""

from __future__ import annotations

from pathlib import Path

from lexidex.errors import InputError, ParameterError
from lexidex.sources import Reader

from .made_queries import make_queries
from .pairs import Pairs, draw, hold_out, join, read_pairs, text_id
from .recipe import TrainingRecipe


def read_data(recipe: TrainingRecipe) -> tuple[Pairs, Pairs]:
    """What a recipe trains on, and what it measures on.

    Queries are made of what is trained on alone, so that what is held out stays what it is
    without them.

    Raises:
        ParameterError: the recipe names no data, or limits for what it does not name.
        InputError: they cannot be read.
    """
    data, seed = recipe.data, recipe.training.seed
    if not data.pairs:
        raise ParameterError("data.pairs: none given; name files or folders of pairs (--data)")
    named = {Path(path).name for path in (*data.pairs, *data.texts)}
    unknown = sorted(set(data.limits) - named)
    if unknown:
        raise ParameterError(
            f"data.limits.{unknown[0]}: no such file or folder in data.pairs or data.texts"
        )
    pairs = _joined(
        [_drawn(read_pairs(Path(path), data.split), path, recipe) for path in data.pairs]
    )
    training, held_out = hold_out(pairs, recipe.held_out.queries, recipe.held_out.documents, seed)
    return _with_made_queries(training, held_out, recipe), held_out


def read_texts(path: Path) -> Pairs:
    """Documents without queries, from what `lexidex index` reads.

    Raises:
        InputError: nothing usable is there, or a record is bad; names it.
    """
    reader = Reader([path], on_duplicate="last")
    texts = dict.fromkeys(document.full_text for document in reader)
    if reader.bad:
        raise InputError(f"{reader.bad[0].place}: {reader.bad[0].reason}")
    texts.pop("", None)
    if not texts:
        raise InputError(f"{path}: no texts in it")
    return Pairs([], [], [text_id(text) for text in texts], list(texts), [])


def _with_made_queries(training: Pairs, held_out: Pairs, recipe: TrainingRecipe) -> Pairs:
    """The training data with further texts, and the queries made of these and of its own."""
    data, seed, own = recipe.data, recipe.training.seed, len(training.documents)
    answers = {held_out.document_ids[row] for rows in held_out.positives for row in rows.tolist()}
    for path in data.texts:
        texts = _drawn(read_texts(Path(path)), path, recipe)
        new = [row for row, name in enumerate(texts.document_ids) if name not in answers]
        training = join([training, texts.of_documents(new)])
    training = make_queries(training, range(own), data.made_of_pairs, seed)
    return make_queries(training, range(own, len(training.documents)), data.made_of_texts, seed)


def _drawn(pairs: Pairs, path: str, recipe: TrainingRecipe) -> Pairs:
    """As many documents of a source as the recipe wants."""
    limit = recipe.data.limits.get(Path(path).name, recipe.data.limit)
    return pairs if limit is None else draw(pairs, limit, recipe.training.seed)


def _joined(parts: list[Pairs]) -> Pairs:
    return parts[0] if len(parts) == 1 else join(parts)
