"""Sparse vectors as people write them -> components and values, through an encoder's vocabulary."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from lexidex.documents import SparseInput, TermWeights, check_sparse, is_numbered, read_numbered
from lexidex.encoders import Encoder
from lexidex.errors import InputError
from lexidex.index.vectors import Components, Float32s, as_vector


def read_query(given: object, encoder: Encoder) -> tuple[Components, Float32s, list[str]]:
    """What `resolve` makes of a sparse vector that nobody has checked; numbers are read once.

    Raises:
        InputError: it has neither of the two forms, or numbers of components that are not there.
    """
    if isinstance(given, Mapping) and is_numbered(given):
        return *_known(*read_numbered(given), encoder), []
    return resolve(check_sparse(given), encoder)


def resolve(given: SparseInput, encoder: Encoder) -> tuple[Components, Float32s, list[str]]:
    """A checked sparse vector in canonical form, and its terms that have no component.

    Raises:
        InputError: numbers where the collection's components are named by words alone.
    """
    if is_numbered(given):
        return *_known(*as_vector(given["components"], given["values"]), encoder), []
    found = {term: encoder.component(term) for term in given}
    unknown = [term for term, component in found.items() if component is None]
    known = {c: given[term] for term, c in found.items() if c is not None}
    return *as_vector(list(known), list(known.values())), unknown


def adopt(given: SparseInput, encoder: Encoder) -> tuple[Components, Float32s]:
    """A checked document vector in canonical form; a growing vocabulary takes up new terms.

    Raises:
        InputError: a term that the encoder's fixed vocabulary lacks.
    """
    if not is_numbered(given) and encoder.vocabulary is not None:
        vocabulary = encoder.vocabulary
        if not isinstance(given, TermWeights):
            given = encoder.weights_of_words(given)
        terms = [term for term, weight in given.items() if weight > 0]
        ids = np.array([vocabulary.add(term) for term in terms], dtype=np.int32)
        return as_vector(ids, [given[term] for term in terms])
    ids, values, unknown = resolve(given, encoder)
    if unknown:
        raise InputError(
            f"vector: term {unknown[0]!r} is not in the vocabulary of encoder {encoder.kind}"
        )
    return ids, values


def _known(ids: Components, values: Float32s, encoder: Encoder) -> tuple[Components, Float32s]:
    if ids.size and int(ids[-1]) >= encoder.dim:
        raise InputError(
            f"vector: component {ids[-1]}; the encoder's components lie below {encoder.dim}"
        )
    return ids, values
