"""Kernels of the synthetic collections: random words in, documents and queries out.

All randomness comes in as unsigned 64-bit words, one a draw, cut into fields: bits 0 to 7 choose
where a term comes from, bits 8 to 19 its noise, bits 32 to 63 its place in a table of quantiles.
Whatever needs a logarithm or a power is such a table, and sums are taken in the order written: the
result is the same on every machine.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from lexidex.index.jit import strict_kernel
from lexidex.index.vectors import Components, Float32s, Int64s

Words: TypeAlias = NDArray[np.uint64]
Terms: TypeAlias = NDArray[np.uint16]
Salience: TypeAlias = NDArray[np.float64]

NOISE_LEVELS = 4096
SATURATION_STEPS = 64
"""Entries of the saturation table for each unit of salience."""

# Where a term comes from, in 256ths of the draws, cumulated; the rest are common words.
DOCUMENT_PRIVATE_SUBJECT = 128
DOCUMENT_SUBJECT, DOCUMENT_ASIDE = 190, 216
QUERY_CORE_SUBJECT = 160
QUERY_SUBJECT, QUERY_TARGET = 120, 156
COPY_DROPS = 20

# Salience of a draw before noise; of a subject's terms, what the gains table says times this.
PRIVATE_GAIN, ASIDE_GAIN, COMMON_GAIN = 3.0, 0.5, 0.2
QUERY_CORE_GAIN = 5.0
QUERY_SUBJECT_GAIN, QUERY_TARGET_GAIN, QUERY_COMMON_GAIN = 0.32, 0.27, 0.12


@strict_kernel
def scaled(word: np.uint64, size: int) -> int:
    """The word's upper half as a place in [0, size)."""
    return int(((word >> np.uint64(32)) * np.uint64(size)) >> np.uint64(32))


@strict_kernel
def source_of(word: np.uint64) -> int:
    """The word's lowest eight bits: where a term comes from."""
    return int(word & np.uint64(255))


@strict_kernel
def noise_of(word: np.uint64, noise: Float32s) -> float:
    """The entry of the noise table, float32 (4096,), that bits 8 to 19 of the word name."""
    return float(noise[int((word >> np.uint64(8)) & np.uint64(NOISE_LEVELS - 1))])


@strict_kernel
def saturate(salience: float, saturation: Float32s) -> float:
    """log(1 + salience), interpolated in the table, and never above its last entry."""
    place = salience * SATURATION_STEPS
    low = int(place)
    if low >= saturation.size - 1:
        return float(saturation[saturation.size - 1])
    below = float(saturation[low])
    return below + (place - low) * (float(saturation[low + 1]) - below)


@strict_kernel
def write_vector(
    terms: Terms,
    salience: Salience,
    saturation: Float32s,
    components: Components,
    values: Float32s,
    start: int,
) -> int:
    """Write the distinct `terms` in order, with their weights, from `start` on; where they end.

    Postcondition: `salience` is zero again at every one of them.
    """
    terms.sort()
    for i in range(terms.size):
        components[start + i] = terms[i]
        values[start + i] = saturate(salience[terms[i]], saturation)
        salience[terms[i]] = 0.0
    return start + terms.size


@strict_kernel
def copy_vector(
    words: Words, begin: int, end: int, components: Components, values: Float32s, start: int
) -> int:
    """Write a near-duplicate of the vector at [begin, end) from `start` on; where it ends.

    Entries are dropped at random, the first excepted, and weights shrink by up to 10 %.
    """
    for i in range(begin, end):
        word = words[(i - begin) % words.size]
        if i == begin or source_of(word) >= COPY_DROPS:
            components[start] = components[i]
            values[start] = float(values[i]) * (1.0 - scaled(word, 1024) * (0.1 / 1024))
            start += 1
    return start


@strict_kernel
def pick_by_mass(word: np.uint64, values: Float32s) -> int:
    """A place in `values`, drawn in proportion to the square of the value there."""
    mass = 0.0
    for value in values:
        mass += float(value) * float(value)
    rest = float(scaled(word, 1 << 31)) * (mass / (1 << 31))
    place = 0
    while place < values.size - 1:
        rest -= float(values[place]) * float(values[place])
        if rest < 0.0:
            break
        place += 1
    return place


