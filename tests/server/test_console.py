"""The page at /ui in a real browser: what it shows, what it refuses to run, who can use it."""

import json
import re
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Route, expect, sync_playwright

CHROMIUM = Path("/usr/bin/chromium")
SEARCH = re.compile("/search$")

pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason=f"no browser at {CHROMIUM}")


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-background-networking", "--disable-quic"]
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield launched
        launched.close()


@pytest.fixture
def page(browser, live):
    """A fresh page; whatever it writes to the console, loads from elsewhere or throws is wrong."""
    opened = browser.new_page(viewport={"width": 1200, "height": 900})
    opened.set_default_timeout(10_000)
    wrong = []
    # Chromium reports every answer with an error status; those are provoked here.
    opened.on(
        "console",
        lambda message: (
            None if "Failed to load resource" in message.text else wrong.append(message.text)
        ),
    )
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.on("dialog", lambda dialog: wrong.append(dialog.message))
    opened.on(
        "request",
        lambda request: None if request.url.startswith(live.url) else wrong.append(request.url),
    )
    opened.goto(f"{live.url}/ui")
    yield opened
    opened.close()
    assert wrong == []


def ask(page, query):
    page.get_by_role("searchbox").fill(query)
    expect(page.locator("#status")).to_have_text(re.compile("The best of|Nothing in"))


def overflows(page):
    return page.evaluate("document.documentElement.scrollWidth > window.innerWidth")


def violations(page):
    """Names of the accessibility rules that the page breaks."""
    return [found["id"] for found in Axe().run(page).response["violations"]]


def test_it_starts_with_the_collection_and_the_box(page):
    expect(page.get_by_role("status")).to_have_text("7 documents in animals")
    expect(page.get_by_role("searchbox")).to_be_focused()
    expect(page.locator("#aside")).to_be_hidden()
    assert violations(page) == []


def test_it_searches_as_one_types(page, collection):
    ask(page, "deep sea hunting")
    expected = [hit.title for hit in collection.search("deep sea hunting")]
    expect(page.locator("#hits h2")).to_have_text(expected)
    assert page.url.endswith("?q=deep+sea+hunting&c=animals")
    assert page.title() == "deep sea hunting - Lexidex"
    expect(page.locator("#time dt")).to_have_text(
        ["encode", "search", "fetch", "explain", "round trip"]
    )


def test_matched_words_are_shaded_by_what_they_add(page, collection):
    ask(page, "deep sea hunting")
    terms = collection.explain("deep sea hunting", "shark").terms
    hit = page.locator(".hit").filter(has_text="About the shark")
    marks = hit.locator(".text mark")
    assert marks.all_text_contents() == ["hunt", "sea", "deep", "sea"]
    shades = {
        mark.text_content(): mark.evaluate("m => getComputedStyle(m).backgroundColor")
        for mark in marks.all()
    }
    strength = {word: float(shade.split()[-1].strip(")")) for word, shade in shades.items()}
    order = [term.term for term in terms]
    assert sorted(strength, key=lambda word: -strength[word]) == order
    expect(hit.locator(".chip")).to_have_text([f"{t.term}{t.product:.2f}" for t in terms])


def test_the_query_is_shown_as_it_is_read(page, collection):
    ask(page, "deep sea nosuchword")
    vector = collection.encoder.encode_queries(["deep sea nosuchword"])
    weights = sorted(vector.data.tolist(), reverse=True)
    expect(page.locator("#terms .figure")).to_have_text([f"{weight:.2f}" for weight in weights])
    expect(page.locator("#terms .ignored")).to_have_text("In no document: nosuchword")


def test_why_a_score_adds_up(page):
    ask(page, "deep sea")
    hit = page.locator(".hit").first
    hit.get_by_text("Why this score").click()
    rows = hit.locator("tbody tr")
    products = [float(row.locator("td").nth(2).text_content()) for row in rows.all()]
    assert sum(products) == pytest.approx(float(hit.locator(".score").text_content()), abs=0.02)
    shares = [row.locator("td").last.text_content() for row in rows.all()]
    assert sum(int(share.rstrip(" %")) for share in shares) == pytest.approx(100, abs=1)
    assert violations(page) == []


def test_matches_by_expansion_stand_apart(page):
    def expanded(route: Route):
        answer = route.fetch().json()
        answer["hits"][0]["terms"].append(
            {"term": "ocean", "query": 1.0, "document": 0.4, "product": 0.4}
        )
        route.fulfill(json=answer)

    page.route(SEARCH, expanded)
    ask(page, "sea")
    hits = page.locator(".hit")
    expect(hits.first.get_by_role("list", name="Matches by expansion")).to_have_text("ocean0.40")
    expect(hits.first).to_contain_text("By expansion, not in the text:")
    expect(hits.last.locator(".expanded")).to_have_count(0)


def test_hostile_text_is_shown_and_not_run(page):
    ask(page, "wolves <img src=x onerror=alert(1)> <script>alert(2)</script>")
    hit = page.locator(".hit").first
    expect(hit.locator("h2")).to_have_text("About <i>hostile</i>")
    expect(hit.locator(".text")).to_contain_text(
        "</script><img src=x onerror=\"document.title='run'\"> wolves & <b>foxes</b>"
    )
    expect(page.locator("main img, main script, #hits b, #hits i")).to_have_count(0)
    assert "Lexidex" in page.title()


