"""Which words of a document a query's terms are found in, and how much each adds to the score."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lexidex.encoders import Encoder
from lexidex.results import Explanation


@dataclass(frozen=True, slots=True)
class Highlight:
    """A stretch of `field` that shows `term`; `start` and `end` count Unicode code points."""

    field: str
    start: int
    end: int
    term: str
    product: float


def highlights(
    encoder: Encoder, explanation: Explanation, fields: Mapping[str, str | None]
) -> list[Highlight]:
    """Every place in `fields` that shows a term of the explanation, in order.

    Terms that no place shows matched by expansion: the encoder gave them to the document although
    its text does not have them.
    """
    products = {encoder.component(term.term): term for term in explanation.terms}
    return [
        Highlight(name, start, end, products[component].term, products[component].product)
        for name, text in fields.items()
        for start, end, component in encoder.spans(text or "")
        if component in products
    ]
