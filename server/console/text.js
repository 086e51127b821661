// Highlighted text: from places that the server counts in code points to pieces that can be shown.

/**
 * @typedef {{field: string, start: number, end: number, term: string, product: number}} Highlight
 * @typedef {{text: string, highlight: Highlight | null}} Piece
 */

/**
 * Highlights of one field with `start` and `end` in UTF-16 units, in which JavaScript counts;
 * characters beyond the first 65,536 are one code point and two such units.
 * @param {string} text
 * @param {Highlight[]} highlights
 * @returns {Highlight[]}
 */
export function inUnits(text, highlights) {
  if (!/[\ud800-\udbff]/.test(text)) return highlights;
  const units = [];
  let at = 0;
  for (const character of text) {
    units.push(at);
    at += character.length;
  }
  units.push(at);
  return highlights.map((h) => ({ ...h, start: units[h.start], end: units[h.end] }));
}

/**
 * The stretch of about `size` units that shows the most of the score.
 * @param {string} text
 * @param {Highlight[]} highlights in order of their starts
 * @param {number} size
 * @returns {[number, number]}
 */
export function excerpt(text, highlights, size) {
  if (text.length <= size) return [0, text.length];
  let best = 0;
  let bestWorth = 0;
  for (let i = 0; i < highlights.length; i++) {
    const terms = new Map();
    const limit = highlights[i].start + 0.8 * size;
    for (let j = i; j < highlights.length && highlights[j].end <= limit; j++) {
      terms.set(highlights[j].term, highlights[j].product);
    }
    const worth = [...terms.values()].reduce((sum, product) => sum + product, 0);
    if (worth > bestWorth) [best, bestWorth] = [highlights[i].start, worth];
  }
  const start = best < 0.3 * size ? 0 : afterSpace(text, best - 0.15 * size, best);
  const end = start + size >= text.length ? text.length : beforeSpace(text, start, start + size);
  return [start, end];
}

/**
 * `text` from `start` to `end`, cut where highlights begin and end.
 * @param {string} text
 * @param {Highlight[]} highlights in order of their starts
 * @returns {Piece[]}
 */
export function pieces(text, highlights, start, end) {
  const found = [];
  let at = start;
  for (const h of highlights) {
    if (h.start < at || h.end > end) continue;
    if (h.start > at) found.push({ text: text.slice(at, h.start), highlight: null });
    found.push({ text: text.slice(h.start, h.end), highlight: h });
    at = h.end;
  }
  if (at < end) found.push({ text: text.slice(at, end), highlight: null });
  return found;
}

function afterSpace(text, from, limit) {
  const space = text.slice(Math.floor(from), limit).search(/\s/);
  return space < 0 ? limit : Math.floor(from) + space + 1;
}

function beforeSpace(text, from, limit) {
  const space = text.slice(from, limit).search(/\s\S*$/);
  return space <= 0 ? limit : from + space;
}
