// The page: it brings the parts together and takes pictures in.

import { getModel, getSample, getSamples } from "./api.js";
import { Controls } from "./controls.js";
import { announce, byId, count, make, toast } from "./dom.js";
import { Session } from "./session.js";
import { Stage } from "./stage.js";
import { Thumbnails } from "./thumbnails.js";

const model = await getModel().catch((error) => {
  byId("model").textContent = error.message;
  throw error;
});
byId("model").textContent = `Model ${model.name}, ${count(model.classes.length, "class", "classes")}`;
for (const place of document.querySelectorAll(".privacy")) {
  place.textContent = `Pictures are sent to ${location.host} only, and not kept there.`;
}

let scheduled = false;
function changed() {
  if (scheduled) return;
  scheduled = true;
  requestAnimationFrame(() => {
    scheduled = false;
    render();
  });
}

const session = new Session(model, changed);
session.worker.addEventListener("error", () => toast("Boxes cannot be computed any more. Load the page again."));
const stage = new Stage(session, changed);
const controls = new Controls(session, stage);
const thumbnails = new Thumbnails(session);

function render() {
  const { current } = session;
  byId("main").dataset.state = current ? "open" : "empty";
  byId("main").setAttribute("aria-busy", String(session.looking));
  const text = current?.problem ?? "";
  if (byId("problem-text").textContent !== text) byId("problem-text").textContent = text;
  byId("problem").hidden = text === "";
  thumbnails.render();
  stage.render();
  controls.render();
}

// ---- pictures come in

function take(files) {
  if (files.length === 0) return;
  const { added, notes } = session.add([...files]);
  notes.forEach(toast);
  announce(`${count(added.length, "picture")} added.`);
}

const file = byId("file");
for (const button of document.querySelectorAll("[data-choose]")) button.addEventListener("click", () => file.click());
file.addEventListener("change", () => {
  take(file.files);
  file.value = "";
});
document.addEventListener("paste", (event) => take(event.clipboardData.files));

let inside = 0; // how many elements deep a drag has entered
const dragsFiles = (event) => event.dataTransfer?.types.includes("Files");
document.addEventListener("dragenter", (event) => {
  if (!dragsFiles(event)) return;
  inside += 1;
  byId("dropping").hidden = false;
});
document.addEventListener("dragleave", (event) => {
  if (!dragsFiles(event)) return;
  inside -= 1;
  byId("dropping").hidden = inside > 0 ? byId("dropping").hidden : true;
});
document.addEventListener("dragover", (event) => { if (dragsFiles(event)) event.preventDefault(); });
document.addEventListener("drop", (event) => {
  if (!dragsFiles(event)) return;
  event.preventDefault();
  inside = 0;
  byId("dropping").hidden = true;
  take(event.dataTransfer.files);
});

async function takeSample(name) {
  byId("sample-menu").hidePopover();
  try {
    take([await getSample(name)]);
    byId("stage").focus({ preventScroll: true });
  } catch (error) {
    toast(error.message);
  }
}

function sampleRow({ name, title, credit }) {
  const image = make("img", { src: `/api/samples/${encodeURIComponent(name)}`, alt: "", loading: "lazy" });
  const words = [make("span", { textContent: title }), make("small", { textContent: credit })];
  return make("li", {}, make("button", { type: "button", on: { click: () => takeSample(name) } }, image, ...words));
}

getSamples().then((samples) => {
  for (const list of document.querySelectorAll(".samples")) list.append(...samples.map(sampleRow));
}, (error) => toast(error.message));

// ---- what is above the picture

byId("draw").addEventListener("click", (event) => {
  // A key press on the button makes a box; a pointer or a finger draws one.
  if (event.detail === 0) stage.addInTheMiddle();
  else stage.setDrawing(!stage.drawing);
});
byId("undo").addEventListener("click", () => stage.step(-1));
byId("redo").addEventListener("click", () => stage.step(1));
byId("reset").addEventListener("click", () => stage.discard());
byId("remove").addEventListener("click", () => {
  const { name } = session.current;
  session.remove(session.current);
  announce(`${name} removed.`);
  (session.current ? byId("stage") : document.querySelector("[data-choose]")).focus();
});
byId("retry").addEventListener("click", () => {
  session.retry(session.current);
  byId("stage").focus();
});
byId("help-button").addEventListener("click", () => byId("help").showModal());
byId("help-close").addEventListener("click", () => byId("help").close());

document.addEventListener("keydown", (event) => {
  const typing = event.target.matches?.("input[type=text], input[type=number]");
  if (!(event.ctrlKey || event.metaKey) || typing || session.current?.state !== "ready") return;
  const key = event.key.toLowerCase();
  if (key !== "z" && key !== "y") return;
  event.preventDefault();
  stage.step(key === "y" || event.shiftKey ? 1 : -1);
});
window.addEventListener("beforeunload", (event) => { if (session.unsaved) event.preventDefault(); });

render();
