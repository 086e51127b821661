"""The collection that a command writes to: the one that is there, or a new one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lexidex.collection import Collection
    from lexidex.dense_side import DenseSide
    from lexidex.encoders import Encoder
    from lexidex.passages import PassageParams


@contextmanager
def opened_or_created(
    to: Path,
    encoder: Encoder | None,
    dense: DenseSide | None = None,
    passages: PassageParams | str | None = None,
    *,
    trust_remote_code: bool = False,
) -> Iterator[Collection]:
    """The collection at `to`; where there is none, a new one, made as the arguments say.

    When the block fails before anything is written, a new one goes again, so that it stands in the
    way of no other command; what was encoded stays for the next run to take over.
    """
    from lexidex.collection import Collection, exists
    from lexidex.index.storage.files import FileStorage
    from lexidex.opening import remove_unwritten

    if exists(to):
        yield Collection.open(to, merge="inline", trust_remote_code=trust_remote_code)
        return
    is_new = not to.exists()
    collection = Collection.create(to, encoder, merge="inline", dense=dense, passages=passages)
    try:
        yield collection
    except BaseException:
        remove_unwritten(FileStorage(to))
        if is_new:
            with suppress(OSError):  # it holds what was encoded
                to.rmdir()
        raise


def check_same(
    to: Path, collection: Collection, encoder: Encoder | None, passages: str | None = None
) -> None:
    """Raise unless documents can be added with what is asked for; None asks for nothing."""
    from lexidex.encoder_names import told_apart
    from lexidex.errors import EncoderMismatch, ParameterError
    from lexidex.passages import passages_for
    from lexidex.write import describe

    known = collection.encoder
    # How queries are weighed is fixed for good, too, though it changes no document's vector.
    if encoder and (encoder.fingerprint, encoder.idf_exponent) != (
        known.fingerprint,
        known.idf_exponent,
    ):
        apart = told_apart(describe(known), describe(encoder))
        raise EncoderMismatch(
            f"{to}: made with encoder {apart}; leave --encoder out, or use --replace"
        )
    if passages:
        wanted = passages_for(passages, known)
        if wanted != collection.passages:
            raise ParameterError(
                f"{to}: made with passages {collection.passages}, not {wanted}; leave --passages "
                "out, or use --replace"
            )


def check_vectors(made_by: Mapping[str, Any], path: Path, encoder: Encoder) -> None:
    """Raise EncoderMismatch unless ready-made vectors are of the encoder that queries will have."""
    from lexidex.encoder_names import told_apart
    from lexidex.errors import EncoderMismatch
    from lexidex.write import describe

    if encoder.kind != "vectors" and made_by["fingerprint"] != encoder.fingerprint:
        raise EncoderMismatch(
            f"{path}: its vectors are by {told_apart(made_by, describe(encoder))} as the "
            "collection's; encode the documents by that, or index them elsewhere"
        )
