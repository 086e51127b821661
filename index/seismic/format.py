"""How an index stands in a file: the arrays of a `seismic-index`, and whether they fit together.

| array | type | what |
| --- | --- | --- |
| `components` | int32 (c,) | components that documents have, ascending; list i is of component i |
| `documents` | uint32 (n, 4) | line of the record, number of components, scale, tail (as float32) |
| `records` | uint8 | records (records.py), each from a multiple of 64 bytes |
| `lists` | uint32 (c + 1, 4) | first block, first bucket, unit (as float32), two bytes of bits |
| `block_starts` | uint32 (b + 1,) | first posting of each block |
| `impacts` | uint8 (b,) | largest value of the list's component in each block |
| `ordinals` | uint32 (p,) | documents, by block, ascending within one |
| `buckets` | uint32 | first entry of each bucket, and their end |
| `entries` | uint32 | summary entries (buckets.py) |

Meta: `n_documents`, `dim`, `seed`, `params`, `frontier` (what tuning found, frontier.py).
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from lexidex.errors import CorruptFile

from .params import ValueType
from .records import DOCUMENT, LINE, number_type, record_bytes
from .summaries import LIST

Arrays: TypeAlias = dict[str, NDArray[Any]]

KIND = "seismic-index"

_ROWS = {"documents": DOCUMENT, "lists": LIST}


def stored(arrays: Arrays) -> Arrays:
    """The arrays as files hold them: rows as plain words."""
    words = {
        name: arrays[name].view(np.uint32).reshape(-1, dtype.itemsize // 4)
        for name, dtype in _ROWS.items()
    }
    return {**arrays, **words}


def restored(arrays: Arrays, n_documents: int, value_type: ValueType, where: str) -> Arrays:
    """The arrays that `stored` made plain.

    Raises:
        CorruptFile: an array is missing, or its length does not fit the others'.
    """
    try:
        rows = {name: arrays[name].reshape(-1).view(dtype) for name, dtype in _ROWS.items()}
        complete = {**arrays, **rows}
        for name, size in _sizes(complete, n_documents, value_type).items():
            if complete[name].size != size:
                raise ValueError(f"{name!r} has {complete[name].size} elements, expected {size}")
    except (KeyError, IndexError, ValueError) as error:
        raise CorruptFile(f"{where}: not a whole {KIND}: array {error}; build it again") from None
    return complete


def _sizes(arrays: Arrays, n_documents: int, value_type: ValueType) -> dict[str, int]:
    """How long each array must be, by what the others say."""
    last, starts, buckets = arrays["lists"][-1], arrays["block_starts"], arrays["buckets"]
    documents = arrays["documents"]
    component_type = number_type(arrays["components"].size)
    lengths = record_bytes(documents["size"][-1:].astype(np.int64), component_type, value_type)
    ends = documents["line"][-1:] + -(-lengths // LINE)
    return {
        "documents": n_documents,
        "records": int(ends.sum()) * LINE,
        "lists": arrays["components"].size + 1,
        "block_starts": int(last["block"]) + 1,
        "impacts": int(last["block"]),
        "ordinals": int(starts[-1]),
        "buckets": int(last["bucket"]) + 1,
        "entries": int(buckets[-1]),
    }
