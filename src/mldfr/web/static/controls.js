// The controls beside the picture: classes, how boxes are suggested, the list of boxes, the download.

import { BoxList } from "./box_list.js";
import { combobox } from "./combobox.js";
import { announce, byId, colorOf, count, make, percent, percentIfAny, toast } from "./dom.js";
import { offerFormats, saveFile } from "./download.js";
import { settingsOf } from "./session.js";

const RULES = {
  regions: "A box around each region above the threshold.",
  union: "One box around all that is kept, as the published code has it.",
  union_regions: "A box around each region that the published code keeps.",
};
const NORMALIZERS = {
  min_max: "min to max", max: "zero to max", percentile: "percentile", percentile_as_standard: "min to percentile",
};
const THRESHOLDS = { mean: "mean of the map", otsu: "Otsu's", "otsu_0.7": "0.7 of Otsu's" };

export class Controls {
  constructor(session, stage) {
    this.session = session;
    this.stage = stage;
    this.#makeClasses();
    this.#makeRules();
    this.boxList = new BoxList(session, stage);
    this.#makeDownload();
  }

  get picture() { return this.session.current; }

  // ---- classes

  #makeClasses() {
    this.more = combobox({
      label: "Look for another class",
      names: this.session.model.classes,
      placeholder: `Search ${this.session.model.classes.length} names`,
      chosen: async (index) => {
        const name = this.session.model.classes[index];
        try {
          await this.session.addClass(this.picture, index);
          announce(`${name} added: ${this.#found()}`);
        } catch (error) {
          if (error.name !== "AbortError") toast(error.message); // else the picture was removed meanwhile
        }
      },
    });
    byId("more-classes").append(this.more.element);
  }

  #found() {
    return `${count(this.session.boxesOf(this.picture).length, "box", "boxes")}.`;
  }

  #renderClasses() {
    const { labels, key } = this.picture;
    const known = `${key} ${labels.map((label) => label.index).join()}`;
    const list = byId("classes");
    if (list.dataset.known !== known) {
      list.dataset.known = known;
      list.replaceChildren(...labels.map((label, place) => this.#classRow(label, place)));
    }
    labels.forEach((label, place) => {
      list.children[place].querySelector("input").checked = label.shown;
    });
  }

  #classRow(label, place) {
    const swatch = make("span", { className: "swatch" });
    swatch.style.background = colorOf(place);
    const bar = make("span", { className: "bar-of", attributes: { "aria-hidden": "true" } });
    bar.style.setProperty("--share", String(label.probability));
    const box = make("input", { type: "checkbox" });
    box.addEventListener("change", async () => {
      label.shown = box.checked;
      this.session.unsaved = true;
      await this.session.look(this.picture);
      announce(this.#found());
    });
    const name = make("span", { className: "name", textContent: label.name });
    const share = make("span", { className: "share", textContent: (label.given ? percentIfAny : percent)(label.probability) });
    return make("li", {}, make("label", {}, box, swatch, name, share, bar));
  }

  // ---- how boxes are suggested

  #makeRules() {
    const { model } = this.session;
    const option = (value, text) => make("option", { value, textContent: text });
    byId("rule").append(...model.box_rules.map((name) => option(name, name.replaceAll("_", " "))));
    byId("map").append(...model.maps.map(({ name }) => option(name, name.replaceAll("_", " "))));
    byId("map").disabled = model.maps.length < 2;
    byId("normalizer").append(...model.normalizers.map((name) => option(name, NORMALIZERS[name] ?? name)));
    const set = async (values) => {
      await this.session.set(this.picture, values);
      announce(this.#found());
    };
    byId("threshold-of").append(
      option("", "fixed"), ...model.thresholds.map((name) => option(name, THRESHOLDS[name] ?? name)),
    );
    const slid = () => Number(byId("threshold").value);
    byId("threshold").addEventListener("input", () => set({ threshold: slid() }));
    byId("threshold-of").addEventListener("change", () => set({ threshold: byId("threshold-of").value || slid() }));
    byId("map").addEventListener("change", () => {
      const { name: map, normalizer, threshold } = model.maps[byId("map").selectedIndex];
      set({ map, normalizer, threshold });
    });
    byId("rule").addEventListener("change", () => set({ rule: byId("rule").value }));
    byId("normalizer").addEventListener("change", () => set({ normalizer: byId("normalizer").value }));
    const opacity = byId("opacity");
    const fade = () => {
      byId("heat").style.opacity = String(opacity.value / 100);
      byId("opacity-value").textContent = `${opacity.value} %`;
    };
    opacity.addEventListener("input", fade);
    fade();
    const scales = [...new Set(model.localization.scales)];
    byId("scales").append(...scales.map((scale) => {
      const box = make("input", { type: "checkbox", value: String(scale) });
      box.addEventListener("change", () => set({ scales: this.#chosenScales(box) }));
      return make("label", { className: "switch" }, box, make("span", { textContent: `× ${scale}` }));
    }));
    byId("for-all").addEventListener("click", async () => {
      await this.session.setForAll(this.picture.settings);
      announce("All pictures have these settings now.");
    });
    byId("specks").addEventListener("change", () => set({ minRegion: byId("specks").checked ? model.min_region : 0 }));
    byId("specks-note").textContent = `Regions with less than ${percent(model.min_region)} of the pixels of their `
      + "class's largest get no box.";
    byId("defaults").addEventListener("click", () => set(settingsOf(model)));
  }

  /** The scales that are switched on; the last one stays on. */
  #chosenScales(changed) {
    const boxes = [...byId("scales").querySelectorAll("input")];
    if (!boxes.some((box) => box.checked)) {
      changed.checked = true;
      announce("At least one scale is needed.");
    }
    return boxes.filter((box) => box.checked).map((box) => Number(box.value));
  }

  #renderRules() {
    const { settings } = this.picture;
    const isFixed = typeof settings.threshold === "number";
    if (isFixed) byId("threshold").value = String(settings.threshold);
    byId("threshold").disabled = !isFixed;
    byId("threshold-of").value = isFixed ? "" : settings.threshold;
    byId("threshold-value").textContent = isFixed ? settings.threshold.toFixed(2) : "each map's own";
    byId("map").value = settings.map;
    byId("rule").value = settings.rule;
    byId("normalizer").value = settings.normalizer;
    byId("specks").checked = settings.minRegion > 0;
    byId("rule-note").textContent = (RULES[settings.rule] ?? "") + this.#seenNote();
    for (const box of byId("scales").querySelectorAll("input")) {
      box.checked = settings.scales.includes(Number(box.value));
    }
    const { answer } = this.picture;
    if (answer && answer.map_width < answer.width) {
      const size = `${answer.map_width} × ${answer.map_height}`;
      byId("rule-note").textContent += ` This large picture is looked at in ${size} pixels.`;
    }
  }

  /** What boxes at other settings lack, if the model's own look at the picture once more. */
  #seenNote() {
    const { closer, instances, refine } = this.session.model.localization;
    const named = [instances, refine].filter((name) => !["joined", "none"].includes(name));
    const seen = closer ? ["a closer look", ...named] : named;
    if (!seen.length) return "";
    return ` At the model's settings boxes follow the picture too (${seen.join(", ")}); at others they follow the map.`;
  }

  // ---- download

  #makeDownload() {
    offerFormats(this.session.model.formats);
    byId("download").addEventListener("click", () => this.#download());
  }

  async #download() {
    const button = byId("download");
    button.disabled = true;
    try {
      const options = { allClasses: byId("all-classes").checked };
      const { name, content, words, lacks } = await this.session.export(byId("format").value, options);
      saveFile(name, content);
      announce(`Downloaded ${name}: ${words}.`);
      if (lacks) toast(lacks);
    } catch (error) {
      toast(error.message);
    } finally {
      button.disabled = false;
      this.render();
    }
  }

  #renderDownload() {
    const ready = this.session.ready();
    const boxes = ready.reduce((total, picture) => total + this.session.boxesOf(picture).length, 0);
    const button = byId("download");
    button.textContent = `Download ${count(boxes, "box", "boxes")}, ${count(ready.length, "picture")}`;
    button.disabled = ready.length === 0;
  }

  render() {
    const ready = this.picture?.state === "ready";
    // What was found in other pictures can be downloaded whatever became of this one.
    for (const section of byId("controls").children) section.inert = !ready && section.id !== "take-home";
    const { now, past, future } = this.picture?.history ?? { past: [], future: [] };
    byId("draw").disabled = !ready;
    byId("undo").disabled = !ready || past.length === 0;
    byId("redo").disabled = !ready || future.length === 0;
    byId("reset").disabled = !ready || now.own.length + now.decided.length === 0;
    if (!this.picture) return;
    this.#renderClasses();
    this.#renderRules();
    this.boxList.render();
    this.#renderDownload();
  }
}
