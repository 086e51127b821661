"""Fifty clients at once get the answers that the library gives to one."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from .conftest import ANIMALS

CLIENTS = 50
ROUNDS = 12
QUERIES = ["deep sea", "hunters in the air", "filler words", "ants, eagles and sharks", "nothing"]


@pytest.fixture(scope="module")
def expected(collection):
    return {query: collection.search(query, 5) for query in QUERIES}


def ids_and_scores(hits):
    return [(hit["id"], hit["score"]) for hit in hits]


def run_client(live, expected, number):
    """One keep-alive connection that asks everything in turn; returns what went wrong."""
    connection = live.connect()
    wrong = []
    for turn in range(ROUNDS):
        query = QUERIES[(number + turn) % len(QUERIES)]
        hits = [(hit.doc_id, hit.score) for hit in expected[query]]
        kind = (number + 7 * turn) % 4
        if kind == 3:
            status, answer = ask(live, connection, "search", {"query": query, "k": -number})
            right = status == 422 and answer["code"] == "invalid_request"
        elif kind == 2:
            status, answer = ask(live, connection, "search:batch", {"queries": QUERIES, "k": 5})
            found = answer["results"][QUERIES.index(query)]["hits"]
            right = status == 200 and ids_and_scores(found) == hits
        else:
            body = {"query": query, "k": 5, "explain": kind == 1, "highlight": kind == 1}
            status, answer = ask(live, connection, "search", body)
            right = status == 200 and ids_and_scores(answer["hits"]) == hits
            right &= all(hit["text"] == ANIMALS[hit["id"]] for hit in answer["hits"])
        if not right:
            wrong.append((query, kind, status, answer))
    connection.close()
    return wrong


def ask(live, connection, what, body):
    return live.post(f"/v1/collections/animals/{what}", body, connection)


def test_fifty_clients_get_the_right_answers(live, expected):
    with ThreadPoolExecutor(CLIENTS) as clients:
        wrong = list(clients.map(lambda n: run_client(live, expected, n), range(CLIENTS)))
    assert wrong == [[]] * CLIENTS
