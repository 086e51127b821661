"""What a synthetic collection is drawn from: a vocabulary, subjects, and tables of quantiles.

The universe is the same for every size of collection, so that a larger collection is denser:
65,536 subjects, sixteen to a topic, sixteen topics to an area. A subject is a row of terms, some
its own, some its topic's, some its area's, the salient ones first; so documents on one subject, one
topic or one area are near one another by degrees.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from lexidex.index.vectors import Float32s, Int64s

from .synthetic_kernels import NOISE_LEVELS, SATURATION_STEPS, Salience, Terms, Words

T = TypeVar("T", bound=np.generic)

DIM = 30_522
"""Components: as many as BERT's vocabulary has."""

N_SUBJECTS, N_TOPICS, N_AREAS = 65_536, 4_096, 256
AREA_VOCABULARY = 1_536
MAX_VALUE = 3.5

_NOISE = 0.85
"""Standard deviation of a draw's salience, in its logarithm."""


@dataclass(frozen=True)
class Layer:
    """One of the three parts of a subject's row of terms: how many, how likely, how salient.

    Place p of the part is drawn in proportion to (p + 6) ** -0.9; its salience before noise is
    gain * (1 + p) ** -fading.
    """

    size: int
    share: float
    gain: float
    fading: float


OWN = Layer(size=64, share=0.38, gain=1.6, fading=0.35)
TOPIC = Layer(size=96, share=0.28, gain=1.5, fading=0.35)
AREA = Layer(size=96, share=0.34, gain=0.9, fading=0.2)


class RandomWords:
    """A seeded stream of unsigned 64-bit words: PCG64, whose raw words NumPy keeps stable."""

    def __init__(self, seed: int, purpose: int) -> None:
        """Streams of different purposes are independent of one another."""
        self._bits = np.random.PCG64(np.random.SeedSequence([seed, purpose]))

    def words(self, *shape: int) -> Words:
        """The next words, uint64 of that shape."""
        raw: Words = self._bits.random_raw(math.prod(shape))
        return raw.reshape(shape)

    def below(self, limit: int | Int64s, *shape: int) -> Int64s:
        """Integers in [0, limit), int64 of that shape; 0 where the limit is 0."""
        high = self.words(*shape) >> np.uint64(32)
        limits = np.asarray(limit, dtype=np.uint64)
        return (high * limits >> np.uint64(32)).astype(np.int64)

    def fractions(self, *shape: int) -> Salience:
        """Numbers in [0, 1), float64 of that shape."""
        high = (self.words(*shape) >> np.uint64(11)).astype(np.float64)
        return high * 2.0**-53

    def picks(self, table: NDArray[T], *shape: int) -> NDArray[T]:
        """Entries of a table of quantiles, drawn alike."""
        return table[self.below(table.size, *shape)]


@dataclass(frozen=True)
class Universe:
    """Tables that documents and queries are drawn with.

    Attributes:
        common, rare: uint16, components by quantile: as often as in running text, and flatter.
        subject_terms: uint16 (65536, 256), the terms of each subject.
        places: uint16 (4096,), places in a subject's row by quantile.
        gains: float32 (256,), salience of each place of a subject's row.
        rarity: float32 (30522,), weight of each component in queries.
        noise: float32 (4096,), factors of salience by quantile.
        saturation: float32, log(1 + i / 64) up to the largest value.
    """

    common: Terms
    rare: Terms
    subject_terms: NDArray[np.uint16]
    places: Terms
    gains: Float32s
    rarity: Float32s
    noise: Float32s
    saturation: Float32s


def make_universe(random: RandomWords) -> Universe:
    """The universe of a seed."""
    components = np.argsort(random.words(DIM), kind="stable").astype(np.uint16)
    popularity = [_popularity(rank) for rank in range(DIM)]
    flatter = components[quantiles([p**0.9 for p in popularity], 1 << 16)]
    rare = components[quantiles([p**0.5 for p in popularity], 1 << 16)]
    rarity = np.empty(DIM, dtype=np.float32)
    rarity[components] = _rounded(
        [0.4 + 0.7 * math.log(rank + 3) / math.log(DIM) for rank in range(DIM)]
    )
    layers = (OWN, TOPIC, AREA)
    gains = [layer.gain * (1 + p) ** -layer.fading for layer in layers for p in range(layer.size)]
    steps = range(int(SATURATION_STEPS * math.expm1(MAX_VALUE)) + 1)
    return Universe(
        common=components[quantiles(popularity, 1 << 18)],
        rare=rare,
        subject_terms=_subject_terms(random, flatter, rare),
        places=quantiles([chance for layer in layers for chance in _chances(layer)], 1 << 12),
        gains=_rounded(gains),
        rarity=rarity,
        noise=_rounded(lognormal(0.0, _NOISE)),
        saturation=_rounded([math.log1p(step / SATURATION_STEPS) for step in steps]),
    )


def _popularity(rank: int) -> float:
    """How often the component of that rank is used: a Zipf curve with a flat head and a thin tail.

    The document frequencies of SPLADE vectors follow it: a common word's expansions level the
    head, and most word pieces stand for nothing and are hardly ever used.
    """
    return float((1 + rank / 3) ** -0.2 * (1 + rank / 80) ** -0.6 / (1 + (rank / 2500) ** 1.6))


def _subject_terms(random: RandomWords, flatter: Terms, rare: Terms) -> NDArray[np.uint16]:
    """uint16 (N_SUBJECTS, 256): own terms, then the topic's, then some of the area's."""
    areas = random.picks(flatter, N_AREAS, AREA_VOCABULARY)
    salient = quantiles([(p + 20) ** -0.7 for p in range(AREA_VOCABULARY)], 1 << 12)

    def of_area(n: int, size: int, area_share: int) -> NDArray[np.uint16]:
        """Terms (n, size) for each part of an area: of the area, or else rare ones."""
        area = np.repeat(np.arange(N_AREAS), n // N_AREAS)[:, None]
        places = np.sort(random.picks(salient, n, size), axis=1)
        return np.where(
            random.below(256, n, size) < area_share,
            areas[area, places],
            random.picks(rare, n, size),
        )

    topics = of_area(N_TOPICS, TOPIC.size, 154)
    parts = (
        of_area(N_SUBJECTS, OWN.size, 128),
        np.repeat(topics, N_SUBJECTS // N_TOPICS, axis=0),
        of_area(N_SUBJECTS, AREA.size, 256),
    )
    return np.concatenate(parts, axis=1).astype(np.uint16)


def quantiles(weights: Sequence[float], size: int) -> Terms:
    """uint16 (size,): places in `weights` such that each comes in proportion to its weight."""
    sums = np.cumsum(np.asarray(weights, dtype=np.float64))
    middles = (np.arange(size) + 0.5) * (sums[-1] / size)
    places: Int64s = np.searchsorted(sums, middles)
    return places.astype(np.uint16)


def lognormal(mean: float, deviation: float, size: int = NOISE_LEVELS) -> list[float]:
    """Quantiles of a log-normal distribution; mean and deviation are those of the logarithm."""
    normal = NormalDist(mean, deviation)
    return [math.exp(normal.inv_cdf((i + 0.5) / size)) for i in range(size)]


def _chances(layer: Layer) -> list[float]:
    chances = [(place + 6) ** -0.9 for place in range(layer.size)]
    return [chance * layer.share / sum(chances) for chance in chances]


def _rounded(numbers: Sequence[float]) -> Float32s:
    """Rounded to 6 places: mathematical libraries differ in the last bit."""
    return np.round(numbers, 6).astype(np.float32)
