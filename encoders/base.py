"""What an encoder is: text in, sparse vectors over a vocabulary out.

A score is the inner product of a query vector and a document vector. Encoders that need nothing
but the text (the neural ones) implement the two `encode` methods and `term`. Encoders that weigh by
the collection (BM25, and models that fold in its IDF) take part in two more agreements:

- documents are *drafted* batch by batch and *finished* once their segment is complete, because
  the average length is known only then;
- queries are weighed by the `Statistics` that `bind` hands over, so that they are always current.
"""

from __future__ import annotations

import hashlib
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from typing import Any, ClassVar, Protocol, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from lexidex.errors import ParameterError
from lexidex.index.vectors import Vectors

from .splitting import Spans, as_spans
from .vocabulary import Vocabulary

DEFAULT_ENCODER = "lexidex-mini"
"""What `Collection.create`, the command line and the server use unless told otherwise."""

Texts: TypeAlias = Sequence[str]

_WORD = re.compile(r"\w+")
_TOKEN = re.compile(r"\w+|[^\w\s]")


class Statistics(Protocol):
    """What query weights may depend on: counts over the documents searched."""

    @property
    def n_documents(self) -> int:
        """Number of documents."""

    def document_frequencies(self, components: NDArray[np.int32]) -> NDArray[np.int64]:
        """For each component, how many documents have it; int64, same shape."""


class Encoder(ABC):
    """Text -> vectors over a vocabulary; see the module's text for the agreements."""

    kind: ClassVar[str]
    """The name of the family, as `load_encoder` and saved encoders know it."""

    vocabulary: Vocabulary | None = None
    """The vocabulary that grows with the documents; None when the model fixes its own."""

    needs_statistics: ClassVar[bool] = False
    """Whether documents are weighed by their segment's average length, queries by `bind`."""

    costly: bool = True
    """Whether encoding a text takes longer than storing its vector, and depends on the text alone.
    A long write then keeps what it has encoded, and goes on from there when it is killed."""

    has_licence: bool = False
    """Whether there is a model that somebody has published under a licence."""

    takes_weights: ClassVar[bool] = False
    """Whether documents may bring drafts, {word: weight}, though they are finished later."""

    @property
    @abstractmethod
    def dim(self) -> int:
        """Number of components known at present; every vector's components lie below it."""

    @property
    def name(self) -> str:
        """What people call it: its kind, or the name of its model."""
        return self.kind

    @property
    def licence(self) -> str | None:
        """The licence that the model's card states, or None."""
        return None

    @property
    def trusts_remote_code(self) -> bool:
        """Whether code that the model's repository brings may run."""
        return False

    @property
    @abstractmethod
    def options(self) -> dict[str, Any]:
        """What `load_encoder(kind, **options)` needs to make this encoder again."""

    @property
    def fingerprint(self) -> str:
        """Equal for two encoders exactly when their vectors may stand in one collection."""
        return fingerprint_of(self.kind, self.options)

    @abstractmethod
    def encode_documents(self, texts: Texts) -> Vectors:
        """Document vectors, csr_array (len(texts), dim)."""

    @abstractmethod
    def encode_queries(self, texts: Texts) -> Vectors:
        """Query vectors, csr_array (len(texts), dim)."""

    @abstractmethod
    def term(self, component: int) -> str:
        """The word that a component stands for."""

    @abstractmethod
    def component(self, term: str) -> int | None:
        """The component that stands for a word, or None when there is none."""

    def weights_of_words(self, weights: Mapping[str, float]) -> Mapping[str, float]:
        """A vector that a document brings by words, as weights of terms; here they are the same."""
        return weights

    def fit(self, texts: Iterable[str]) -> Self:
        """Learn the statistics of `texts`; encoders that need none do nothing."""
        return self

    def draft_documents(self, texts: Texts) -> Vectors:
        """Document vectors that may still lack what only the whole segment tells."""
        return self.encode_documents(texts)

    def finish_documents(self, drafts: Vectors, average_length: float) -> Vectors:
        """Drafts as final document vectors, given the average row sum of the drafts around."""
        return drafts

    def bind(self, statistics: Statistics) -> Self:
        """This encoder with query weights taken from `statistics`; itself if it needs none."""
        return self

    def devices(self) -> list[str]:
        """Where it can compute on this machine, all of the best kind: "cpu", or each GPU."""
        return ["cpu"]

    def use_device(self, device: str) -> None:
        """Compute there from now on; ParameterError where it cannot."""
        if device not in self.devices():
            raise ParameterError(
                f"device: {device!r}; encoder {self.kind} computes on {', '.join(self.devices())}"
            )

    @property
    def idf_exponent(self) -> float:
        """How far the weights of queries are drawn towards the collection searched, from 0 to 1."""
        return 1.0 if self.needs_statistics else 0.0

    def warm_up(self) -> None:
        """Do now what would make a first query slow: load the model that encodes it."""
        self.encode_queries(["warm up"])

    def ignored_terms(self, text: str) -> list[str]:
        """Terms of a query that stand for no component and so cannot match anything."""
        return []

    def spans(self, text: str) -> list[tuple[int, int, int]]:
        """Where a text shows terms: (start, end, component), in code points, in order.

        Here a word shows the component that is named by its lower-case form. Encoders whose terms
        are stems or pieces of words find more.
        """
        found = ((word, self.component(word.group().lower())) for word in _WORD.finditer(text))
        return [(*word.span(), place) for word, place in found if place is not None]

    @property
    def reads_whole(self) -> bool:
        """Whether documents have to be read whole, because their ends are something else."""
        return False

    @property
    def max_tokens(self) -> int | None:
        """Tokens of a document that its vector is made of, the rest being cut off; None for all."""
        return None

    def token_spans(self, text: str) -> Spans:
        """Where the tokens of a text stand, however many; int64 (n, 2), see `Spans`.

        Here they are words, and marks that are none.
        """
        return as_spans(found.span() for found in _TOKEN.finditer(text))

    def use_vocabulary(self, vocabulary: Vocabulary) -> None:
        """Take the vocabulary of a collection as this encoder's own, if it has a growing one."""
        return

    def restore(self, state: dict[str, Any]) -> Self:
        """Take over the learned state that `save` wrote."""
        return self

    @abstractmethod
    def save(self, path: str | PathLike[str]) -> None:
        """Write what `load_encoder(path)` reads back."""


def fingerprint_of(*what: Any) -> str:
    """A fingerprint of JSON values."""
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:32]


def check_texts(texts: object) -> Texts:
    """`texts` as a list of strings; ParameterError names the first that is not one."""
    if isinstance(texts, str) or not isinstance(texts, Iterable):
        raise ParameterError(f"texts: expected a list of strings, got {type(texts).__name__}")
    checked = list(texts)
    for place, text in enumerate(checked):
        if not isinstance(text, str):
            raise ParameterError(f"texts[{place}]: expected a string, got {type(text).__name__}")
    return checked
