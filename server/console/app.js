// The page: what is typed becomes a search, an answer becomes what is shown.

import { collections, encode, Problem, search } from "./api.js";
import { documents, hitView, notice, problemNotice, struck, termsView, timeView } from "./views.js";

const PAGE = 10;
const PAUSE = 150;
const HINT = "Words that match are shaded by how much each of them adds to a document's score.";

const at = (id) => document.getElementById(id);
const query = at("query");
const chooser = at("collection");
const hits = at("hits");
const more = at("more");

let served = [];
let running = new AbortController();
let waiting;
/** What the shown results are for: {text, collection, most, n}. */
let shown = null;

async function start() {
  at("notice").replaceChildren();
  let all;
  try {
    all = await collections();
  } catch (error) {
    fail(error, start);
    return;
  }
  served = all.filter(({ error }) => !error);
  chooser.replaceChildren(...all.map(option));
  chooser.disabled = served.length < 2;
  const address = new URLSearchParams(location.search);
  if (served.some(({ name }) => name === address.get("c"))) chooser.value = address.get("c");
  query.value ||= address.get("q") ?? "";
  run();
}

/** A collection to choose, if it can be used. */
function option({ name, error }) {
  const made = new Option(error ? `${name} (damaged)` : name, name);
  made.disabled = Boolean(error);
  return made;
}

/** Search for what stands in the box; an answer to what stood there before is dropped. */
async function run() {
  clearTimeout(waiting);
  running.abort();
  running = new AbortController();
  const { signal } = running;
  const text = query.value.trim();
  const collection = served.find(({ name }) => name === chooser.value);
  if (!collection) return;
  remember(text, collection.name);
  if (!text) {
    clear(`${documents(collection.documents)} in ${collection.name}`);
    at("notice").replaceChildren(notice("", HINT));
    return;
  }
  document.body.classList.add("busy");
  const began = performance.now();
  try {
    const found = await search(collection.name, text, PAGE, 0, signal);
    found.roundTrip = performance.now() - began;
    // Not at the same time as the search, whose times it would make longer.
    const read = await encode(collection.name, text, signal);
    show(found, read, text, collection);
  } catch (error) {
    if (error.name !== "AbortError") fail(error, run);
  } finally {
    if (!signal.aborted) document.body.classList.remove("busy");
  }
}

function show(found, read, text, collection) {
  const most = {
    score: Math.max(...found.hits.map((hit) => hit.score)),
    product: Math.max(...found.hits.flatMap((hit) => hit.terms.map((term) => term.product))),
  };
  shown = { text, collection: collection.name, most, n: 0 };
  hits.replaceChildren();
  append(found.hits);
  at("terms").replaceChildren(...termsView(read.terms, found.ignored_terms));
  at("time").replaceChildren(...timeView(found.timings, found.roundTrip));
  at("aside").hidden = found.hits.length === 0;
  at("notice").replaceChildren(...(found.hits.length ? [] : [nothing(found.ignored_terms)]));
  at("status").textContent = found.hits.length
    ? `The best of ${documents(collection.documents)}`
    : `Nothing in ${documents(collection.documents)}`;
}

function append(found) {
  hits.append(...found.map((hit, place) => hitView(hit, shown.n + place + 1, shown.most)));
  shown.n += found.length;
  more.hidden = found.length < PAGE;
}

async function showMore() {
  more.disabled = true;
  try {
    const { signal } = running;
    const first = hits.children.length;
    append((await search(shown.collection, shown.text, PAGE, shown.n, signal)).hits);
    hits.children[first]?.querySelector("summary").focus({ preventScroll: true });
  } catch (error) {
    if (error.name !== "AbortError") fail(error, run);
  } finally {
    more.disabled = false;
  }
}

function nothing(ignored) {
  const message = notice("No document matches", "Fewer words, or others, may find some.");
  if (ignored.length) message.append(ignoredLine(ignored));
  return message;
}

function ignoredLine(words) {
  const line = document.createElement("p");
  line.append("In no document: ", ...struck(words));
  return line;
}

function clear(status) {
  shown = null;
  hits.replaceChildren();
  at("notice").replaceChildren();
  at("aside").hidden = true;
  more.hidden = true;
  document.body.classList.remove("busy");
  at("status").textContent = status;
}

function fail(error, retry) {
  clear("");
  const problem =
    error instanceof Problem ? error : new Problem("This page failed", String(error), "");
  at("notice").replaceChildren(problemNotice(problem, retry));
}

/** The address leads back here, and can be sent to others. */
function remember(text, collection) {
  const address = new URLSearchParams();
  if (text) address.set("q", text);
  if (served.length > 1) address.set("c", collection);
  document.title = text ? `${text} - Lexidex` : "Lexidex";
  history.replaceState(null, "", address.size ? `?${address}` : location.pathname);
}

query.addEventListener("input", () => {
  clearTimeout(waiting);
  waiting = setTimeout(run, PAUSE);
});
at("form").addEventListener("submit", (event) => {
  event.preventDefault();
  run();
});
chooser.addEventListener("change", run);
more.addEventListener("click", showMore);
document.addEventListener("keydown", (event) => {
  const typing = event.target.closest?.("input, select, textarea");
  if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
    event.preventDefault();
    query.focus();
    query.select();
  }
  if (event.key === "Escape" && event.target === query && query.value) {
    query.value = "";
    run();
  }
});

start();
