// Boxes of one picture, suggested and corrected. All functions are pure: edits in, edits out.

/**
 * Edits are {own, decided}: `own` are the user's boxes {id, classIndex, xyxy, score, spared}; `decided` are places
 * {classIndex, xyxy, spared} where a suggestion was taken over or deleted, and where none shall be shown again.
 * `spared` are the other boxes of the class at that moment: they were seen and left as they are, so they stay.
 */
export const NO_EDITS = { own: [], decided: [] };
export const SMALLEST = 2;
const INSIDE = 0.5;
const SAME = 0.5;

let numbers = 0;
const newId = () => `own-${(numbers += 1)}`;

/** Names for suggestions, the same for the n-th of its class at any setting, so that focus and selection stay. */
export function named(suggestions) {
  const counts = new Map();
  return suggestions.map((box) => {
    const number = counts.get(box.classIndex) ?? 0;
    counts.set(box.classIndex, number + 1);
    return { ...box, id: `suggested-${box.classIndex}-${number}` };
  });
}

/** What is shown and exported: the user's boxes, and the suggestions about which nothing was decided. */
export function visible(edits, suggestions) {
  const places = [...edits.own, ...edits.decided];
  const open = suggestions.filter((box) => !places.some((place) => hides(place, box)));
  return [...edits.own, ...open];
}

/** Whether a suggestion lies mostly in a place about which was decided. */
function hides(place, box) {
  if (place.classIndex !== box.classIndex || common(place.xyxy, box.xyxy) < INSIDE * area(box.xyxy)) return false;
  return !place.spared.some((xyxy) => iou(xyxy, box.xyxy) >= SAME);
}

const area = ([x0, y0, x1, y1]) => (x1 - x0) * (y1 - y0);

function common(one, other) {
  const width = Math.min(one[2], other[2]) - Math.max(one[0], other[0]);
  const height = Math.min(one[3], other[3]) - Math.max(one[1], other[1]);
  return width > 0 && height > 0 ? width * height : 0;
}

function iou(one, other) {
  const both = common(one, other);
  return both / (area(one) + area(other) - both);
}

/** The places of the other boxes of a class. */
function spare(shown, classIndex, id) {
  return shown.filter((other) => other.classIndex === classIndex && other.id !== id).map((other) => other.xyxy);
}

export const isOwn = (edits, id) => edits.own.some((box) => box.id === id);

/** Give a box another place or class; a suggestion becomes the user's. Returns the edits and the box's id. */
export function changed(edits, box, values, shown) {
  if (isOwn(edits, box.id)) {
    const own = edits.own.map((other) => (other.id === box.id ? { ...other, ...values, score: null } : other));
    return [{ ...edits, own }, box.id];
  }
  const spared = spare(shown, box.classIndex, box.id), score = Object.keys(values).length ? null : box.score;
  const accepted = { ...box, score, ...values, id: newId(), spared };
  const decided = [...edits.decided, { classIndex: box.classIndex, xyxy: box.xyxy, spared }];
  return [{ own: [...edits.own, accepted], decided }, accepted.id];
}

export function added(edits, classIndex, xyxy, shown) {
  const box = { id: newId(), classIndex, xyxy, score: null, spared: spare(shown, classIndex, null) };
  return [{ ...edits, own: [...edits.own, box] }, box.id];
}

export function deleted(edits, box, shown) {
  const own = edits.own.filter((other) => other.id !== box.id);
  const place = { classIndex: box.classIndex, xyxy: box.xyxy, spared: spare(shown, box.classIndex, box.id) };
  return { own, decided: [...edits.decided, place] };
}

const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

/** A box moved by (dx, dy) as far as the picture reaches. */
export function moved([x0, y0, x1, y1], dx, dy, { width, height }) {
  const x = clamp(dx, -x0, width - x1), y = clamp(dy, -y0, height - y1);
  return [x0 + x, y0 + y, Math.min(x1 + x, width), Math.min(y1 + y, height)]; // sums round
}

/** A box some of whose edges ("n", "s", "w", "e") are moved by (dx, dy); it keeps an area. */
export function resized([x0, y0, x1, y1], edges, dx, dy, { width, height }) {
  return [
    edges.includes("w") ? clamp(x0 + dx, 0, x1 - SMALLEST) : x0,
    edges.includes("n") ? clamp(y0 + dy, 0, y1 - SMALLEST) : y0,
    edges.includes("e") ? clamp(x1 + dx, x0 + SMALLEST, width) : x1,
    edges.includes("s") ? clamp(y1 + dy, y0 + SMALLEST, height) : y1,
  ];
}

/** The box between two corners, inside the picture. */
export function spanned(one, other, { width, height }) {
  const [xa, xb] = [one.x, other.x].sort((a, b) => a - b), [ya, yb] = [one.y, other.y].sort((a, b) => a - b);
  return [clamp(xa, 0, width), clamp(ya, 0, height), clamp(xb, 0, width), clamp(yb, 0, height)].map(Math.round);
}

/** The box that numbers typed by a person mean, brought into the picture. */
export function sane([x0, y0, x1, y1], { width, height }) {
  const [left, top] = [clamp(x0 || 0, 0, width - SMALLEST), clamp(y0 || 0, 0, height - SMALLEST)];
  return [left, top, clamp(x1 || 0, left + SMALLEST, width), clamp(y1 || 0, top + SMALLEST, height)];
}

/** Undo and redo over edits. Steps with the same `merge` key within a second become one. */
export class History {
  constructor() {
    this.now = NO_EDITS;
    this.past = [];
    this.future = [];
    this.last = { merge: null, time: 0 };
  }

  push(edits, merge = null) {
    const time = performance.now();
    const joined = merge !== null && merge === this.last.merge && time - this.last.time < 1000;
    if (!joined) this.past.push(this.now);
    this.future = [];
    this.now = edits;
    this.last = { merge, time };
  }

  undo() { return this.#step(this.past, this.future); }

  redo() { return this.#step(this.future, this.past); }

  #step(from, to) {
    if (from.length === 0) return false;
    to.push(this.now);
    this.now = from.pop();
    this.last = { merge: null, time: 0 };
    return true;
  }
}
