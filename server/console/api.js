// The server's API, and what it says when something is wrong.

export class Problem extends Error {
  /**
   * @param {string} title
   * @param {string} detail
   * @param {string} requestId
   */
  constructor(title, detail, requestId) {
    super(detail);
    this.title = title;
    this.requestId = requestId;
  }
}

/** Every collection that is served. */
export async function collections() {
  return (await ask("../v1/collections")).collections;
}

/** The hits of a query, with the terms of every score and where the text shows them. */
export function search(collection, query, k, offset, signal) {
  return post(collection, "search", { query, k, offset, explain: true, highlight: true }, signal);
}

/** The query as the encoder reads it. */
export function encode(collection, query, signal) {
  return post(collection, "encode", { query }, signal);
}

function post(collection, what, body, signal) {
  return ask(`../v1/collections/${encodeURIComponent(collection)}/${what}`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
    signal,
  });
}

async function ask(url, options) {
  let response, answer;
  try {
    response = await fetch(url, options);
    answer = await response.json();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    const detail = response ? `It answered with status ${response.status}.` : "Is it still running?";
    throw new Problem("The server cannot be reached", detail, "");
  }
  if (!response.ok) throw new Problem(answer.title, answer.detail, answer.request_id);
  return answer;
}
