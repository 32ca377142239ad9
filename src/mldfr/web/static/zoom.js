// Look closer: the picture is drawn larger than its frame, which scrolls.

import { announce, byId } from "./dom.js";

const LARGEST = 8, STEP = 1.4;

export class Zoom {
  constructor() {
    this.factor = 1;
    this.frame = byId("frame");
    byId("zoom-in").addEventListener("click", () => this.by(STEP));
    byId("zoom-out").addEventListener("click", () => this.by(1 / STEP));
    byId("zoom-fit").addEventListener("click", () => this.fit());
    this.frame.addEventListener("wheel", (event) => {
      if (!event.ctrlKey) return; // also what two fingers on a touchpad send
      event.preventDefault();
      this.by(event.deltaY < 0 ? 1.15 : 1 / 1.15, event);
    }, { passive: false });
  }

  fit() { this.by(1 / this.factor); }

  /** Draw larger by a factor; the place under the pointer stays where it is, or the selected box, or the middle. */
  by(factor, pointer = null) {
    const stage = byId("stage"), frame = this.frame.getBoundingClientRect(), before = stage.getBoundingClientRect();
    const { left, top, width, height } = document.querySelector(".box.selected")?.getBoundingClientRect() ?? frame;
    const at = pointer ? [pointer.clientX, pointer.clientY] : [left + width / 2, top + height / 2];
    const place = [(at[0] - before.left) / before.width, (at[1] - before.top) / before.height];
    this.factor = Math.min(LARGEST, Math.max(1, this.factor * factor));
    stage.style.setProperty("--zoom", String(this.factor));
    const after = stage.getBoundingClientRect();
    this.frame.scrollLeft += after.left + place[0] * after.width - at[0];
    this.frame.scrollTop += after.top + place[1] * after.height - at[1];
    byId("zoom-out").disabled = byId("zoom-fit").disabled = this.factor === 1;
    byId("zoom-in").disabled = this.factor === LARGEST;
    announce(`Zoom ${Math.round(100 * this.factor)} %`);
  }
}
