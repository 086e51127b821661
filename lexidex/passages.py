"""How long documents are treated: as several passages, as the best of them in one, or cut off."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields, replace
from typing import Literal, Self, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from lexidex.encoders import Encoder
from lexidex.encoders.splitting import Spans, split_text
from lexidex.errors import ParameterError
from lexidex.index.vectors import Components, Float32s, Vectors, csr

from .documents import Document

Mode: TypeAlias = Literal["split", "max", "truncate"]
Vector: TypeAlias = tuple[Components, Float32s]


@dataclass(frozen=True, slots=True)
class PassageParams:
    """What becomes of documents that have more than so many tokens. Others are one passage.

    Attributes:
        mode: "split": several passages, whole sentences each, with a vector each; a document's
            score is that of its best (MaxP). "max": one vector, which has of each component the
            largest weight in any of these passages (representation-max; for bm25, the largest term
            frequency). "truncate": one vector, of the beginning alone.
        tokens: most tokens of a passage, with the title, which each begins with, as the encoder
            counts them (bm25: words); None for as many as the encoder reads.
        overlap: most tokens that a passage repeats of the one before, as whole sentences; up to
            half a passage.

    Raises:
        ParameterError: one of them is out of its range.
    """

    mode: Mode = "split"
    tokens: int | None = None
    overlap: int = 32

    def __post_init__(self) -> None:
        if self.mode not in get_args(Mode):
            known = ", ".join(get_args(Mode))
            raise ParameterError(f"passages: mode {self.mode!r}; choose among {known}")
        if self.tokens is not None and not _is_number(self.tokens, 1):
            raise ParameterError(f"passages: tokens {self.tokens!r}; expected an integer above 0")
        if not _is_number(self.overlap, 0):
            raise ParameterError(
                f"passages: overlap {self.overlap!r}; expected an integer, 0 or more"
            )

    @classmethod
    def parse(cls, text: str) -> Self:
        """From "split", "split,tokens=200" or "split,tokens=200,overlap=20".

        Raises:
            ParameterError: it is of another form.
        """
        mode, *settings = (part.strip() for part in text.split(","))
        numbers = [one.name for one in fields(cls) if one.name != "mode"]
        given = {}
        for setting in settings:
            name, _, value = setting.partition("=")
            if name not in numbers or name in given or not value.isdecimal():
                expected = " or ".join(f"{one}=NUMBER" for one in numbers)
                raise ParameterError(
                    f"passages: {setting!r} in {text!r}; expected {expected}, once"
                )
            given[name] = int(value)
        return cls(mode, **given)  # type: ignore[arg-type]  # which it checks

    def __str__(self) -> str:
        settings = (f"{name}={value}" for name, value in asdict(self).items() if name != "mode")
        return ",".join([self.mode, *(one for one in settings if not one.endswith("=None"))])


def passages_for(given: PassageParams | str | None, encoder: Encoder) -> PassageParams:
    """What a collection with that encoder does, as asked for, or by default.

    By default nothing of a document is lost: what the encoder would cut off becomes further
    passages. An encoder without a limit, such as bm25, reads documents whole, and so does one with
    an expansion_delimiter: what a document ends in is no text, and belongs to all of it.

    Raises:
        ParameterError: splitting needs a number of tokens, or the encoder reads fewer, or reads
            documents whole.
    """
    limited = encoder.max_tokens is not None or encoder.kind == "vectors"
    if given is None:
        return PassageParams("split" if limited and not encoder.reads_whole else "truncate")
    params = PassageParams.parse(given) if isinstance(given, str) else given
    if not isinstance(params, PassageParams):
        raise ParameterError(f"passages: {given!r}; expected PassageParams, or a text as 'split'")
    if encoder.reads_whole and (params.mode != "truncate" or params.tokens is not None):
        raise ParameterError(
            f"passages: '{params}'; with an expansion_delimiter, documents end in their expansion, "
            "which a part of the text would lack; leave passages out, or say 'truncate'"
        )
    if params.mode != "truncate" and params.tokens is None and not limited:
        raise ParameterError(
            f"passages: {params.mode!r}, but {encoder.kind} reads texts of any length; say how "
            f"many words a passage has at most, such as '{params.mode},tokens=200'"
        )
    if encoder.max_tokens is not None and (params.tokens or 0) > encoder.max_tokens:
        raise ParameterError(
            f"passages: tokens={params.tokens}; the encoder reads {encoder.max_tokens} of a text"
        )
    return params


@dataclass(frozen=True, slots=True)
class Piece:
    """A passage on its way.

    Attributes:
        start, end: where it stands in the document's text, in code points.
        content: a text to encode, or the vector that the document brings.
    """

    start: int
    end: int
    content: str | Vector


class Splitter:
    """Documents -> passages. A document of no more tokens than a passage is one, as it is."""

    def __init__(self, params: PassageParams, encoder: Encoder) -> None:
        """Split by these settings and the encoder's tokens."""
        self._params = params
        self._encoder = encoder
        self._size = params.tokens or encoder.max_tokens

    def split(self, document: Document) -> Iterator[Piece]:
        """The passages of a document that brings none, as texts to encode."""
        text, title, size = document.text, document.title or "", self._size
        whole = Piece(0, len(text), document.full_text)
        if size is None or len(whole.content) <= size:  # no token has less than a character
            yield whole
            return
        of_title, tokens = map(self._encoder.token_spans, (title, text))
        if len(of_title) + len(tokens) <= size:
            yield whole
        elif self._params.mode == "truncate":
            yield self._beginning(document, of_title, tokens, size)
        else:
            yield from self._passages(document, of_title, tokens, size)

    def _beginning(self, document: Document, of_title: Spans, tokens: Spans, size: int) -> Piece:
        room = size - len(of_title)
        end = int(tokens[room - 1, 1]) if room > 0 else 0
        if self._params.tokens is None:  # the encoder cuts, which knows best how
            return Piece(0, end, document.full_text)
        if room < 0:
            document = _titled(document, of_title, size)
        return Piece(0, end, document.read(document.text[:end]))

    def _passages(
        self, document: Document, of_title: Spans, tokens: Spans, size: int
    ) -> Iterator[Piece]:
        """Each with the title in front, or as much of it as leaves half of the room."""
        n_title = min(len(of_title), max(size - len(tokens), size // 2))
        document = _titled(document, of_title, n_title)
        room = size - n_title
        overlap = min(self._params.overlap, room // 2)
        for start, end in split_text(document.text, tokens, room, overlap):
            yield Piece(start, end, document.read(document.text[start:end]))


def _titled(document: Document, tokens: Spans, n: int) -> Document:
    """The document with the first `n` tokens of its title."""
    end = int(tokens[n - 1, 1]) if n else 0
    return document if n >= len(tokens) else replace(document, title=(document.title or "")[:end])


def row_maxima(vectors: Vectors, starts: NDArray[np.int64]) -> Vectors:
    """One row for each group of rows: the largest value of each component.

    Args:
        starts: int64 (groups + 1,), the first row of each group, and the end; no group is empty.
    """
    if starts.size == vectors.shape[0] + 1:
        return vectors
    rows = np.repeat(np.arange(vectors.shape[0]), np.diff(vectors.indptr))
    groups = np.searchsorted(starts, rows, side="right") - 1
    keys = groups.astype(np.int64) << 31 | vectors.indices
    order = np.argsort(keys, kind="stable")
    distinct, first = np.unique(keys[order], return_index=True)
    values = np.maximum.reduceat(vectors.data[order], first) if first.size else vectors.data
    indptr = np.searchsorted(distinct >> 31, np.arange(starts.size)).astype(np.int64)
    components = (distinct & (2**31 - 1)).astype(np.int32)
    return csr(values, components, indptr, vectors.shape[1])


def _is_number(given: object, least: int) -> bool:
    return isinstance(given, int) and not isinstance(given, bool) and given >= least
