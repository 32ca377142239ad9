// The page of an annotated folder: it brings the parts together.

import { ask, exportFile } from "./api.js";
import { isOwn } from "./boxes.js";
import { BoxList } from "./box_list.js";
import { announce, byId, colorOf, count, make, percent, percentIfAny, toast } from "./dom.js";
import { offerFormats, saveFile } from "./download.js";
import { ReviewList } from "./review_list.js";
import { ReviewSession } from "./review_session.js";
import { Stage } from "./stage.js";
import { Zoom } from "./zoom.js";

const KEYS = 9;
const about = await ask("/api/review").then((answer) => answer.json()).catch((error) => {
  byId("folder").textContent = error.message;
  throw error;
});

let scheduled = false;
function changed() {
  if (scheduled) return;
  scheduled = true;
  requestAnimationFrame(() => {
    scheduled = false;
    render();
  });
}

/** The stage, where Enter means the whole picture. */
class ReviewStage extends Stage {
  accept() { accept(); }

  shareOf(box) {
    return isOwn(this.picture.history.now, box.id) && box.score === null ? "yours" : percentIfAny(box.score);
  }
}

const session = new ReviewSession(about, changed, toast);
const stage = new ReviewStage(session, changed);
const boxList = new BoxList(session, stage);
const list = new ReviewList(session);
const zoom = new Zoom();

/** Do what asks the server, and say so where it fails. */
const attempt = (work) => work().catch((error) => toast(error.message));

// ---- what is shown

function render() {
  const { current } = session;
  renderState();
  if (!current) return;
  if (location.hash !== `#${current.rank + 1}`) {
    history.replaceState(null, "", `#${current.rank + 1}`);
    if (zoom.factor > 1) zoom.fit();
  }
  stage.render();
  boxList.render();
  renderPicture(current);
  attempt(() => list.render());
}

function renderState() {
  const { checked, problem, saved } = session;
  byId("progress").textContent = `checked ${checked.toLocaleString("en")} of ${about.total.toLocaleString("en")}`;
  byId("progress-bar").value = checked;
  byId("progress-bar").max = about.total;
  byId("saved").textContent = problem ? "" : saved ? "All saved" : "Saving …";
  byId("main").setAttribute("aria-busy", String(!saved));
  if (byId("problem-text").textContent !== problem) byId("problem-text").textContent = problem;
  byId("problem").hidden = problem === "";
  const left = byId("only-checked").checked ? checked : about.total;
  byId("download").textContent = `Export ${count(left, "picture")}`;
  byId("download").disabled = left === 0 || exporting;
}

function renderPicture(picture) {
  const { name, rank, doubt, why, checked, labels, history: { past, future, now } } = picture;
  byId("name").textContent = name;
  byId("rank").textContent = `${rank + 1} of ${about.total.toLocaleString("en")}`;
  byId("doubt-value").textContent = percent(doubt);
  byId("doubt-bar").style.setProperty("--share", String(doubt));
  byId("why").textContent = why;
  byId("checked").setAttribute("aria-pressed", String(checked));
  byId("checked").textContent = checked ? "✓ Checked" : "Not checked";
  byId("undo").disabled = past.length === 0 && session.accepted.length === 0;
  byId("redo").disabled = future.length === 0;
  byId("reset").disabled = now.own.length + now.decided.length === 0;
  const known = `${rank} ${stage.selected?.id}`, rows = byId("classes");
  if (rows.dataset.known === known) return;
  rows.dataset.known = known;
  rows.replaceChildren(...labels.map(classRow));
}

function classRow({ index, name, given, shown }, place) {
  const swatch = make("span", { className: "swatch" });
  swatch.style.background = colorOf(place);
  const told = !shown ? "" : given ? "your label" : "the model's guess";
  const parts = [swatch, make("span", { className: "name", textContent: name }), make("span", { className: "share", textContent: told })];
  if (place < KEYS) parts.push(make("kbd", { textContent: String(place + 1), attributes: { "aria-hidden": "true" } }));
  const button = make("button", { type: "button", disabled: !stage.selected, title: "Give the selected box this class" }, ...parts);
  button.addEventListener("click", () => stage.relabel(stage.selected, index));
  return make("li", {}, button);
}

