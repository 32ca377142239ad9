// The picture with its heat map and boxes: what is drawn on it, and what pointer and keys do.

import * as edit from "./boxes.js";
import { announce, byId, colorOf, make, percentIfAny } from "./dom.js";

const EDGES = ["n", "s", "w", "e", "nw", "ne", "sw", "se"];
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const CLICK = 4; // pixels of the screen that a click may slip

/** Why a browser does not show a picture as the server looked at it; nothing where it does. */
function unshown({ naturalWidth, naturalHeight }, { width, height }) {
  if (naturalWidth === 0) return "This browser cannot show pictures of this type. The boxes are right all the same.";
  // Resolutions in a file may change the size that a browser tells, but not the shape.
  const isUpright = Math.abs(naturalWidth * height - naturalHeight * width) <= Math.max(width, height);
  return isUpright ? "" : "This browser cannot show this picture upright. The boxes are right for the upright picture.";
}

export class Stage {
  constructor(session, changed) {
    this.session = session;
    this.changed = changed;
    this.elements = new Map();
    this.drawing = false;
    this.shownHeat = null;
    this.stage = byId("stage");
    this.layer = byId("boxes");
    this.stage.addEventListener("pointerdown", (event) => this.#press(event));
    this.stage.addEventListener("keydown", (event) => this.#key(event));
    this.layer.addEventListener("focusin", (event) => {
      const element = event.target.closest(".box");
      if (element) this.select(element.dataset.id);
    });
    byId("photo").addEventListener("load", () => {
      this.#fit();
      this.changed();
    });
    byId("photo").addEventListener("error", () => this.changed());
  }

  get picture() { return this.session.current; }

  get size() { return this.picture.answer; }

  get boxes() { return this.session.boxesOf(this.picture); }

  get selected() { return this.boxes.find((box) => box.id === this.picture.selected) ?? null; }

  nameOf(box) { return this.session.model.classes[box.classIndex]; }

  colorOf(box) {
    const place = this.picture.labels.findIndex((label) => label.index === box.classIndex);
    return colorOf(place < 0 ? box.classIndex : place);
  }

  select(id) {
    if (this.picture.selected === id) return;
    this.picture.selected = id;
    this.changed();
  }

  setDrawing(drawing) {
    this.drawing = drawing;
    this.changed();
    if (drawing) announce("Drag on the picture to draw a box.");
  }

  // ---- changes, each a step of the history

  commit([edits, id], { merge = null, focus = false } = {}) {
    this.picture.history.push(edits, merge);
    this.session.edited(this.picture);
    this.picture.selected = id ?? null;
    this.changed();
    this.render();
    if (focus) this.elements.get(id)?.focus();
  }

  place(box, xyxy, merge) {
    const focus = this.stage.contains(document.activeElement);
    this.commit(edit.changed(this.picture.history.now, box, { xyxy }, this.boxes), { merge, focus });
    announce(this.words(this.selected));
  }

  relabel(box, classIndex) {
    const focus = this.stage.contains(document.activeElement);
    this.commit(edit.changed(this.picture.history.now, box, { classIndex }, this.boxes), { focus });
    announce(`Now ${this.nameOf(this.selected)}.`);
  }

  accept(box) {
    if (edit.isOwn(this.picture.history.now, box.id)) return;
    this.commit(edit.changed(this.picture.history.now, box, {}, this.boxes), { focus: true });
    announce("Accepted: it stays as it is.");
  }

  remove(box) {
    const inside = this.stage.contains(document.activeElement);
    const place = this.boxes.indexOf(box);
    this.commit([edit.deleted(this.picture.history.now, box, this.boxes), null]);
    announce(`${this.nameOf(box)} deleted.`);
    if (!inside) return;
    const next = this.boxes[Math.min(place, this.boxes.length - 1)];
    (next ? this.elements.get(next.id) : this.stage).focus();
  }

  /** A box in the middle, for those who draw with keys. */
  addInTheMiddle() {
    const { width, height } = this.size;
    this.#add([width * 0.375, height * 0.375, width * 0.625, height * 0.625].map(Math.round));
  }

  #add(xyxy) {
    const classIndex = this.selected?.classIndex ?? this.picture.labels.find((label) => label.shown)?.index
      ?? this.picture.labels[0].index;
    this.drawing = false;
    this.commit(edit.added(this.picture.history.now, classIndex, xyxy, this.boxes), { focus: true });
    announce(`New box: ${this.words(this.selected)}`);
  }

  step(direction) {
    const { history } = this.picture;
    if (!(direction < 0 ? history.undo() : history.redo())) return;
    announce(direction < 0 ? "Undone." : "Done again.");
    this.session.edited(this.picture);
    this.changed();
  }

  discard() {
    this.commit([edit.NO_EDITS, null]);
    announce("All corrections of this picture are discarded; Undo brings them back.");
  }

  // ---- keys

  #key(event) {
    if (this.picture?.state !== "ready" || this.dragging || event.ctrlKey || event.metaKey) return;
    const box = this.selected;
    const known = this.#boxKey(event, box) || this.#stageKey(event);
    if (known) event.preventDefault();
  }

