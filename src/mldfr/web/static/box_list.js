// The list of a picture's boxes, and the fields of the one that is selected.

import { isOwn, sane } from "./boxes.js";
import { combobox } from "./combobox.js";
import { byId, make } from "./dom.js";

const CORNERS = ["x0", "y0", "x1", "y1"];

export class BoxList {
  constructor(session, stage) {
    this.session = session;
    this.stage = stage;
    this.editor = combobox({
      label: "Class",
      names: session.model.classes,
      chosen: (index) => { if (stage.selected) stage.relabel(stage.selected, index); },
    });
    byId("editor-class").append(this.editor.element);
    for (const corner of CORNERS) {
      byId(corner).addEventListener("change", () => {
        if (!stage.selected) return;
        const xyxy = CORNERS.map((id) => Number(byId(id).value));
        stage.place(stage.selected, sane(xyxy, this.picture.answer), null);
      });
    }
    byId("accept")?.addEventListener("click", () => stage.accept(stage.selected));
    byId("delete").addEventListener("click", () => {
      stage.remove(stage.selected);
      byId("stage").focus();
    });
  }

  get picture() { return this.session.current; }

  render() {
    const boxes = this.picture.state === "ready" ? this.stage.boxes : [];
    const { history, selected } = this.picture;
    const own = boxes.filter((box) => isOwn(history.now, box.id)).length;
    byId("count").textContent = `${boxes.length || "none"}${own ? `, ${own} of them yours` : ""}`;
    const list = byId("box-list"), known = boxes.map((box) => `${box.id} ${box.classIndex}`).join();
    if (list.dataset.known !== known) {
      const place = [...list.querySelectorAll("button")].indexOf(document.activeElement);
      list.dataset.known = known;
      list.replaceChildren(...boxes.map((box) => this.#row(box)));
      if (place >= 0) list.querySelectorAll("button")[Math.min(place, boxes.length - 1)]?.focus();
    }
    boxes.forEach((box, place) => this.#fill(list.children[place].firstChild, box, selected));
    this.#renderEditor(boxes.find((box) => box.id === selected));
  }

  #row(box) {
    const parts = ["swatch", "name", "share"].map((className) => make("span", { className }));
    const button = make("button", { type: "button" }, ...parts);
    button.addEventListener("click", () => this.stage.select(this.picture.selected === box.id ? null : box.id));
    return make("li", {}, button);
  }

  #fill(button, box, selected) {
    const [swatch, name, share] = button.children;
    swatch.style.background = this.stage.colorOf(box);
    name.textContent = this.stage.nameOf(box);
    share.textContent = this.stage.shareOf(box);
    button.setAttribute("aria-pressed", String(box.id === selected));
  }

  #renderEditor(box) {
    byId("editor").hidden = !box;
    if (!box) return;
    this.editor.show(this.stage.nameOf(box));
    if (byId("accept")) byId("accept").hidden = isOwn(this.picture.history.now, box.id);
    const { width, height } = this.picture.answer;
    CORNERS.forEach((id, side) => {
      const input = byId(id);
      input.min = "0";
      input.max = String(side % 2 ? height : width);
      if (document.activeElement !== input) input.value = String(Math.round(10 * box.xyxy[side]) / 10);
    });
  }
}
