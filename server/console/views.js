// Answers as elements. Text from the server goes in as text nodes and nothing else, so that whatever
// a document holds is shown and never run.

import { excerpt, inUnits, pieces } from "./text.js";

const EXCERPT = 320;
const CHIPS = 6;
const number = new Intl.NumberFormat("en", { maximumFractionDigits: 2, minimumFractionDigits: 2 });
const count = new Intl.NumberFormat("en");

/**
 * An element with a class and children; strings become text nodes.
 * @param {string} name
 * @param {string} className
 * @param {...(Node | string)} children
 */
export function el(name, className, ...children) {
  const element = document.createElement(name);
  if (className) element.className = className;
  element.append(...children);
  return element;
}

/** "6,836 documents" */
export function documents(n) {
  return `${count.format(n)} document${n === 1 ? "" : "s"}`;
}

/** A message in the place of results; without a title when that is empty. */
export function notice(title, ...lines) {
  const shown = el("div", "notice", ...lines.map((line) => el("p", "", line)));
  if (title) shown.prepend(el("h2", "", title));
  return shown;
}

/** A problem in the place of results, with a way to try again. */
export function problemNotice(problem, retry) {
  const shown = notice(problem.title, problem.message);
  if (problem.requestId) shown.append(el("p", "faint", `Request ${problem.requestId}`));
  const button = el("button", "more", "Try again");
  button.type = "button";
  button.addEventListener("click", retry);
  shown.append(button);
  shown.classList.add("wrong");
  shown.setAttribute("role", "alert");
  return shown;
}

/**
 * One hit.
 * @param {object} hit
 * @param {number} rank from 1
 * @param {{score: number, product: number}} most the largest score and product, for full bars
 */
export function hitView(hit, rank, most) {
  const title = hit.title || hit.id;
  const heading = el("h2", "title");
  heading.dir = "auto";
  heading.append(...marked(title, hit.title ? of("title", hit) : [], 0, title.length, most));
  const head = el("div", "hit-head", el("span", "rank", String(rank)), heading, score(hit, most));
  const article = el("article", "hit", head);
  if (hit.title && hit.title !== hit.id) article.append(el("p", "id", hit.id));
  if (hit.text) article.append(textView(hit, most));
  article.append(matches(hit, most), why(hit));
  return el("li", "", article);
}

/** The query's terms as bars, and what no document has. */
export function termsView(weights, ignored) {
  const terms = Object.entries(weights).sort((a, b) => b[1] - a[1]);
  const most = terms.length ? terms[0][1] : 1;
  const list = el("ol", "bars");
  for (const [term, weight] of terms) {
    const bar = el("span", "bar");
    bar.style.setProperty("--share", String(weight / most));
    const label = el("span", "bar-term", term);
    list.append(el("li", "", label, bar, el("span", "figure", number.format(weight))));
  }
  const shown = [el("h2", "", "The query, as it is read"), list];
  if (ignored.length) shown.push(el("p", "ignored", "In no document: ", ...struck(ignored)));
  return shown;
}

/** Where the time went, and how long the answer took to arrive. */
export function timeView(timings, roundTrip) {
  const names = { encode_us: "encode", search_us: "search", fetch_us: "fetch", explain_us: "explain" };
  const parts = Object.keys(names).filter((part) => timings[part] !== undefined);
  const total = parts.reduce((sum, part) => sum + timings[part], 0);
  const bar = el("div", "stack");
  const list = el("dl", "times");
  for (const part of parts) {
    const slice = el("span", `slice ${names[part]}`);
    slice.style.setProperty("--share", String(timings[part] / total));
    bar.append(slice);
    list.append(timed(names[part], names[part], timings[part]));
  }
  list.append(timed("", "round trip", 1000 * roundTrip));
  return [el("h2", "", "Time"), bar, list];
}

/** Words crossed out, with spaces between them. */
export function struck(words) {
  return words.flatMap((word, place) => [place ? " " : "", el("s", "", word)]);
}

