// The list of pictures in the order of review: a window of it, as there may be 100,000.

import { byId, make, percent } from "./dom.js";

const SHOWN = 60;
const BEFORE = 8; // entries above the current one

export class ReviewList {
  constructor(session) {
    this.session = session;
    this.entries = [];
    this.known = "";
    byId("earlier").addEventListener("click", () => this.#load({ end: this.entries[0].rank, count: SHOWN }));
    byId("later").addEventListener("click", () => this.#load({ start: this.entries.at(-1).rank + 1, count: SHOWN }));
  }

  async render() {
    const { current, unchecked } = this.session;
    if (!current) return;
    const known = `${current.rank} ${unchecked}`;
    if (this.known !== known) {
      this.known = known;
      const inside = this.entries.some(({ rank }) => rank === current.rank);
      if (!inside || this.filtered !== unchecked) await this.#around(current.rank);
      if (this.known !== known) return;
      this.#draw();
      const row = byId("queue").querySelector("[aria-current]")?.parentElement;
      if (row) this.#bringIntoSight(row);
    }
    this.#mark();
  }

  /** Scroll the list alone: `scrollIntoView` would move the page too. */
  #bringIntoSight(row) {
    const list = byId("queue"), [frame, place] = [list.getBoundingClientRect(), row.getBoundingClientRect()];
    if (place.top < frame.top || place.bottom > frame.bottom) list.scrollTop += place.top - frame.top - frame.height / 3;
    if (place.left < frame.left || place.right > frame.right) list.scrollLeft += place.left - frame.left - frame.width / 3;
  }

  async #around(rank) {
    this.filtered = this.session.unchecked;
    const before = await this.session.list({ end: rank, count: BEFORE });
    const after = await this.session.list({ start: rank, count: SHOWN });
    this.entries = [...before, ...after];
  }

  async #load(wanted) {
    const entries = await this.session.list(wanted);
    if (entries.length === 0) return;
    this.entries = entries;
    this.#draw();
    this.#mark();
    byId("queue").scrollTop = 0;
  }

  #draw() {
    byId("queue").replaceChildren(...this.entries.map((entry) => {
      const name = make("span", { className: "name", textContent: entry.name.split("/").at(-1) });
      const button = make("button", { type: "button", title: entry.name }, name, make("span", { className: "state" }));
      button.addEventListener("click", () => this.session.show(entry.rank));
      if (entry.rank === this.session.current.rank) button.setAttribute("aria-current", "true");
      return make("li", {}, button);
    }));
    byId("earlier").hidden = (this.entries[0]?.rank ?? 0) === 0;
    byId("later").hidden = this.entries.length < SHOWN;
  }

  #mark() {
    this.entries.forEach((entry, place) => {
      const { checked } = this.session.seen.get(entry.rank) ?? entry;
      const button = byId("queue").children[place]?.firstChild;
      if (!button) return;
      button.classList.toggle("checked", checked);
      const folder = entry.name.split("/").slice(0, -1).join("/");
      const told = [checked ? "✓ checked" : `doubt ${percent(entry.doubt)}`, folder];
      button.lastChild.textContent = told.filter(Boolean).join(" · ");
    });
  }
}
