// The pictures of this visit, and what is known of each. Nothing of it outlives the page.

import { exportFile, locate } from "./api.js";
import { History, named, visible } from "./boxes.js";
import { count } from "./dom.js";
import { freeName, renamed } from "./names.js";

const LONGEST_HEAT = 640;

/** The settings that a model comes with. */
export const settingsOf = ({ localization }) => (
  { ...localization, rule: localization.box_rule, minRegion: localization.min_region }
);

export class Session {
  constructor(model, changed) {
    this.model = model;
    this.changed = changed;
    this.pictures = [];
    this.current = null;
    this.settings = settingsOf(model);
    this.unsaved = false;
    this.worker = new Worker("/static/worker.js", { type: "module" });
    this.worker.addEventListener("message", ({ data }) => this.#answered(data));
    this.waiting = new Map();
    this.settling = []; // who is to be told when no boxes are to come
    this.turns = Promise.resolve();
    this.asked = 0;
    this.busy = false;
  }

  /** Add files. Returns the pictures, and what is to be said of those that are left out or named otherwise. */
  add(files) {
    const { max_bytes: bytes, max_pictures: most } = this.model.limits;
    const fits = (file) => file.size <= bytes - 4096; // what stands around a file in a form
    const fitting = files.filter(fits), added = [];
    for (const file of fitting.slice(0, Math.max(0, most - this.pictures.length))) {
      added.push(this.#picture(file));
      this.pictures.push(added.at(-1));
    }
    this.current ??= this.pictures[0] ?? null;
    this.changed();
    this.#work();
    const left = fitting.length - added.length, notes = renamed(added);
    if (left) notes.push(`${count(left, "picture")} left out: at most ${most} at once.`);
    const large = files.filter((file) => !fits(file));
    notes.push(...large.map((file) => `${file.name} is too large: at most ${Math.floor(bytes / 2 ** 20)} MB.`));
    return { added, notes };
  }

  #picture(file) {
    return {
      key: crypto.randomUUID?.() ?? `${performance.now()}-${Math.random()}`,
      name: freeName(file.name || "pasted.png", this.pictures),
      file,
      url: URL.createObjectURL(file),
      state: "waiting",
      problem: "",
      answer: null,
      labels: [], // {index, name, probability, shown, given}
      mapped: new Map(), // of which classes the worker has which map
      settings: { ...this.settings },
      suggestions: null, // until they were computed once
      heat: null,
      history: new History(),
      selected: null,
      abort: new AbortController(),
    };
  }

  /** Send one picture after the other, the one that is looked at first. */
  async #work() {
    if (this.busy) return;
    this.busy = true;
    for (;;) {
      const waiting = this.pictures.filter((picture) => picture.state === "waiting");
      const next = waiting.find((picture) => picture === this.current) ?? waiting[0];
      if (!next) break;
      await this.#locate(next);
    }
    this.busy = false;
  }