function timed(className, name, microseconds) {
  return el("div", "", el("dt", className, name), el("dd", "figure", duration(microseconds)));
}

function textView(hit, most) {
  const highlights = inUnits(hit.text, of("text", hit));
  const [start, end] = excerpt(hit.text, highlights, EXCERPT);
  const text = el("p", "text");
  text.dir = "auto";
  const show = (from, to) => {
    text.replaceChildren(...marked(hit.text, highlights, from, to, most));
    if (from > 0) text.prepend("…\u00a0");
    if (to < hit.text.length) text.append("\u00a0…");
  };
  show(start, end);
  if (end - start === hit.text.length) return text;
  const button = el("button", "link", "Show all of it");
  button.type = "button";
  button.setAttribute("aria-expanded", "false");
  button.addEventListener("click", () => {
    const all = text.classList.toggle("whole");
    button.setAttribute("aria-expanded", String(all));
    button.textContent = all ? "Show less" : "Show all of it";
    show(all ? 0 : start, all ? hit.text.length : end);
  });
  return el("div", "", text, button);
}

function marked(text, highlights, start, end, most) {
  return pieces(text, highlights, start, end).map((piece) => {
    if (!piece.highlight) return piece.text;
    const mark = el("mark", "", piece.text);
    mark.style.setProperty("--share", String(piece.highlight.product / most.product));
    mark.title = `${piece.highlight.term}: ${number.format(piece.highlight.product)}`;
    return mark;
  });
}

function score(hit, most) {
  const bar = el("span", "score-bar");
  for (const term of hit.terms) {
    const slice = el("span", "slice");
    slice.style.setProperty("--width", String(term.product / most.score));
    slice.style.setProperty("--share", String(term.product / most.product));
    bar.append(slice);
  }
  return el("span", "score", bar, el("span", "figure", number.format(hit.score)));
}

/** What each term adds; terms that the text does not show stand apart. */
function matches(hit, most) {
  const shown = new Set(hit.highlights.map((highlight) => highlight.term));
  const inText = hit.terms.filter((term) => shown.has(term.term));
  const expanded = hit.terms.filter((term) => !shown.has(term.term));
  const list = el("div", "matches");
  if (inText.length) list.append(chips("Words that match", inText, "chip", most));
  if (expanded.length) {
    list.append(el("span", "apart", "By expansion, not in the text:"));
    list.append(chips("Matches by expansion", expanded, "chip expanded", most));
  }
  return list;
}

function chips(label, terms, className, most) {
  const list = el("ul", "chips");
  list.setAttribute("aria-label", label);
  for (const term of terms.slice(0, CHIPS)) {
    const chip = el("li", className, term.term, el("span", "figure", number.format(term.product)));
    chip.style.setProperty("--share", String(term.product / most.product));
    list.append(chip);
  }
  if (terms.length > CHIPS) list.append(el("li", "faint", `and ${terms.length - CHIPS} more`));
  return list;
}

function why(hit) {
  const table = el("table", "why");
  const head = el("tr", "");
  for (const name of ["term", "query", "document", "product", "share"]) {
    const cell = el("th", "", name);
    cell.scope = "col";
    head.append(cell);
  }
  table.append(el("thead", "", head));
  const body = el("tbody", "");
  for (const term of hit.terms) {
    const name = el("th", "", term.term);
    name.scope = "row";
    const share = `${Math.round((100 * term.product) / hit.score)} %`;
    const numbers = [term.query, term.document, term.product].map((n) => number.format(n));
    body.append(el("tr", "", name, ...[...numbers, share].map((n) => el("td", "figure", n))));
  }
  table.append(body);
  return el("details", "", el("summary", "", "Why this score"), table);
}

function of(field, hit) {
  return hit.highlights.filter((highlight) => highlight.field === field);
}

function duration(microseconds) {
  if (microseconds < 1000) return `${Math.round(microseconds)} µs`;
  return `${(microseconds / 1000).toFixed(microseconds < 10000 ? 1 : 0)} ms`;
}
