"""Golden collections: what a released format looks like, kept for every later release to read.

`python tests/golden_collections.py` writes the present format's into `tests/golden/<version>/`. Do
so once, in the commit that freezes a version; what is there is never written again. Version 0 is
not frozen, and has none.
"""

import json
import sys
from pathlib import Path

from lexidex import Collection
from lexidex.dense_side import DenseSide
from lexidex.index import DenseParams
from lexidex.index.dense import rows
from lexidex.index.storage import checksums
from lexidex.index.storage.arrays import FORMAT_VERSION

FOLDER = Path(__file__).parent / "golden"

COLLECTION, SNAPSHOT, EXPORTS = "collection", "snapshot.tar", ("export.ndjson", "export.parquet")
ANSWERS = "answers.json"

QUERIES = [{"w1": 1.0, "w4": 0.5}, {"w0": 2.0}, {"unheard": 1.0}, {"w2": 1.0, "w3": 1.0, "w5": 1.0}]
FILTERS = [{"n": 1}, {"n": {"gte": 1}, "tags": "b"}, {"when": {"lt": "2024-01-05"}}]


def direction(number):
    """A dense vector, of which any machine computes the same cosines: of length 4."""
    turned = [(2, 2, 2, 1, 1, 1, 1, 0)[(place + number) % 8] for place in range(8)]
    return [-value if number >> place & 1 else value for place, value in enumerate(turned)]


def documents(first, last):
    """Documents of everything that one can hold."""
    for number in range(first, last):
        vectors = [
            {f"w{(number * step + step) % 6}": 0.1 + number / 7, f"w{step}": 1 / (number + 1)}
            for step in (1, 2, 3)
        ]
        document = {
            "id": f"d{number}",
            "text": f"Text {number:02d}. \u00c4nderung. More of it.",
            "metadata": {
                "n": number % 3,
                "share": number / 4,
                "flag": number % 2 == 0,
                "tags": ["a", "b"][: number % 3],
                "when": f"2024-01-{number + 1:02d}",
                "deep": {"x": None, "y": "z"},
            },
        }
        if number % 3:
            document["title"] = f"Title {number}"
        if number % 4:
            document["vector"] = vectors[0]
            if number % 4 > 1:
                document["dense"] = [direction(number + step) for step in range(1, number % 4)]
            yield document
        else:
            spans = [(0, 8), (9, 18), (19, 30)]
            passages = zip(spans, vectors, strict=True)
            yield {
                **document,
                "passages": [
                    {
                        "start": start,
                        "end": end,
                        "vector": vector,
                        "dense": direction(number + start),
                    }
                    for (start, end), vector in passages
                ],
            }


def write(folder):
    """Write a collection with a file of every kind, a snapshot, exports, and what they answer."""
    checksums.LARGE = 512  # so that the kilobytes here have checksums of chunks
    rows.INDEX_FROM = 10  # so that FAISS makes an index of a dozen vectors
    collection = Collection.create(
        folder / COLLECTION,
        "vectors",
        dense=DenseSide(DenseParams(factory="HNSW32_SQ8")),
        merge="off",
        passages="split",
    )
    assert collection.upsert(documents(0, 12)).failed == []
    collection.delete(["d2", "d4"])
    collection.flush()
    collection.upsert(documents(10, 16))
    collection.flush()
    collection.delete(["d11"])
    collection.flush()
    collection.upsert(documents(16, 19))
    collection.delete(["d0"])
    collection.upsert([{"id": "last", "vector": {"unheard": 1.5}}])
    collection.snapshot(folder / SNAPSHOT)
    for name in EXPORTS:
        collection.export(folder / name)
    described = json.dumps(answers(collection), ensure_ascii=False, indent=1)
    (folder / ANSWERS).write_text(described + "\n", encoding="utf-8")


def answers(collection):
    """What a collection tells, as JSON holds it."""
    found = {
        "documents": len(collection),
        "counts": [collection.count(condition) for condition in FILTERS],
        "searches": [],
        "get": [],
    }
    for query in QUERIES:
        hits = collection.search(sparse=query, k=30, exact=True).hits
        found["searches"].append([[hit.doc_id, hit.score, hit.passage.text] for hit in hits])
    for number in (50, 77):
        query = {"mode": "dense", "dense": direction(number), "k": 30}
        for exact in (False, True):
            hits = collection.search(**query, exact=exact).hits
            found["searches"].append([[hit.doc_id, hit.score] for hit in hits])
    for doc_id in ("d1", "d8", "d12", "last"):
        document = collection.get(doc_id)
        found["get"].append([document.title, document.text, document.metadata])
    return json.loads(json.dumps(found))


if __name__ == "__main__":
    target = FOLDER / str(FORMAT_VERSION)
    if FORMAT_VERSION == 0 or target.exists():
        sys.exit(f"format version {FORMAT_VERSION} is not frozen, or {target} is there already")
    write(target)
