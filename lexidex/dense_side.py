"""The dense side of a collection: where its vectors come from, and how they are compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import asdict, dataclass, replace
from os import PathLike
from typing import Any

import numpy as np

from lexidex.encoders.base import Encoder
from lexidex.encoders.dense import DenseEncoder
from lexidex.encoders.loading import (
    DENSE_OF_JOINT,
    load_dense_encoder,
    load_stored_dense_encoder,
)
from lexidex.errors import EncoderMismatch, InputError, ParameterError
from lexidex.index.dense import DenseParams, DenseRows
from lexidex.index.dense.vectors import Metric, as_dense
from lexidex.index.vectors import Float32s

JOINT = "joint"
"""A dense side that is the sparse encoder's own."""

_UNIT = 1e-5
"""How far from length 1 rounding leaves a vector."""

VECTORS = "vectors"
"""The kind of a dense side whose documents and queries bring their vectors."""


@dataclass(frozen=True)
class DenseSide:
    """How a collection comes by dense vectors.

    Attributes:
        params: how vectors are compared, and what index is made of them.
        encoder: None where documents bring their vectors.
    """

    params: DenseParams
    encoder: DenseEncoder | None = None

    @property
    def kind(self) -> str:
        """Of the encoder; "vectors" without one."""
        return VECTORS if self.encoder is None else self.encoder.kind

    @property
    def trusts_remote_code(self) -> bool:
        """Whether code that the model's repository brings may run."""
        return self.encoder is not None and self.encoder.trusts_remote_code

    def describe(self) -> dict[str, Any]:
        """As a manifest keeps it."""
        described: dict[str, Any] = {"params": asdict(self.params), "kind": self.kind}
        if self.encoder is not None:
            described["options"] = self.encoder.options
            described["fingerprint"] = self.encoder.fingerprint
        return described

    def check(self) -> None:
        """That there can be the index that is to be made of the vectors.

        Raises:
            ParameterError: there is none of this name, or none for the encoder's vectors.
        """
        self.params.check(None if self.encoder is None else self.encoder.dim)

    @classmethod
    def of(
        cls,
        given: str | PathLike[str] | DenseEncoder | DenseSide | None,
        sparse: Encoder | None = None,
    ) -> DenseSide | None:
        """As a user names it: "vectors", "joint", a folder or hub id, or an encoder; None for none.

        Vectors are compared as the encoder says, and by the cosine without one.

        Args:
            sparse: the encoder beside it, whose own dense side "joint" is.

        Raises:
            ParameterError: "joint", and that encoder has none; or it is nothing of these.
        """
        if given is None or isinstance(given, DenseSide):
            return given
        if not isinstance(given, str | PathLike | DenseEncoder):
            raise ParameterError(
                f"dense: {given!r}; expected a name, a folder, a DenseEncoder or a DenseSide"
            )
        if given == VECTORS:
            return cls(DenseParams())
        if given == JOINT:
            own = joint_side(sparse)
            return cls(DenseParams(own.metric), own)
        encoder = given if isinstance(given, DenseEncoder) else load_dense_encoder(given)
        if encoder.kind == DENSE_OF_JOINT:
            with suppress(ParameterError):
                own = joint_side(sparse)
                if own.fingerprint == encoder.fingerprint:
                    encoder = own  # from the pass that gives the sparse vectors
        return cls(DenseParams(encoder.metric), encoder)

    @classmethod
    def named(
        cls,
        given: str | None,
        sparse: Encoder | None = None,
        *,
        factory: str | None = None,
        metric: Metric | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> DenseSide | None:
        """`of`, with what differs from the defaults.

        Args:
            factory: the index that is made of the vectors, as FAISS names it.
            metric: how they are compared.
            options: of the dense model, such as `pooling`.

        Raises:
            ParameterError: there are no dense vectors, or no model, that this could be said of.
        """
        asked = {"factory": factory, "metric": metric}
        changes: dict[str, Any] = {
            name: value for name, value in asked.items() if value is not None
        }
        if given is None and (changes or options):
            raise ParameterError(
                f"dense {', '.join([*changes, *(options or ())])}: of no use without dense "
                "vectors; name those, too"
            )
        if options and given in (JOINT, VECTORS):
            raise ParameterError(f"dense {', '.join(options)}: {given!r} has no options")
        side = cls.of(load_dense_encoder(given, **options) if given and options else given, sparse)
        return side and replace(side, params=replace(side.params, **changes))

    @classmethod
    def from_manifest(
        cls,
        described: Mapping[str, Any],
        known: DenseSide | None,
        where: str,
        sparse: Encoder,
        trust_remote_code: bool = False,
    ) -> DenseSide | None:
        """What `describe` described; None for nothing.

        Args:
            sparse: the encoder beside it.
            known: a side that is open already; kept if it is the one described.
            where: what to call the collection in messages.
            trust_remote_code: whether code of the model's repository may run.

        Raises:
            EncoderMismatch: the model is not the one the collection was made with.
        """
        if not described:
            return None
        if known is not None and known.describe() == dict(described):
            return known
        params = DenseParams(**described["params"])
        if described["kind"] == VECTORS:
            return cls(params)
        if described["kind"] == JOINT:
            encoder: DenseEncoder = joint_side(sparse)
        else:
            kind, options = described["kind"], described["options"]
            encoder = load_stored_dense_encoder(kind, options, trust_remote_code)
        if encoder.fingerprint != described["fingerprint"]:
            raise EncoderMismatch(
                f"{where}: made with a dense encoder of fingerprint {described['fingerprint']}, "
                f"the one loaded has {encoder.fingerprint}; give back the model it was made with, "
                "or index the documents anew"
            )
        return cls(params, encoder)

    def beside(self, sparse: Encoder) -> DenseSide:
        """This side for documents that `sparse` encodes, which may be loaded once more.

        Raises:
            ParameterError: it is another encoder's own.
        """
        if self.encoder is None or self.encoder.kind != JOINT:
            return self
        known, own = self.encoder.fingerprint, None
        with suppress(ParameterError):
            own = joint_side(sparse)
        if own is None or own.fingerprint != known:
            raise ParameterError(
                "encoder: the dense vectors of this collection are its present encoder's own; make "
                "a new collection for another one"
            )
        return replace(self, encoder=own)

    def given_query(self, given: object, dim: int | None) -> Float32s:
        """The dense vector of a query as it is given, float32 (1, d).

        Args:
            dim: dimensions of the collection's vectors; None while there are none.

        Raises:
            ParameterError: it is none, or of other dimensions.
        """
        try:
            row = np.asarray(given, dtype=np.float32)
        except (TypeError, ValueError):
            raise ParameterError("dense: expected a list of numbers") from None
        if row.ndim != 1:
            raise ParameterError(f"dense: shape {row.shape}; expected one flat list of numbers")
        return as_dense(row[None, :], self.params.metric, dim, name="dense")

    def ready_rows(self, vectors: Float32s, dim: int | None = None) -> Float32s:
        """Vectors that a collection with this side has held, as they are, to the last bit.

        Args:
            dim: the dimensions that are expected; None takes any.

        Raises:
            ParameterError: no such collection can have held them.
        """
        checked = as_dense(vectors, self.params.metric, dim, name="dense")
        if not np.allclose(checked, vectors, atol=_UNIT):
            raise ParameterError("dense: a vector is not of length 1, as it was when written")
        return np.ascontiguousarray(vectors, dtype=np.float32)

    def encode_queries(self, texts: Sequence[str]) -> Float32s:
        """The dense vectors of texts, float32 (n, d).

        Raises:
            ParameterError: the collection has no dense encoder.
        """
        if self.encoder is None:
            raise ParameterError(
                "dense: this collection's vectors are brought along; give the query's as dense="
            )
        return as_dense(self.encoder.encode_queries(texts), self.params.metric)


def joint_side(encoder: Encoder | None) -> DenseEncoder:
    """The encoder's own dense side, whose vectors come from the pass that gives the sparse ones.

    Raises:
        ParameterError: it has none.
    """
    from lexidex.encoders.learned import LearnedEncoder

    if not isinstance(encoder, LearnedEncoder):
        kind = "none" if encoder is None else encoder.kind
        raise ParameterError(
            f"dense: {JOINT!r}; encoder {kind} has no dense side of its own, name a dense model"
        )
    return encoder.dense_side()


class DenseDrafter:
    """The dense vectors of passages: brought along, or encoded."""

    def __init__(self, side: DenseSide, dim: int | None) -> None:
        """Draft for a collection whose vectors have `dim` dimensions; None while it has none."""
        self._side = side
        self.dim = dim if side.encoder is None else side.encoder.dim

    def keeping(self) -> AbstractContextManager[None]:
        """See `DenseEncoder.keeping`."""
        encoder = self._side.encoder
        return nullcontext() if encoder is None else encoder.keeping()

    def check(self, given: Float32s) -> Float32s:
        """Vectors that a document brings; InputError unless they fit the collection's."""
        try:
            vectors = as_dense(given, self._side.params.metric, self.dim, name="dense")
            if self.dim is None:
                self._side.params.check(vectors.shape[1])
        except ParameterError as error:
            message = str(error).replace("the index has", "this collection's vectors have")
            raise InputError(message) from None
        self.dim = vectors.shape[1]
        return vectors

    def rows(self, texts: list[str], brought: list[Float32s | None]) -> DenseRows | None:
        """The vectors of passages; None where no passage has any.

        Args:
            texts: what each passage is read as.
            brought: the vectors that a passage brings, checked; None for one that brings none.
        """
        vectors = list(brought)
        encoder = self._side.encoder
        if encoder is not None:
            places = [place for place, one in enumerate(brought) if one is None and texts[place]]
            encoded = encoder.encode_documents([texts[place] for place in places])
            unit = as_dense(encoded, self._side.params.metric)
            for place, row in zip(places, unit, strict=True):
                vectors[place] = row[None, :]
        some = [one for one in vectors if one is not None and one.size]
        if not some:
            return None
        counts = [0 if one is None else one.shape[0] for one in vectors]
        return DenseRows.of_each(self._side.params, counts, np.concatenate(some))
