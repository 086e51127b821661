"""From what a checkpoint is made of to the two sides that encode."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lexidex.errors import CorruptFile, ParameterError
from lexidex.index.vectors import Float32s

from .collection_idf import IDF_FILE, CollectionIdf, read_trained_idf
from .language_model import LanguageModel
from .projection import Pooling
from .recipe import BINARY, SCALAR, TABLE, Checkpoint, SideSpec
from .sides import ModelSide, ScalarSide, Side
from .static import BinaryWordSide, StaticSide, read_table
from .terms import Terms, TokenTerms, WordTerms
from .tokenizer import ModelTokenizer
from .vocabulary import Vocabulary


class Assembly:
    """Makes sides; models and tokenizers that both use are one object."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        delimiter: str | None = None,
        batch_tokens: int = 1024,
        trust_remote_code: bool = False,
        backend: str = "auto",
    ) -> None:
        """Take a checkpoint.

        Args:
            checkpoint: with all settings in force.
            delimiter: what stands between a document's text and its expansion.
            batch_tokens: tokens that pass through a model together.
            trust_remote_code: whether code from the model's repository may run.
            backend: what runs models.

        Raises:
            ParameterError: documents have words for terms and queries tokens; or an expansion for
                a model that makes its own.
        """
        self._checkpoint = checkpoint
        self._delimiter = delimiter
        self._batch_tokens = batch_tokens
        self._trust_remote_code = trust_remote_code
        self._backend = backend
        self._models: dict[tuple[Path, Path | None, str], LanguageModel] = {}
        documents, queries = checkpoint.documents.recipe, checkpoint.queries.recipe
        if documents.terms != queries.terms:
            raise ParameterError(
                f"{checkpoint.folder}: documents have {documents.terms} for terms, queries "
                f"{queries.terms}"
            )
        if not isinstance(delimiter, str | None):
            raise ParameterError(f"expansion_delimiter: {delimiter!r}; expected a text")
        if delimiter is not None and (documents.head != SCALAR or not delimiter):
            raise ParameterError(
                f"expansion_delimiter: {delimiter!r}; only models that weigh a text's own terms "
                "take an expansion, after some text that is not empty"
            )

    def use_device(self, device: str) -> None:
        """Compute on that device of torch's from now on."""
        for model in self._models.values():
            model.use_device(device)

    def sides(self, vocabulary: Vocabulary) -> tuple[Side, Side]:
        """The document and the query side; one object where they do the same.

        Args:
            vocabulary: of words, where terms are words; grows with documents.
        """
        specs = self._checkpoint.documents, self._checkpoint.queries
        documents = self._side(specs[0], None, vocabulary, is_document=True)
        if specs[0] == specs[1] and self._delimiter is None and specs[0].recipe.terms == "tokens":
            return documents, documents
        queries = self._side(specs[1], documents.dim, vocabulary, is_document=False)
        if queries.dim != documents.dim:
            raise CorruptFile(
                f"{self._checkpoint.folder}: documents have {documents.dim} terms, queries "
                f"{queries.dim}; they do not belong together"
            )
        return documents, queries

    def _side(
        self, spec: SideSpec, dim: int | None, vocabulary: Vocabulary, *, is_document: bool
    ) -> Side:
        recipe, prompt = spec.recipe, spec.prompt
        words = _tokenizer(spec, "max_length" if is_document else "query_max_length")
        masked = words.special_ids(recipe.masked)
        delimiter = self._delimiter if is_document else None
        if recipe.terms == "words":
            by_word = WordTerms(words, vocabulary, grow=is_document, delimiter=delimiter)
            if recipe.head == BINARY:
                return BinaryWordSide(by_word, prompt)
            return self._scalar_side(spec, by_word)
        if recipe.head == SCALAR:
            return self._scalar_side(spec, TokenTerms(words, masked, delimiter))
        table = _table(spec, words, masked)
        if not recipe.has_model:
            assert table is not None
            idf = _collection_idf(spec, table.size)
            return StaticSide(
                words, table, dim, prompt, learned=recipe.head == TABLE, collection_idf=idf
            )
        return ModelSide(
            self._model(spec),
            words,
            Pooling(recipe.pooling, recipe.activation, words.special_ids(recipe.skipped)),
            prompt,
            self._batch_tokens,
            masked=() if recipe.own_terms else masked,
            own_terms=table,
        )

    def _scalar_side(self, spec: SideSpec, terms: Terms) -> ScalarSide:
        recipe = spec.recipe
        return ScalarSide(
            self._model(spec),
            terms,
            recipe.activation,
            recipe.pooling,
            spec.prompt,
            self._batch_tokens,
        )

    def models(self) -> dict[SideSpec, LanguageModel]:
        """The models of the sides that have one."""
        sides = (self._checkpoint.documents, self._checkpoint.queries)
        return {side: self._model(side) for side in sides if side.recipe.has_model}

    def _model(self, spec: SideSpec) -> LanguageModel:
        sides = (self._checkpoint.documents, self._checkpoint.queries)
        heads = [side.recipe.head for side in sides if side.folder == spec.folder]
        head = "epic" if "epic" in heads else spec.recipe.head  # it serves both sides
        known = spec.folder, spec.adapter, head
        if known not in self._models:
            self._models[known] = LanguageModel(
                spec.folder,
                self._trust_remote_code,
                self._checkpoint.licence,
                head=head,
                adapter=spec.adapter,
                backend=self._backend,
            )
        return self._models[known]


def _tokenizer(spec: SideSpec, length_name: str) -> ModelTokenizer:
    return ModelTokenizer(
        spec.folder,
        max_length=spec.max_length,
        special_tokens=spec.recipe.has_model,
        lowercase=spec.lowercase,
        length_name=length_name,
    )


def _table(spec: SideSpec, tokenizer: ModelTokenizer, masked: tuple[int, ...]) -> Float32s | None:
    """What each token is multiplied by, or weighs; None where every term counts."""
    if not spec.recipe.own_terms and spec.recipe.has_model:
        return None
    if spec.table is None:
        table = np.ones(len(tokenizer), dtype=np.float32)
    else:
        table = read_table(spec.table, tokenizer)
    table[list(masked)] = 0
    return table


def _collection_idf(spec: SideSpec, n_terms: int) -> CollectionIdf | None:
    """How the side's weights depend on the collection.

    Raises:
        ParameterError: they are to, but what the table was learned from is not known.
    """
    exponent = spec.recipe.collection_idf
    if not exponent:
        return None
    trained = None if spec.table is None else read_trained_idf(spec.table, n_terms)
    if trained is None:
        raise ParameterError(
            f"collection_idf: {exponent!r}; {spec.table or spec.folder} lacks {IDF_FILE}, the "
            "frequencies that its weights were learned with"
        )
    return CollectionIdf(exponent, trained)
