"""Published models from a hub, against scores that sentence-transformers' own tests state."""

from __future__ import annotations

import pytest

from lexidex.encoders import load_encoder

pytestmark = pytest.mark.network

OPENSEARCH = "opensearch-project/opensearch-neural-sparse-encoding"

PLANETS = [
    "Venus is often called Earth's twin because of its similar size and proximity.",
    "Mars, known for its reddish appearance, is often referred to as the Red Planet.",
    "Jupiter, the largest planet in our solar system, has a prominent red spot.",
    "Saturn, famous for its rings, is sometimes mistaken for the Red Planet.",
]

SCORES = {
    "naver/splade-cocondenser-ensembledistil": [8.42, 22.56, 17.55, 17.44],
    "naver/splade-v3": [12.22, 26.24, 22.12, 23.50],
    f"{OPENSEARCH}-doc-v2-mini": [5.63, 14.10, 12.42, 13.27],
    "rasyosef/splade-mini": [5.95, 17.59, 14.06, 16.57],
    "rasyosef/splade-tiny": [4.93, 18.54, 12.61, 13.89],
    "ibm-granite/granite-embedding-30m-sparse": [6.01, 16.72, 10.87, 10.55],
}
"""Stated in bfloat16, so to about a hundredth of their size."""


def scores(name, query, documents):
    encoder = load_encoder(name)
    found = encoder.encode_documents(documents) @ encoder.encode_queries([query]).T
    return found.toarray()[:, 0]


@pytest.mark.parametrize(
    ("name", "score"), [("doc-v2-distill", 17.5307), ("doc-v3-distill", 11.1105)]
)
def test_inference_free_models_give_the_score_of_their_card(name, score):
    query, document = "What's the weather in ny now?", "Currently New York is rainy."
    assert scores(f"{OPENSEARCH}-{name}", query, [document]) == pytest.approx([score], abs=1e-3)


def test_terms_have_the_weights_of_the_card():
    encoder = load_encoder(f"{OPENSEARCH}-doc-v2-distill")
    query = encoder.encode_queries(["What's the weather in ny now?"])
    document = encoder.encode_documents(["Currently New York is rainy."])
    for term, asked, told in [("ny", 5.7729, 1.4109), ("weather", 4.5684, 1.4673)]:
        component = encoder.component(term)
        assert query[0, component] == pytest.approx(asked, abs=1e-3)
        assert document[0, component] == pytest.approx(told, abs=1e-3)


@pytest.mark.parametrize("name", SCORES)
def test_models_give_the_scores_that_sentence_transformers_states(name):
    found = scores(name, "Which planet is known as the Red Planet?", PLANETS)
    assert found == pytest.approx(SCORES[name], rel=0.02)