// ---- what the person does

function accept() {
  attempt(async () => {
    const note = await session.accept();
    if (note) toast(note);
    announce(`Accepted. ${session.current.name}, ${count(stage.boxes.length, "box", "boxes")}.`);
    byId("stage").focus({ preventScroll: true });
  });
}

function go(direction) {
  attempt(async () => {
    if (!(await session.step(direction))) announce(direction > 0 ? "This is the last picture." : "This is the first picture.");
    byId("stage").focus({ preventScroll: true });
  });
}

function undo() {
  if (session.current.history.past.length > 0) stage.step(-1);
  else attempt(async () => { if (await session.takeBack()) announce("Not checked any more."); });
}

byId("accept-next").addEventListener("click", accept);
byId("previous").addEventListener("click", () => go(-1));
byId("next").addEventListener("click", () => go(1));
byId("checked").addEventListener("click", () => session.setChecked(session.current, !session.current.checked));
byId("undo").addEventListener("click", undo);
byId("redo").addEventListener("click", () => stage.step(1));
byId("reset").addEventListener("click", () => stage.discard());
byId("draw").addEventListener("click", (event) => {
  // A key press on the button makes a box; a pointer or a finger draws one.
  if (event.detail === 0) stage.addInTheMiddle();
  else stage.setDrawing(!stage.drawing);
});
byId("unchecked").addEventListener("change", () => {
  session.unchecked = byId("unchecked").checked;
  attempt(async () => {
    if (session.unchecked && session.current.checked && !(await session.step(1))) await session.step(-1);
    changed();
  });
});
byId("only-checked").addEventListener("change", changed);
byId("help-button").addEventListener("click", () => byId("help").showModal());
byId("help-close").addEventListener("click", () => byId("help").close());

let exporting = false;
byId("download").addEventListener("click", async () => {
  exporting = true;
  changed();
  const request = {
    identity: about.identity, format: byId("format").value, only_checked: byId("only-checked").checked,
  };
  await attempt(async () => {
    await session.allSaved();
    const { name, content } = await exportFile(request, "/api/review/export");
    saveFile(name, content);
    announce(`Exported ${name}.`);
  });
  exporting = false;
  changed();
});

const KEYS_OF = {
  Enter: accept, PageDown: () => go(1), PageUp: () => go(-1),
  "+": () => zoom.by(1.4), "=": () => zoom.by(1.4), "-": () => zoom.by(1 / 1.4), 0: () => zoom.fit(),
};
document.addEventListener("keydown", (event) => {
  const { target, key } = event;
  if (event.defaultPrevented || byId("help").open || stage.dragging || target.matches?.("input, select, summary")) return;
  if (event.ctrlKey || event.metaKey) {
    if (key.toLowerCase() !== "z" && key.toLowerCase() !== "y") return;
    event.preventDefault();
    if (key.toLowerCase() === "y" || event.shiftKey) stage.step(1);
    else undo();
  } else if (KEYS_OF[key] && !event.altKey && !(key === "Enter" && target.matches?.("button, a"))) {
    event.preventDefault();
    KEYS_OF[key]();
  }
});
window.addEventListener("beforeunload", (event) => { if (!session.saved) event.preventDefault(); });
window.addEventListener("hashchange", () => {
  const rank = Number(location.hash.slice(1)) - 1;
  if (rank >= 0 && rank < about.total && rank !== session.current?.rank) attempt(() => session.show(rank));
});

// ---- the beginning: the picture of the address, or else the first that nobody has checked

byId("folder").textContent = about.name;
document.title = `${about.name}: correct boxes`;
byId("score-words").textContent = about.score;
byId("doubt-words").textContent = about.doubt;
offerFormats(about.formats);
zoom.fit();
render();
attempt(async () => {
  const asked = Number(location.hash.slice(1)) - 1;
  const [first] = asked >= 0 && asked < about.total ? [{ rank: asked }] : await session.list({ count: 1, unchecked: true });
  await session.show(first?.rank ?? 0);
  byId("stage").focus({ preventScroll: true });
});
