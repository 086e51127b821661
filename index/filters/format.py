"""How typed metadata lies in its Arrow file: one row a field and kind, with all values of it.

Rows ascend by field (as UTF-8 bytes), then by kind, so that a field and those beneath it are found
by bisection. Values of a row ascend by document; a document has each value once.

    field       its keys, joined by dots
    kind        boolean, float, integer or string
    documents   the document of each value; null where every document has exactly one value
    booleans, floats, integers
                the values, in the column of the row's kind
    codes       of strings: the place of each value among `strings`
    strings     the distinct strings, ascending
    moments     parallel to `strings`, in UTC: what those that are date-times stand for, null for
                others; empty where none is one
"""

from __future__ import annotations

import pyarrow as pa

N_DOCUMENTS = b"documents"
"""Key of the schema's metadata: how many documents the segment has, in decimal digits."""

SCHEMA = pa.schema(
    [
        pa.field("field", pa.large_string(), nullable=False),
        pa.field("kind", pa.large_string(), nullable=False),
        pa.field("documents", pa.large_list(pa.uint32())),
        pa.field("booleans", pa.large_list(pa.bool_())),
        pa.field("floats", pa.large_list(pa.float64())),
        pa.field("integers", pa.large_list(pa.int64())),
        pa.field("codes", pa.large_list(pa.uint32())),
        pa.field("strings", pa.large_list(pa.large_string())),
        pa.field("moments", pa.large_list(pa.timestamp("us", "UTC"))),
    ]
)