  #boxKey(event, box) {
    if (!box) return false;
    const { key } = event;
    if (key in ARROWS) this.#arrow(event, box);
    else if (key === "Delete" || key === "Backspace") this.remove(box);
    else if (key === "Enter") this.accept(box);
    else if (key === "Escape") {
      this.select(null);
      this.stage.focus();
    } else if (/^[1-9]$/.test(key) && this.picture.labels[key - 1]) {
      this.relabel(box, this.picture.labels[key - 1].index);
    } else return false;
    return true;
  }

  #arrow(event, box) {
    const step = event.shiftKey ? 10 : 1;
    const [dx, dy] = ARROWS[event.key].map((value) => value * step);
    const xyxy = event.altKey
      ? edit.resized(box.xyxy, "se", dx, dy, this.size)
      : edit.moved(box.xyxy, dx, dy, this.size);
    this.place(box, xyxy, `${event.altKey ? "resize" : "move"} ${box.id}`);
  }

  #stageKey({ key }) {
    if (key === "n" || key === "N") this.addInTheMiddle();
    else if (key === "?") byId("help").showModal();
    else if (key === "PageDown" || key === "PageUp") {
      this.session.step(key === "PageDown" ? 1 : -1);
      this.stage.focus();
    } else if (key === "Escape") this.setDrawing(false);
    else return false;
    return true;
  }

  // ---- pointer

  #at(event) {
    const frame = this.stage.getBoundingClientRect();
    const { width, height } = this.size;
    return {
      x: ((event.clientX - frame.left) / frame.width) * width,
      y: ((event.clientY - frame.top) / frame.height) * height,
    };
  }

  #press(event) {
    if (this.picture?.state !== "ready" || event.button !== 0) return;
    const element = this.drawing ? null : event.target.closest(".box");
    // A finger scrolls, and a tap selects; what is selected can be moved.
    const mayDrag = element ? element.dataset.id === this.picture.selected : this.drawing;
    if (event.pointerType === "touch" && !mayDrag) return;
    event.preventDefault();
    if (element) this.#dragBox(event, element);
    else this.#dragNew(event);
  }

  #dragBox(event, element) {
    element.focus({ preventScroll: true });
    const { edges } = event.target.dataset;
    const box = this.boxes.find((other) => other.id === element.dataset.id);
    const change = edges ? (dx, dy) => edit.resized(box.xyxy, edges, dx, dy, this.size)
      : (dx, dy) => edit.moved(box.xyxy, dx, dy, this.size);
    this.#drag(event, change, (xyxy) => this.place(box, xyxy.map(Math.round), null), element);
  }

  #dragNew(event) {
    this.stage.focus({ preventScroll: true }); // a number that was typed is taken before its box is left
    this.select(null);
    const from = this.#at(event);
    const fresh = make("div", { className: "box drawn" });
    this.layer.append(fresh);
    const change = (dx, dy) => edit.spanned(from, { x: from.x + dx, y: from.y + dy }, this.size);
    const done = (xyxy) => {
      if (xyxy[2] - xyxy[0] >= edit.SMALLEST && xyxy[3] - xyxy[1] >= edit.SMALLEST) this.#add(xyxy);
    };
    this.#drag(event, change, done, fresh, () => fresh.remove());
  }

  /** Follow a pointer until it is let go; `shape` makes a box from the way it went. */
  #drag(start, shape, done, element, end = () => {}) {
    const from = this.#at(start), { picture } = this, over = new AbortController();
    const listen = (type, listener) => this.stage.addEventListener(type, listener, { signal: over.signal });
    let xyxy = null;
    const finish = (event) => {
      over.abort();
      this.dragging = false;
      end();
      if (xyxy && event.type === "pointerup" && picture === this.picture) done(xyxy);
      this.changed();
    };
    this.dragging = true;
    this.stage.setPointerCapture(start.pointerId);
    listen("pointermove", (event) => {
      if (!xyxy && Math.hypot(event.clientX - start.clientX, event.clientY - start.clientY) < CLICK) return;
      const to = this.#at(event);
      xyxy = shape(to.x - from.x, to.y - from.y);
      this.#put(element, xyxy);
    });
    listen("pointerup", finish);
    listen("pointercancel", finish);
    listen("keydown", (event) => { if (event.key === "Escape") finish(event); });
  }

  // ---- drawing

  /** What the list of boxes says of one. */
  shareOf(box) { return edit.isOwn(this.picture.history.now, box.id) ? "yours" : percentIfAny(box.score); }

  words(box) {
    const [x0, y0, x1, y1] = box.xyxy.map(Math.round);
    const kind = edit.isOwn(this.picture.history.now, box.id) ? "yours" : "suggested";
    return `${this.nameOf(box)}, ${kind}, left ${x0}, top ${y0}, width ${x1 - x0}, height ${y1 - y0}`;
  }

  render() {
    const { picture } = this;
    this.stage.classList.toggle("drawing", this.drawing);
    byId("draw").setAttribute("aria-pressed", String(this.drawing));
    if (!picture) return;
    const photo = byId("photo");
    if (photo.dataset.key !== picture.key) {
      photo.dataset.key = picture.key;
      photo.src = picture.url;
      photo.alt = picture.name;
      this.#fit();
    }
    byId("busy").hidden = !["waiting", "working"].includes(picture.state);
    this.#renderUnshown();
    this.#renderHeat();
    if (!this.dragging) this.#renderBoxes();
  }

  /** Say so where the picture cannot be seen as the server looked at it; turned otherwise it would only mislead. */
  #renderUnshown() {
    const photo = byId("photo"), note = byId("unshown"), { answer } = this.picture;
    const text = answer && photo.complete ? unshown(photo, answer) : "";
    photo.classList.toggle("invisible", text !== "");
    if (text && note.textContent !== text) announce(text);
    note.textContent = text;
    note.hidden = text === "";
  }

  #fit() {
    const photo = byId("photo");
    const { width, height } = this.picture?.answer ?? { width: photo.naturalWidth, height: photo.naturalHeight };
    this.stage.style.setProperty("--ratio", String(width && height ? width / height : 1.5));
  }

  #renderHeat() {
    const canvas = byId("heat"), { heat, labels } = this.picture;
    canvas.hidden = !heat || !labels.some((label) => label.shown);
    if (!heat || heat === this.shownHeat) return;
    this.shownHeat = heat;
    canvas.width = heat.width;
    canvas.height = heat.height;
    canvas.getContext("2d").putImageData(new ImageData(heat.pixels, heat.width, heat.height), 0, 0);
    this.#fit();
  }

  #renderBoxes() {
    const boxes = this.picture.state === "ready" ? this.boxes : [];
    const ids = new Set(boxes.map((box) => box.id));
    for (const [id, element] of this.elements) {
      if (ids.has(id)) continue;
      if (element === document.activeElement) this.stage.focus({ preventScroll: true });
      element.remove();
      this.elements.delete(id);
    }
    boxes.forEach((box, place) => this.#renderBox(box, place, boxes.length));
    const described = boxes.length === 1 ? "1 box" : `${boxes.length} boxes`;
    this.stage.setAttribute("aria-label", `${this.picture.name}, ${described}`);
  }

  #renderBox(box, place, total) {
    const element = this.elements.get(box.id) ?? this.#newBox(box.id);
    const own = edit.isOwn(this.picture.history.now, box.id);
    element.classList.toggle("own", own);
    element.classList.toggle("selected", box.id === this.picture.selected);
    element.classList.toggle("at-top", box.xyxy[1] < 0.08 * this.size.height);
    element.style.setProperty("--color", this.colorOf(box));
    const area = ((box.xyxy[2] - box.xyxy[0]) * (box.xyxy[3] - box.xyxy[1])) / (this.size.width * this.size.height);
    element.style.zIndex = box.id === this.picture.selected ? 2000 : Math.round(1000 * (1 - area)); // small ones on top
    element.setAttribute("aria-label", `Box ${place + 1} of ${total}: ${this.words(box)}`);
    const score = box.score === null ? "" : percentIfAny(box.score);
    element.firstChild.textContent = `${this.nameOf(box)} ${score}`.trimEnd();
    this.#put(element, box.xyxy);
  }

  #newBox(id) {
    const handle = (edges) => make("span", { className: `handle ${edges}`, attributes: { "data-edges": edges } });
    const parts = [make("span", { className: "tag" }), ...EDGES.map(handle)];
    const attributes = { role: "group", "aria-roledescription": "box", "data-id": id };
    const element = make("div", { className: "box", tabIndex: 0, attributes }, ...parts);
    this.elements.set(id, element);
    this.layer.append(element);
    return element;
  }

  #put(element, [x0, y0, x1, y1]) {
    const { width, height } = this.size;
    element.style.left = `${(100 * x0) / width}%`;
    element.style.top = `${(100 * y0) / height}%`;
    element.style.width = `${(100 * (x1 - x0)) / width}%`;
    element.style.height = `${(100 * (y1 - y0)) / height}%`;
  }
}
