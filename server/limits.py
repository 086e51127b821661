"""How much one request may ask."""

BODY_BYTES = 1 << 20
DOCUMENTS_BYTES = 1 << 23
"""Bodies that bring documents; reading one as JSON holds up everything else for a tenth of a second
at most. More go through `documents:import`, line by line."""
DOCUMENTS = 10_000
LINE_BYTES = 1 << 23
"""One line of an import; longer ones are bad lines."""
K_LIMIT = 1000
OFFSET_LIMIT = 9000
QUERY_CHARACTERS = 8192
SPARSE_TERMS = 4096
TERM_CHARACTERS = 1024
WEIGHT_LIMIT = 1e15
"""Weights of a query; above it, sums of products could leave the range of a 32-bit float."""
FACETS = 16
"""Fields whose values one search may count."""
DELETED_IDS = 10_000
RERANK_DEPTH = 1000
"""Documents that one search may have reranked."""
BATCH_QUERIES = 256
BATCH_HITS = 100_000
BATCH_RERANKED = 10_000
"""Documents that all searches of a batch together may have reranked."""
GRACE_SECONDS = 10
"""How long requests under way may take once the server is asked to stop."""
