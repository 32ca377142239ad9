// An annotated folder as it is corrected: which picture is shown, and what is still to be written down.

import { ask, tell } from "./api.js";
import { History, NO_EDITS, named, visible } from "./boxes.js";

const RETRY = 2000; // milliseconds
const FOR_GOOD = new Set(["another_folder", "another_picture"]); // refusals that only loading the page again ends
const WAIT = 50; // milliseconds
const KEYS = 9; // classes that a key gives

const inBox = ({ class_index: classIndex, xyxy, score }) => ({ classIndex, xyxy, score });
const outBox = ({ classIndex, xyxy, score }) => ({ class_index: classIndex, xyxy, score });

/** The edits that lead from what annotating has drawn to what a person left: all boxes are theirs then. */
function editsOf(suggestions, now) {
  if (now === null) return NO_EDITS;
  const own = now.map((box, number) => ({ ...inBox(box), id: `kept-${number}`, spared: [] }));
  const decided = suggestions.map(({ classIndex, xyxy }) => ({ classIndex, xyxy, spared: [] }));
  return { own, decided };
}

export class ReviewSession {
  constructor(about, changed, say) {
    this.about = about;
    this.say = say;
    this.model = { classes: about.classes };
    this.checked = about.checked;
    this.changed = changed;
    this.unchecked = false; // whether only pictures are gone through that nobody has checked
    this.current = null;
    this.problem = "";
    this.seen = new Map(); // pictures of this visit by rank, with their history
    this.accepted = [];
    this.pending = new Set();
    this.busy = false;
    this.turn = 0;
  }

  // ---- which picture

  /** Entries of pictures from a rank on, or those before one. */
  async list({ start = 0, end = null, count = 50, unchecked = this.unchecked }) {
    const told = new URLSearchParams({ start, count, unchecked });
    if (end !== null) told.set("end", end);
    return (await (await ask(`/api/review/pictures?${told}`)).json()).entries;
  }

  async show(rank) {
    const turn = (this.turn += 1);
    const picture = this.seen.get(rank) ?? await this.#load(rank);
    if (turn !== this.turn) return; // another one was asked for meanwhile
    this.seen.set(rank, picture);
    picture.selected = null;
    this.current = picture;
    this.changed();
    this.#fetchNext();
  }

  async #load(rank) {
    const path = `/api/review/pictures/${rank}`, answer = await (await ask(path)).json();
    const suggestions = named(answer.found.map(inBox)), history = new History();
    history.now = editsOf(suggestions, answer.now);
    const { name, doubt, why, checked, revision, width, height } = answer;
    const labels = this.#labels(answer);
    const about = { rank, key: String(rank), name, doubt, why, checked, revision, labels, suggestions, history };
    return { ...about, url: `${path}/file`, state: "ready", answer: { width, height }, selected: null, heat: null };
  }

  /** The classes of a picture; where there are few all of them, so that each has its key and colour everywhere. */
  #labels({ labels, now }) {
    const found = labels.map((label) => label.class_index), given = labels.some((label) => label.probability === null);
    const some = new Set([...found, ...(now ?? []).map((box) => box.class_index)]);
    const indices = this.model.classes.length <= KEYS ? this.model.classes.keys() : some;
    return [...indices].map((index) => ({ index, name: this.model.classes[index], given, shown: found.includes(index) }));
  }

  /** Have the browser fetch the next picture while this one is looked at. */
  async #fetchNext() {
    const [next] = await this.list({ start: this.current.rank + 1, count: 1 }).catch(() => []);
    if (next) new Image().src = `/api/review/pictures/${next.rank}/file`;
  }

  /** Show the next picture, or the one before. Returns whether there is one. */
  async step(direction) {
    const { rank } = this.current;
    const [next] = await this.list(direction > 0 ? { start: rank + 1, count: 1 } : { end: rank, count: 1 });
    if (next) await this.show(next.rank);
    return Boolean(next);
  }

  /** Say that the boxes of this picture are right, and go on; behind the last one to one that was left out. */
  async accept() {
    const picture = this.current;
    if (!picture.checked) this.accepted.push(picture);
    this.setChecked(picture, true);
    if (await this.step(1)) return "";
    const left = (await this.list({ count: 2, unchecked: true })).filter(({ rank }) => rank !== picture.rank);
    if (left.length === 0) return "That was the last one: all pictures are checked.";
    await this.show(left[0].rank);
    return "That was the last one. Here is one that is not checked yet.";
  }

  /** Take back that the last accepted picture is right. Returns whether there is one. */
  async takeBack() {
    const picture = this.accepted.pop();
    if (!picture) return false;
    this.setChecked(picture, false);
    await this.show(picture.rank);
    return true;
  }

  setChecked(picture, checked) {
    picture.checked = checked;
    this.edited(picture);
  }

  // ---- its boxes

  boxesOf(picture) { return visible(picture.history.now, picture.suggestions); }

  /** Write down what has become of a picture; until that is done, only its last state counts. */
  edited(picture) {
    this.pending.add(picture);
    this.#write();
    this.changed();
  }

  get saved() { return this.pending.size === 0 && !this.busy; }

  /** Wait until all is written down. Throws what is in the way. */
  async allSaved() {
    while (!this.saved) {
      if (this.problem) throw new Error(this.problem);
      await new Promise((resolve) => { setTimeout(resolve, WAIT); });
    }
  }

  async #write() {
    if (this.busy) return;
    this.busy = true;
    while (this.pending.size > 0) {
      const [picture] = this.pending;
      // What was not answered may be written all the same: it is asked again as it was, or what came since would be
      // taken for somebody else's.
      if (!picture.unanswered) this.pending.delete(picture);
      try {
        await this.#save(picture);
        this.problem = "";
      } catch (error) {
        this.pending.add(picture);
        this.problem = `Not saved: ${error.message}`;
        this.changed();
        if (FOR_GOOD.has(error.code)) break;
        await new Promise((resolve) => { setTimeout(resolve, RETRY); });
      }
    }
    this.busy = false;
    this.changed();
  }

  async #save(picture) {
    picture.unanswered ??= this.#state(picture);
    const body = { ...picture.unanswered, identity: this.about.identity, revision: picture.revision };
    try {
      const answer = await (await tell(`/api/review/pictures/${picture.rank}`, body)).json();
      this.checked = answer.checked;
      picture.revision = answer.revision;
    } catch (error) {
      if (!error.status) throw error;
      picture.unanswered = null;
      if (error.code !== "corrected_meanwhile") throw error;
      return this.#takeTheirs(picture);
    }
    picture.unanswered = null;
  }

  /** Show what somebody else has made of a picture; Undo has what was made of it here. */
  async #takeTheirs(picture) {
    const theirs = await this.#load(picture.rank), { past, now } = picture.history;
    if (past.length > 0) theirs.history.past.push(now);
    Object.assign(picture, theirs);
    this.accepted = this.accepted.filter((other) => other !== picture);
    this.pending.delete(picture);
    const hint = past.length > 0 ? "Undo there brings yours back." : "Look at it again.";
    this.say(`${picture.name} was corrected elsewhere meanwhile, and those boxes are kept. ${hint}`);
  }

  #state(picture) {
    const { name, checked, history } = picture;
    const untouched = history.now === NO_EDITS && !checked;
    return { name, checked, boxes: untouched ? null : this.boxesOf(picture).map(outBox) };
  }
}