@strict_kernel
def fill_documents(
    words: Words,
    first: int,
    subjects: Int64s,
    asides: Int64s,
    originals: Int64s,
    lengths: Int64s,
    n_private: Int64s,
    subject_terms: NDArray[np.uint16],
    places: Terms,
    gains: Float32s,
    common: Terms,
    rare: Terms,
    noise: Float32s,
    saturation: Float32s,
    salience: Salience,
    indptr: Int64s,
    components: Components,
    values: Float32s,
) -> None:
    """Write one document for each row of `words`: those with ordinals first, first + 1, ...

    Args:
        subjects, asides: the row of `subject_terms` that a document is about, and another that it
            touches on; a near-duplicate's subject becomes its original's.
        originals: the earlier document that this one nearly repeats, or -1.
        lengths, n_private: distinct terms wanted; draws that are a document's own.
        salience: (dim,), all zero; zero again on return.
        indptr: (n_documents + 1,), filled behind `first`.
    """
    n_draws = words.shape[1]
    terms = np.empty(n_draws, np.uint16)
    for row in range(words.shape[0]):
        document = first + row
        start = indptr[document]
        original = originals[document]
        if original >= 0:
            begin, end = indptr[original], indptr[original + 1]
            subjects[document] = subjects[original]
            indptr[document + 1] = copy_vector(words[row], begin, end, components, values, start)
            continue
        subject = subjects[document]
        n_terms = 0
        for draw in range(n_draws):
            if n_terms == lengths[document]:
                break
            word = words[row, draw]
            source = source_of(word)
            place = int(places[scaled(word, places.size)])
            if draw < n_private[document]:
                gain = PRIVATE_GAIN
                if source < DOCUMENT_PRIVATE_SUBJECT:
                    term = int(subject_terms[subject, place])
                else:
                    term = int(rare[scaled(word, rare.size)])
            elif source < DOCUMENT_SUBJECT:
                gain = float(gains[place])
                term = int(subject_terms[subject, place])
            elif source < DOCUMENT_ASIDE:
                gain = float(gains[place]) * ASIDE_GAIN
                term = int(subject_terms[asides[document], place])
            else:
                gain = COMMON_GAIN
                term = int(common[scaled(word, common.size)])
            if salience[term] == 0.0:
                terms[n_terms] = term
                n_terms += 1
            salience[term] += gain * noise_of(word, noise)
        indptr[document + 1] = write_vector(
            terms[:n_terms], salience, saturation, components, values, start
        )


@strict_kernel
def fill_queries(
    words: Words,
    targets: Int64s,
    lengths: Int64s,
    n_core: Int64s,
    subjects: Int64s,
    subject_terms: NDArray[np.uint16],
    places: Terms,
    gains: Float32s,
    common: Terms,
    rarity: Float32s,
    noise: Float32s,
    saturation: Float32s,
    salience: Salience,
    document_indptr: Int64s,
    document_components: Components,
    document_values: Float32s,
    indptr: Int64s,
    components: Components,
    values: Float32s,
) -> None:
    """Write one query for each row of `words`, made from the document that `targets` names.

    Its first `n_core` draws are what the user types: heavy terms of the target or of its subject.
    The others are what a model adds: more of the subject and of the target, and common words.

    Args:
        lengths: distinct terms wanted.
        subjects: the row of `subject_terms` that each document is about.
        salience: (dim,), all zero; zero again on return.
        indptr: (n_queries + 1,), filled.
    """
    n_draws = words.shape[1]
    terms = np.empty(n_draws, np.uint16)
    for query in range(words.shape[0]):
        subject = subjects[targets[query]]
        begin, end = document_indptr[targets[query]], document_indptr[targets[query] + 1]
        n_terms = 0
        for draw in range(n_draws):
            if n_terms == lengths[query]:
                break
            word = words[query, draw]
            source = source_of(word)
            place = int(places[scaled(word, places.size)])
            if draw < n_core[query]:
                gain = QUERY_CORE_GAIN
                if source < QUERY_CORE_SUBJECT:
                    term = int(subject_terms[subject, place])
                else:
                    chosen = pick_by_mass(word, document_values[begin:end])
                    term = int(document_components[begin + chosen])
            elif source < QUERY_SUBJECT:
                gain = float(gains[place]) * QUERY_SUBJECT_GAIN
                term = int(subject_terms[subject, place])
            elif source < QUERY_TARGET:
                gain = QUERY_TARGET_GAIN
                term = int(document_components[begin + scaled(word, end - begin)])
            else:
                gain = QUERY_COMMON_GAIN
                term = int(common[scaled(word, common.size)])
            if salience[term] == 0.0:
                terms[n_terms] = term
                n_terms += 1
            salience[term] += gain * noise_of(word, noise) * float(rarity[term])
        indptr[query + 1] = write_vector(
            terms[:n_terms], salience, saturation, components, values, indptr[query]
        )
