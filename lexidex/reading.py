"""What can be asked of a collection: everything that changes nothing in it."""

from __future__ import annotations

import time
from collections.abc import Sequence

from numpy.typing import ArrayLike

from lexidex.arguments import (
    ALL_FIELDS,
    Filter,
    as_expression,
    as_fusion,
    check_facets,
    check_ids,
    check_texts,
)
from lexidex.dense_side import DenseSide
from lexidex.documents import Document, SparseInput
from lexidex.encoders import Encoder
from lexidex.errors import DocumentNotFound, ParameterError
from lexidex.explaining import best_row, contributions
from lexidex.index import SearchParams
from lexidex.index.filters import FacetCount
from lexidex.index.fusion import FusionParams
from lexidex.index.storage import integrity
from lexidex.index.storage.files import Memory, Storage
from lexidex.index.vectors import Float32s
from lexidex.opening import NO_TRUST, Newest, Trusted
from lexidex.passages import PassageParams
from lexidex.rerankers import Rerankers
from lexidex.reranking import Reranking, RerankParams
from lexidex.results import Explanation, SearchResult
from lexidex.searching import FACET_VALUES, Asked, Mode, answer, encode, query_vectors
from lexidex.snapshot import EVERYTHING, Snapshot


class Reading:
    """The newest generation of a collection that this process knows. Safe for many threads."""

    def __init__(
        self, storage: Storage, memory: Memory = "map", trusted: Trusted = NO_TRUST
    ) -> None:
        """Open the newest generation in `storage`."""
        self._storage = storage
        self._newest = Newest(storage, memory, trusted)
        self._rerankers = Rerankers()

    @property
    def encoder(self) -> Encoder:
        """The encoder, weighing queries by the collection's statistics where it does so."""
        return self._snapshot.encoder

    @property
    def passages(self) -> PassageParams:
        """What becomes of long documents."""
        return self._snapshot.passage_params

    @property
    def dense_lower_bound(self) -> float | None:
        """The least score of a dense search: -1 for cosines; None where there is no such bound."""
        return self._snapshot.dense_lower_bound

    @property
    def dense_side(self) -> DenseSide | None:
        """How the collection comes by dense vectors; None where it has none."""
        return self._snapshot.dense_side

    @property
    def dense_dim(self) -> int | None:
        """Dimensions of the dense vectors; None where there are none yet."""
        return self._snapshot.dense_dim

    @property
    def generation(self) -> int:
        """The number of the last commit that searches see; grows with every write."""
        return self._snapshot.generation

    def __len__(self) -> int:
        """Number of documents."""
        return self._snapshot.n_documents

    @property
    def n_passages(self) -> int:
        """Number of passages of these."""
        return self._snapshot.n_passages

    def refresh(self) -> int:
        """Follow writes of other processes; the generation that searches see from now on."""
        return self._newest.refresh().generation

    def warm_up(self) -> None:
        """Load what searches need, so that none waits for it: the query's encoder, the kernels."""
        self.encoder.warm_up()
        side = self._snapshot.dense_side
        if side is not None and side.encoder is not None:
            side.encoder.warm_up()
        self._snapshot.warm_up()

    def search(
        self,
        query: str | None = None,
        k: int = 10,
        *,
        mode: Mode = "sparse",
        sparse: SparseInput | None = None,
        dense: ArrayLike | None = None,
        exact: bool = False,
        params: SearchParams | None = None,
        accuracy: float | None = None,
        fusion: FusionParams | str | None = None,
        fields: Sequence[str] = ALL_FIELDS,
        filter: Filter | None = None,
        facets: Sequence[str] = (),
        rerank: RerankParams | str | None = None,
        offset: int = 0,
    ) -> SearchResult:
        """The k best documents for a text, or for vectors instead.

        Large segments may be searched approximately, where that is cheaper; the result's `plan`
        tells which were.

        Args:
            query: text, for the collection's encoders.
            k: hits at most, at least 1. Documents that share no term with the query are no hits of
                a sparse search, nor those without a dense vector of a dense one.
            mode: "sparse", "dense", or "hybrid", which fuses both; docs/FUSION.md tells how.
            sparse: {term: weight} or {"components": [...], "values": [...]}.
            dense: numbers (d,); in hybrid mode beside a text, or beside `sparse`, and so in sparse
                mode if reranked by attention.
            exact: approximate nothing.
            params: how approximate search is done; None takes the defaults.
            accuracy: instead of params and exact: above 0, at most 1, the share of the k best
                passages that approximate search is to find. Segments for which tuning knows of
                nothing that reaches it for this k are searched exactly; 1 is that everywhere. In
                hybrid mode it is about the sparse leg; dense search knows but 1.
            fusion: how hybrid search fuses, as FusionParams or a text such as "rrf,depth=500"; None
                takes the defaults. Its depth is how many documents of each leg are ranked, so k is
                at most twice that.
            fields: what to fetch of each hit, among title, text, metadata, and passage: the text of
                the passage alone, for which "text" need not be fetched.
            filter: conditions on metadata that documents must meet, such as
                {"year": {"gte": 2000}}.
            facets: metadata fields whose most frequent values to count, over all documents that
                pass the filter.
            rerank: order the first documents anew: "attention", over the stored dense vectors of
                each; the folder of trained attention; the folder or hub id of a cross-encoder; or
                RerankParams for depth and fusion. docs/RERANKING.md tells how.
            offset: leave out so many of the best, as later pages do; they are not fetched.
        """
        only, reranking = as_expression(filter), Reranking.of(rerank, self._rerankers)
        manner = k, mode, exact, params, accuracy, as_fusion(fusion)
        asked = Asked(*manner, fields, only, facets, reranking=reranking, offset=offset)
        return self._search([query], asked, sparse, dense)[0]

    def search_batch(
        self,
        queries: Sequence[str],
        k: int = 10,
        *,
        mode: Mode = "sparse",
        exact: bool = False,
        params: SearchParams | None = None,
        accuracy: float | None = None,
        fusion: FusionParams | str | None = None,
        n_threads: int = 1,
        fields: Sequence[str] = (),
        filter: Filter | None = None,
        rerank: RerankParams | str | None = None,
    ) -> list[SearchResult]:
        """`search` for many texts at once.

        Every result shares the timings and counters of the whole batch.
        """
        only, reranking = as_expression(filter), Reranking.of(rerank, self._rerankers)
        manner = k, mode, exact, params, accuracy, as_fusion(fusion)
        asked = Asked(*manner, fields, only, (), n_threads, reranking)
        return self._search(check_texts(queries), asked)

    def count(self, filter: Filter | None = None) -> int:
        """How many documents pass a filter; all of them without one."""
        return self._snapshot.count(as_expression(filter) or EVERYTHING)

    def facets(
        self, fields: Sequence[str], filter: Filter | None = None, n: int = FACET_VALUES
    ) -> dict[str, list[FacetCount]]:
        """The most frequent values of metadata fields, over the documents that pass a filter.

        Args:
            fields: names of fields, as filters name them.
            n: values of each field at most; of equally frequent ones the lower first.

        Returns:
            For each field its values with their counts, most frequent first. A document counts
            once for each of its values.
        """
        expression = as_expression(filter) or EVERYTHING
        if isinstance(n, bool) or not isinstance(n, int) or n < 1:
            raise ParameterError(f"n: {n!r}; expected an integer of at least 1")
        return self._snapshot.facets(check_facets(fields), expression, n)

    def explain(
        self, query: str | SparseInput, doc_id: str, passage: int | None = None
    ) -> Explanation:
        """Which terms give a document its score for a query: the best passage's inner product.

        Args:
            passage: the number of the passage to explain, as a hit names it; None for the best.

        Raises:
            DocumentNotFound: there is no document with that id, or no such passage of it.
        """
        snapshot = self._snapshot
        vectors, ignored = query_vectors(snapshot, query)
        place = snapshot.find(check_ids([doc_id])[0])
        if place is None:
            raise self._unknown(doc_id)
        passages = snapshot.passage_vectors(*place)
        if passage is not None and not 0 <= passage < passages.shape[0]:
            raise DocumentNotFound(
                f"{self._storage.location}: document {doc_id!r} has {passages.shape[0]} passages, "
                f"and no passage {passage}"
            )
        number = best_row(passages, vectors) if passage is None else passage
        terms = contributions(passages[[number]], vectors, snapshot.encoder)
        score = sum(term.product for term in terms)
        return Explanation(doc_id, score, terms, number, ignored)

    def get(self, doc_id: str) -> Document:
        """The stored document with that id.

        Raises:
            DocumentNotFound: there is none.
        """
        place = self._snapshot.find(check_ids([doc_id])[0])
        if place is None:
            raise self._unknown(doc_id)
        found = self._snapshot.segments[place[0]].documents.fetch(place[1], ALL_FIELDS)
        return Document(doc_id, found["text"], found["title"], found["metadata"])

    def dense_vectors(self, doc_id: str) -> Float32s:
        """The stored dense vectors of a document's passages, float32 (n, d), in their order.

        Raises:
            DocumentNotFound: there is no document with that id.
            ParameterError: the collection holds no dense vectors.
        """
        snapshot = self._snapshot
        place = snapshot.find(check_ids([doc_id])[0])
        if place is None:
            raise self._unknown(doc_id)
        dim = snapshot.dense_dim
        if dim is None:
            raise ParameterError(f"{self._storage.location}: no dense vectors are stored here")
        return snapshot.dense_vectors(*place, dim)

    def __contains__(self, doc_id: object) -> bool:
        return isinstance(doc_id, str) and self._snapshot.find(doc_id) is not None

    def check(self) -> integrity.Report:
        """Verify every byte of the newest generation against its checksums."""
        return integrity.check(self._storage)

    @property
    def _snapshot(self) -> Snapshot:
        return self._newest.snapshot

    def _search(
        self,
        texts: Sequence[str | None],
        asked: Asked,
        sparse: SparseInput | None = None,
        dense: object = None,
    ) -> list[SearchResult]:
        snapshot, started = self._snapshot, time.perf_counter()
        queries = encode(snapshot, asked, texts, sparse, dense)
        return answer(snapshot, queries, asked, started)

    def _unknown(self, doc_id: str) -> DocumentNotFound:
        return DocumentNotFound(f"{self._storage.location}: no document with id {doc_id!r}")
