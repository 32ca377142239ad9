// The list of pictures.

import { byId, count, make } from "./dom.js";

const SIDE = 192; // pixels of a thumbnail, enough for fine screens

const WORDS = { waiting: "waiting", working: "looking …", failed: "failed" };

export class Thumbnails {
  constructor(session) {
    this.session = session;
    this.rows = new Map();
  }

  render() {
    const { pictures, current } = this.session;
    const list = byId("thumbs");
    for (const [picture, row] of this.rows) {
      if (pictures.includes(picture)) continue;
      row.remove();
      this.rows.delete(picture);
    }
    for (const picture of pictures) {
      const row = this.rows.get(picture) ?? this.#row(picture);
      if (!row.isConnected) list.append(row);
      this.#fill(row.firstChild, picture, picture === current);
    }
  }

  #row(picture) {
    const canvas = make("canvas", { attributes: { "aria-hidden": "true" } });
    const name = make("span", { className: "name", textContent: picture.name });
    const state = make("span", { className: "state" });
    const button = make("button", { type: "button", title: picture.name }, canvas, name, state);
    button.addEventListener("click", () => this.session.show(picture));
    const row = make("li", {}, button);
    this.rows.set(picture, row);
    draw(picture, canvas);
    return row;
  }

  #fill(button, picture, isCurrent) {
    if (isCurrent) button.setAttribute("aria-current", "true");
    else button.removeAttribute("aria-current");
    button.dataset.state = picture.state;
    button.classList.toggle("troubled", picture.problem !== "");
    const boxes = () => count(this.session.boxesOf(picture).length, "box", "boxes");
    const text = WORDS[picture.state] ?? (picture.problem ? `failed, ${boxes()}` : boxes());
    if (button.lastChild.textContent !== text) button.lastChild.textContent = text;
  }
}

/** Draw a picture small, so that not every one is held at its full size. */
async function draw(picture, canvas) {
  const image = await createImageBitmap(picture.file).catch(() => null);
  if (!image) return; // a type that this browser does not show
  const factor = SIDE / Math.min(image.width, image.height);
  canvas.width = canvas.height = SIDE;
  const [width, height] = [image.width * factor, image.height * factor];
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(image, (SIDE - width) / 2, (SIDE - height) / 2, width, height);
  image.close();
}