  async #locate(picture) {
    picture.state = "working";
    this.changed();
    try {
      const answer = await this.#mapped(picture, picture.settings.map);
      picture.answer = answer;
      picture.state = "ready";
      picture.labels[0].shown = true;
      await this.look(picture);
    } catch (error) {
      this.#fail(picture, error.message);
    }
    this.changed();
  }

  /** Say what went wrong with a picture. One that has boxes keeps them: they may be an hour's work. */
  #fail(picture, problem) {
    const hasBoxes = picture.suggestions !== null || picture.history.past.length > 0;
    Object.assign(picture, { state: hasBoxes ? "ready" : "failed", problem });
  }

  retry(picture) {
    picture.problem = "";
    if (picture.state === "ready") {
      picture.mapped.delete(picture.settings.map); // the maps themselves may be what is wrong
      this.look(picture);
    } else {
      picture.state = "waiting";
      this.changed();
      this.#work();
    }
  }

  /** Let the server map classes of a picture, the most probable ones unless some are given. */
  async #mapped(picture, map, given = []) {
    const classes = given.map((index) => this.model.classes[index]), { signal } = picture.abort;
    const { fingerprint } = this.model;
    const answer = await locate(picture.file, { fingerprint, map, classes, signal });
    signal.throwIfAborted();
    this.worker.postMessage({ kind: "add", key: picture.key, answer });
    const known = picture.mapped.get(map) ?? new Set();
    for (const label of answer.labels) {
      known.add(label.class_index);
      if (picture.labels.some(({ index }) => index === label.class_index)) continue;
      const { class_index: index, class_name: name, probability } = label;
      picture.labels.push({ index, name, probability, shown: false, given: given.length > 0 });
    }
    picture.mapped.set(map, known);
    return answer;
  }

  /** Have the shown classes of a picture mapped as its settings say; one picture after the other is asked for. */
  #complete(picture) {
    const turn = this.turns.then(async () => {
      const { map } = picture.settings, { max_classes: most } = this.model.limits;
      const missing = picture.labels.filter((label) => label.shown && !picture.mapped.get(map)?.has(label.index));
      for (let at = 0; at < missing.length; at += most) {
        await this.#mapped(picture, map, missing.slice(at, at + most).map((label) => label.index));
      }
    });
    this.turns = turn.catch(() => {});
    return turn;
  }

  #isComplete({ labels, mapped, settings }) {
    return labels.every((label) => !label.shown || mapped.get(settings.map)?.has(label.index));
  }

  /** Map a further class of a picture. */
  async addClass(picture, index) {
    const known = picture.labels.find((label) => label.index === index);
    if (!known) await this.#mapped(picture, picture.settings.map, [index]);
    picture.labels.find((label) => label.index === index).shown = true;
    this.unsaved = true;
    await this.look(picture);
  }

  /** Find the boxes of a picture at its settings. While the worker is busy, only the last wish counts. */
  look(picture, { heat = true } = {}) {
    return new Promise((resolve) => {
      const wishes = this.waiting.get(picture) ?? { running: false, next: null, resolve: [] };
      wishes.resolve.push(resolve);
      wishes.next = { heat };
      this.waiting.set(picture, wishes);
      if (!wishes.running) this.#ask(picture, wishes);
      this.changed();
    });
  }

  /** Whether boxes are still to come for settings that were made. */
  get looking() { return this.waiting.size > 0; }

  /** Wait until no boxes are to come. */
  async #settled() {
    while (this.looking) await new Promise((resolve) => { this.settling.push(resolve); });
  }

  /** No boxes of a picture are to come any more. */
  #stopWaiting(picture) {
    this.waiting.delete(picture);
    if (!this.looking) for (const resolve of this.settling.splice(0)) resolve();
  }

  async #ask(picture, wishes) {
    const { heat } = wishes.next;
    Object.assign(wishes, { running: true, next: null, id: (this.asked += 1), done: wishes.resolve, resolve: [] });
    try {
      while (!this.#isComplete(picture)) await this.#complete(picture);
    } catch (error) {
      this.#answered({ id: wishes.id, error: error.message });
      return;
    }
    const classes = picture.labels.filter((label) => label.shown).map((label) => label.index);
    const { key, settings } = picture;
    const wanted = { longest: heat ? LONGEST_HEAT : 0, known: picture.heat?.name };
    this.worker.postMessage({ kind: "look", id: wishes.id, key, settings, classes, ...wanted });
  }

  #answered({ id, boxes, heat, error }) {
    const [picture, wishes] = [...this.waiting].find(([, entry]) => entry.id === id) ?? [];
    if (!picture) return; // removed meanwhile
    if (error) this.#fail(picture, `Its boxes cannot be computed: ${error}`);
    else Object.assign(picture, { state: "ready", suggestions: named(boxes), problem: "" });
    if (heat) picture.heat = heat;
    for (const resolve of wishes.done) resolve();
    wishes.running = false;
    if (wishes.next) this.#ask(picture, wishes);
    else this.#stopWaiting(picture);
    this.changed();
  }

  boxesOf(picture) {
    return visible(picture.history.now, picture.suggestions ?? []);
  }

  /** Change how boxes are suggested in a picture. */
  set(picture, values) {
    Object.assign(picture.settings, values);
    this.unsaved = true;
    return this.look(picture);
  }

  /** Let all pictures, and those to come, have the settings of this one. */
  async setForAll(settings) {
    this.settings = { ...settings };
    for (const picture of this.pictures) picture.settings = { ...settings };
    this.unsaved = true;
    await Promise.all(this.ready().map((picture) => this.look(picture, { heat: picture === this.current })));
  }

  ready() {
    return this.pictures.filter((picture) => picture.state === "ready");
  }

  show(picture) {
    if (this.current && this.current !== picture) this.current.heat = null; // a megabyte that is quickly made again
    this.current = picture;
    if (picture.state === "ready") this.look(picture);
    this.changed();
  }

  /** Show the next picture, or the one before. */
  step(direction) {
    const next = this.pictures[this.pictures.indexOf(this.current) + direction];
    if (next) this.show(next);
  }

  /** A person has changed boxes of a picture. */
  edited() {
    this.unsaved = true;
  }

  remove(picture) {
    const place = this.pictures.indexOf(picture);
    picture.abort.abort();
    URL.revokeObjectURL(picture.url);
    this.#stopWaiting(picture);
    this.worker.postMessage({ kind: "remove", key: picture.key });
    this.pictures.splice(place, 1);
    this.current = this.pictures[Math.min(place, this.pictures.length - 1)] ?? null;
    this.unsaved &&= this.current !== null;
    if (this.current?.state === "ready") this.look(this.current);
    this.changed();
  }

  /** The annotation file of all pictures that have boxes, and in words what it holds and what it lacks. */
  async export(format, { allClasses }) {
    await this.#settled();
    const pictures = this.ready().map((picture) => ({ picture, boxes: this.boxesOf(picture) }));
    if (pictures.length === 0) throw new Error("No picture is left to download.");
    this.#checkCounts(pictures);
    const used = new Set(pictures.flatMap(({ boxes }) => boxes.map((box) => box.classIndex)));
    const indices = this.model.classes.map((_, index) => index).filter((index) => allClasses || used.has(index));
    const place = new Map(indices.map((index, number) => [index, number]));
    const { unsaved } = this, outdated = pictures.filter(({ picture }) => picture.problem !== "").length;
    this.unsaved &&= outdated > 0; // what is changed from here on is not in the file
    const file = await exportFile({
      format,
      classes: indices.map((index) => this.model.classes[index]),
      pictures: pictures.map(({ picture, boxes }) => ({
        name: picture.name,
        height: picture.answer.height,
        width: picture.answer.width,
        boxes: boxes.map((box) => ({ class_index: place.get(box.classIndex), xyxy: box.xyxy, score: box.score })),
      })),
    }).catch((error) => {
      this.unsaved ||= unsaved;
      throw error;
    });
    const number = pictures.reduce((total, { boxes }) => total + boxes.length, 0);
    const words = `${count(number, "box", "boxes")} in ${count(pictures.length, "picture")}`;
    const lacks = outdated && `${count(outdated, "picture")} could not be drawn again: the file has the boxes from before.`;
    return { ...file, words, lacks };
  }

  #checkCounts(pictures) {
    const most = this.model.limits.max_boxes;
    const full = pictures.find(({ boxes }) => boxes.length > most);
    if (!full) return;
    const has = `${full.picture.name} has ${full.boxes.length} boxes, and at most ${most} can be written`;
    throw new Error(`${has}. Raise its threshold, or leave out specks.`);
  }
}