def test_scripts_from_elsewhere_and_inline_are_forbidden(browser, live):
    page = browser.new_page()
    policy = page.goto(f"{live.url}/ui/").headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self';")
    assert "unsafe" not in policy
    refused = page.evaluate(
        """() => { try { document.body.innerHTML = "<b>x</b>"; return ""; }
                   catch (error) { return error.name; } }"""
    )
    assert refused == "TypeError"
    page.close()


def test_highlights_fit_beyond_the_basic_plane(page):
    ask(page, "parrots talkative")
    expect(page.locator(".text mark")).to_have_text(["parrots", "talkative"])


def test_a_long_text_is_cut_around_its_matches(page):
    ask(page, "hedgehog")
    text = page.locator(".text")
    expect(text.locator("mark")).to_have_text("hedgehog")
    assert len(text.text_content()) < 400
    page.get_by_role("button", name="Show all of it").press("Enter")
    assert len(text.text_content()) > 2500
    page.get_by_role("button", name="Show less").click()
    assert len(text.text_content()) < 400


def test_an_empty_box_and_no_results_are_said(page):
    ask(page, "nosuchword")
    expect(page.get_by_role("heading", name="No document matches")).to_be_visible()
    expect(page.locator("#notice")).to_contain_text("In no document: nosuchword")
    assert violations(page) == []
    page.get_by_role("searchbox").fill("  ")
    expect(page.get_by_role("status")).to_have_text("7 documents in animals")
    expect(page.locator(".hit")).to_have_count(0)
    assert "q=" not in page.url


def test_an_error_says_what_and_can_be_tried_again(page):
    problem = {"title": "Corrupt file", "detail": "a detail <b>", "request_id": "abc"}
    page.route(SEARCH, lambda route: route.fulfill(status=500, body=json.dumps(problem)))
    page.get_by_role("searchbox").fill("sea")
    alert = page.get_by_role("alert")
    for part in ("Corrupt file", "a detail <b>", "Request abc"):
        expect(alert).to_contain_text(part)
    assert violations(page) == []
    page.unroute(SEARCH)
    page.get_by_role("button", name="Try again").click()
    expect(page.locator(".hit")).to_have_count(2)
    expect(alert).to_have_count(0)


def test_a_server_that_is_gone_is_said(page):
    page.route("**/v1/**", lambda route: route.abort())
    page.get_by_role("searchbox").fill("sea")
    expect(page.get_by_role("alert")).to_contain_text("The server cannot be reached")


def test_a_late_answer_does_not_replace_a_newer_one(page):
    held = []
    page.route(SEARCH, lambda route: route.continue_() if held else held.append(route))
    page.get_by_role("searchbox").fill("eagles")
    expect(page.locator("body.busy")).to_have_count(1)
    while not held:
        page.wait_for_timeout(10)
    ask(page, "sharks")
    held[0].continue_()
    page.wait_for_timeout(200)
    expect(page.locator("#hits h2")).to_have_text("About the shark")


def test_another_collection_can_be_chosen(page):
    chooser = page.get_by_label("Collection", exact=True)
    expect(chooser).to_be_enabled()
    ask(page, "sea")
    chooser.select_option("points")
    expect(page.get_by_role("alert")).to_contain_text("this collection has no text encoder")
    assert page.url.endswith("?q=sea&c=points")


def test_more_results_follow(page):
    hits = [
        {"id": str(n), "score": 1.0, "title": None, "text": "sea", "metadata": {}}
        | {"terms": [{"term": "sea", "query": 1.0, "document": 1.0, "product": 1.0}]}
        | {"highlights": [{"field": "text", "start": 0, "end": 3, "term": "sea", "product": 1.0}]}
        for n in range(13)
    ]

    def paged(route: Route):
        answer = route.fetch().json()
        asked = route.request.post_data_json
        answer["hits"] = hits[asked["offset"] : asked["offset"] + asked["k"]]
        route.fulfill(json=answer)

    page.route(SEARCH, paged)
    ask(page, "sea")
    expect(page.locator("#hits h2")).to_have_text([str(n) for n in range(10)])
    page.get_by_role("button", name="Show more").click()
    expect(page.locator("#hits h2")).to_have_text([str(n) for n in range(13)])
    expect(page.locator(".rank").last).to_have_text("13")
    expect(page.get_by_role("button", name="Show more")).to_be_hidden()


def test_it_can_be_used_by_keyboard_alone(page):
    page.keyboard.type("sea")
    expect(page.locator(".hit")).to_have_count(2)
    page.keyboard.press("Tab")
    focused = page.locator("summary:focus")
    expect(focused).to_have_count(1)
    page.keyboard.press("Enter")
    expect(page.locator("details[open]")).to_have_count(1)
    page.keyboard.press("/")
    expect(page.get_by_role("searchbox")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator(".hit")).to_have_count(0)
    page.keyboard.type("eagles/")
    expect(page.get_by_role("searchbox")).to_have_value("eagles/")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1200])
def test_results_fit_and_are_accessible(browser, live, width, scheme):
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page.goto(f"{live.url}/ui?q=deep+sea+wolves+hedgehog+nosuchword")
    expect(page.locator(".hit")).to_have_count(4)
    page.get_by_text("Why this score").first.click()
    assert not overflows(page)
    assert violations(page) == []
    page.close()
