"""What is benchmarked: one interface over every engine, and our own two engines behind it."""

from __future__ import annotations

import importlib.util
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

from lexidex.index import BuildParams, ExactIndex, SearchParams, SeismicIndex
from lexidex.index.vectors import Components, Float32s, Vectors

Point: TypeAlias = dict[str, float]
"""Search parameters by name: one point of an engine's sweep."""


class Engine(ABC):
    """An index of some library: prepared, built into a folder, opened, searched.

    Lives in a process of its own. What `prepare`, the `as_...` methods and `ordinals` do is not
    measured.
    """

    compiles: ClassVar[bool] = False
    """Whether it compiles at first use: then it is built once for practice."""

    def __init__(self, options: dict[str, Any]) -> None:
        """Options are what the variant gives: build parameters, in the library's own names."""
        self.options = options

    @abstractmethod
    def prepare(self, documents: Vectors, folder: Path) -> None:
        """Bring the documents into the form that the library builds from."""

    @abstractmethod
    def build(self, folder: Path, n_threads: int, seed: int) -> None:
        """Build the index and write it to `folder`."""

    @abstractmethod
    def open(self, folder: Path) -> None:
        """Load the index that `build` wrote."""

    @abstractmethod
    def as_query(self, components: Components, values: Float32s) -> Any:
        """A query in the form that the library takes."""

    def as_point(self, point: Point) -> Any:
        """Search parameters in the form that the library takes."""
        return point

    @abstractmethod
    def search(self, query: Any, k: int, point: Any) -> Any:
        """One query, one call; the result as the library gives it."""

    @abstractmethod
    def ordinals(self, result: Any) -> Sequence[int]:
        """The documents of a result, best first."""

    def as_batch(self, queries: Vectors) -> Any:
        """All queries in the form of the library's call for many; None where it has no such."""
        return None

    def search_batch(self, batch: Any, k: int, point: Any, n_threads: int) -> Any:
        """All queries in one call."""
        raise NotImplementedError(f"{type(self).__name__} searches one query at a time")


class LexidexSeismic(Engine):
    """Our approximate index."""

    compiles = True

    def prepare(self, documents: Vectors, folder: Path) -> None:
        self._documents = documents

    def build(self, folder: Path, n_threads: int, seed: int) -> None:
        params = BuildParams(**self.options)
        index = SeismicIndex.build(self._documents, params, n_threads=n_threads, seed=seed)
        index.save(folder / "index")

    def open(self, folder: Path) -> None:
        self._index = SeismicIndex.open(folder / "index", memory="load")

    def as_query(self, components: Components, values: Float32s) -> Any:
        return components, values

    def as_point(self, point: Point) -> Any:
        return SearchParams(int(point["query_cut"]), point["heap_factor"])

    def search(self, query: Any, k: int, point: Any) -> Any:
        components, values = query
        return self._index.search_one(components, values, k, point)

    def ordinals(self, result: Any) -> Sequence[int]:
        found: list[int] = result.ordinals[0].tolist()
        return found

    def as_batch(self, queries: Vectors) -> Any:
        return queries

    def search_batch(self, batch: Any, k: int, point: Any, n_threads: int) -> Any:
        return self._index.search(batch, k, point, n_threads=n_threads)


class LexidexExact(Engine):
    """Our exact index."""

    compiles = True

    def prepare(self, documents: Vectors, folder: Path) -> None:
        self._documents = documents

    def build(self, folder: Path, n_threads: int, seed: int) -> None:
        ExactIndex.build(self._documents).save(folder / "index")

    def open(self, folder: Path) -> None:
        self._index = ExactIndex.open(folder / "index", memory="load")

    def as_query(self, components: Components, values: Float32s) -> Any:
        return components, values

    def search(self, query: Any, k: int, point: Any) -> Any:
        components, values = query
        return self._index.search_one(components, values, k)

    def ordinals(self, result: Any) -> Sequence[int]:
        found: list[int] = result.ordinals[0].tolist()
        return found

    def as_batch(self, queries: Vectors) -> Any:
        return queries

    def search_batch(self, batch: Any, k: int, point: Any, n_threads: int) -> Any:
        return self._index.search(batch, k, n_threads=n_threads)


@dataclass(frozen=True)
class Variant:
    """An engine with build options, and the points that its sweep tries.

    Attributes:
        engine: its name in `worker.ENGINES`.
        options: build parameters, in the library's own names.
        series: search parameters to try, each series from fast to accurate; an exact engine has
            one point, empty.
        module, package: what must be installed, as imported and as pip knows it.
        family: what it is one of several configurations of; comparisons name the best of each.
        index: the name of the variant whose built index it searches; empty for its own.
        own_kernels: whether it replaces kernels, so that its machine code must be kept apart.
    """

    name: str
    engine: str
    options: dict[str, Any] = field(default_factory=dict)
    series: tuple[tuple[Point, ...], ...] = (({},),)
    module: str = "lexidex"
    package: str = "lexidex"
    family: str = ""
    ours: bool = False
    index: str = ""
    own_kernels: bool = False

    @property
    def installed(self) -> bool:
        """Whether the library can be imported here."""
        return importlib.util.find_spec(self.module) is not None

    @property
    def version(self) -> str | None:
        """Of the package, where it is installed."""
        try:
            return metadata.version(self.package)
        except metadata.PackageNotFoundError:
            return None

    @property
    def slug(self) -> str:
        """The name of its index as a folder's name."""
        return (self.index or self.name).replace(" ", "-").replace("/", "-")


SEISMIC_SERIES: tuple[tuple[Point, ...], ...] = tuple(
    tuple({"query_cut": cut, "heap_factor": factor} for cut in (3, 4, 5, 6, 8, 10, 12, 16, 24, 32))
    for factor in (1.0, 0.9, 1.1, 1.2, 0.8, 0.7)
)
"""The sweep of everything that is a Seismic, ours and the peers' alike; the most promising series
first, so that the others can end early."""

DEFAULT, ACCURATE, EXACT = "lexidex", "lexidex accurate", "lexidex exact"
"""Our approximate index with its default parameters, with those for high accuracy, and the exact
one."""


def own_variants() -> list[Variant]:
    """Our approximate index, as DEFAULT and as ACCURATE."""
    options = {DEFAULT: {}, ACCURATE: asdict(BuildParams.accurate())}
    return [
        Variant(name, "lexidex-seismic", chosen, SEISMIC_SERIES, family=name, ours=True)
        for name, chosen in options.items()
    ]
