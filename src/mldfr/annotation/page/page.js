"use strict";
// Plain scripts: a page from a disk may load no modules and no JSON. The lines come as scripts that call `reviewLines`.

const PER_PAGE = 48;
const MOST_CHUNKS = 80; // scripts whose lines are kept
const COLORS = ["#00e5ff", "#ffea00", "#ff4fd8", "#7cff4f", "#ff8a3d", "#b69cff", "#5dffc3", "#ffffff"];
const byId = (id) => document.getElementById(id);
const percent = (share) => (share > 0 && share < 0.005 ? "< 1 %" : `${Math.round(100 * share)} %`);
const amount = (number, one) => `${number.toLocaleString("en")} ${one}${number === 1 ? "" : "s"}`;

function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

// ---- what is loaded

const chunks = new Map(), waiting = new Map();
let classesOf = null;

window.reviewLines = (number, lines) => chunks.set(number, lines);
window.reviewClasses = (all) => { classesOf = all; };

/** Load a script of the page's folder, once. */
function load(name) {
  if (!waiting.has(name)) {
    waiting.set(name, new Promise((resolve, reject) => {
      const script = make("script", { src: `${FACTS.folder}/${name}.js`, onload: resolve });
      script.onerror = () => reject(new Error(`${FACTS.folder}/${name}.js is missing. Run the same mldfr annotate again.`));
      document.head.append(script);
    }).finally(() => document.querySelector(`script[src$="/${name}.js"]`)?.remove()));
  }
  return waiting.get(name);
}

async function lineAt(rank) {
  const number = Math.floor(rank / FACTS.chunk);
  await load(String(number));
  return chunks.get(number)[rank % FACTS.chunk];
}

/** The lines of some ranks; those of other pages are given up where there are too many. */
async function linesAt(ranks) {
  if (chunks.size > MOST_CHUNKS) {
    chunks.clear();
    for (const name of [...waiting.keys()]) if (name !== "classes") waiting.delete(name);
  }
  return Promise.all(ranks.map(lineAt));
}

// ---- where the reader is: in the address, so that Back and a reload come back to it

const state = { page: 1, class: -1 };
let ranks = null; // of the pictures of the class that is shown; null for all

function readAddress() {
  const told = new URLSearchParams(location.hash.slice(1));
  state.page = Number(told.get("page")) || 1;
  state.class = FACTS.classes.indexOf(told.get("class") ?? "");
}

function go(values) {
  Object.assign(state, values);
  const told = new URLSearchParams({ page: state.page });
  if (state.class >= 0) told.set("class", FACTS.classes[state.class]);
  location.hash = told;
}

const count = () => ranks?.length ?? FACTS.total;
const pageCount = () => Math.max(1, Math.ceil(count() / PER_PAGE));
const turn = (page) => go({ page: Math.min(Math.max(1, page), pageCount()) });

// ---- drawing

function svg(tag, attributes, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** Of few classes each has its colour everywhere, of many each of a picture. */
function colorOf({ labels }, index) {
  const place = FACTS.classes.length <= COLORS.length ? index : labels.indexOf(index);
  return COLORS[Math.max(0, place) % COLORS.length];
}

function boxesOf(line) {
  const [width, height] = line.size;
  const drawn = line.boxes.flatMap((box) => {
    const [index, , x0, y0, x1, y1] = box, place = { x: x0, y: y0, width: x1 - x0, height: y1 - y0 };
    const over = svg("rect", { ...place, class: "over" }, svg("title", {}));
    over.style.setProperty("--color", colorOf(line, index));
    over.firstChild.textContent = described(box);
    return [svg("rect", { ...place, class: "under" }), over];
  });
  return svg("svg", { viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" }, ...drawn);
}

const described = ([index, score]) =>
  `${FACTS.classes[index]}, ${score === null ? "drawn or changed by hand" : `score ${percent(score)}`}`;

function frame(line, clicked) {
  const words = line.boxes.length ? line.boxes.map(described).join("; ") : "no box";
  const missing = (text) => image.replaceWith(make("span", { className: "missing", textContent: text }));
  const image = make("img", { loading: "lazy", decoding: "async", alt: `${line.name}: ${words}` });
  image.onerror = () => missing(`This browser cannot show the picture, or it has been moved: ${line.name}`);
  const button = make("button", { type: "button", className: "frame", onclick: clicked }, image, boxesOf(line));
  if (line.file) image.src = line.file;
  else missing("Where the pictures are was not written down by this version. Run the same mldfr annotate again.");
  return button;
}

function labelsOf(line) {
  return line.labels.map((index) => {
    const swatch = make("span", { className: "swatch" });
    swatch.style.background = colorOf(line, index);
    const scores = line.boxes.filter(([other]) => other === index).map(([, score]) => score);
    const boxes = scores.length === 0 ? "no box" : scores.length > 1 ? `${scores.length} boxes` : "";
    const best = Math.max(...scores.map((score) => score ?? -1));
    const told = [boxes, best >= 0 ? `score ${percent(best)}` : ""];
    const small = make("small", { textContent: told.filter(Boolean).join(", ") });
    return make("li", {}, swatch, `${FACTS.classes[index]} `, small);
  });
}

function about(line) {
  const bar = make("i");
  bar.style.setProperty("--share", String(line.doubt));
  const doubt = make("p", { className: "doubt" }, `Doubt ${percent(line.doubt)}`, bar);
  const parts = [make("ul", { className: "labels" }, ...labelsOf(line)), make("p", { className: "name", textContent: line.name })];
  parts.push(line.checked ? make("p", { className: "checked", textContent: "✓ Checked by a person" }) : doubt);
  if (!line.checked) parts.push(make("p", { className: "why", textContent: line.why }));
  return make("div", { className: "about" }, ...parts);
}

function enlarge(line) {
  const large = byId("large");
  large.replaceChildren(frame(line, () => large.close()), about(line));
  large.showModal();
}

function card(line) {
  return make("article", {}, frame(line, () => enlarge(line)), about(line));
}

let asked = 0;

async function render() {
  const turnNumber = (asked += 1);
  byId("problem").hidden = true;
  try {
    await load("classes");
    fillClasses();
    ranks = state.class < 0 ? null : [...classesOf.keys()].filter((rank) => classesOf[rank].includes(state.class));
    state.page = Math.min(Math.max(1, state.page), pageCount());
    const start = (state.page - 1) * PER_PAGE, end = Math.min(start + PER_PAGE, count());
    const wanted = Array.from({ length: end - start }, (_, place) => (ranks ? ranks[start + place] : start + place));
    const lines = await linesAt(wanted);
    if (turnNumber !== asked) return; // another page was asked for meanwhile
    byId("pictures").replaceChildren(...lines.map(card));
    showPlace(start, end);
  } catch (error) {
    byId("problem").textContent = error.message;
    byId("problem").hidden = false;
  }
}

function showPlace(start, end) {
  const pages = pageCount(), what = state.class < 0 ? "" : ` of ${FACTS.classes[state.class]}`;
  byId("page").value = String(state.page);
  byId("page").max = String(pages);
  byId("pages").textContent = `of ${pages.toLocaleString("en")}`;
  byId("class").value = String(state.class);
  for (const part of document.querySelectorAll("nav, .keys")) part.hidden = pages === 1;
  for (const id of ["first", "previous"]) byId(id).disabled = state.page <= 1;
  for (const id of ["next", "last"]) byId(id).disabled = state.page >= pages;
  byId("announcer").textContent = `Pictures ${start + 1} to ${end} of ${count()}${what}`;
}

function fillClasses() {
  const list = byId("class");
  if (list.options.length) return;
  const counts = new Map();
  for (const numbers of classesOf) for (const index of numbers) counts.set(index, (counts.get(index) ?? 0) + 1);
  const named = [...counts].sort(([one], [other]) => FACTS.classes[one].localeCompare(FACTS.classes[other]));
  list.append(new Option(`all (${FACTS.total.toLocaleString("en")})`, "-1"));
  list.append(...named.map(([index, number]) => new Option(`${FACTS.classes[index]} (${number.toLocaleString("en")})`, String(index))));
}

// ---- what the reader does

const typing = (event) => event.target.matches("input, select, textarea") || event.ctrlKey || event.metaKey || event.altKey;

byId("first").onclick = () => turn(1);
byId("previous").onclick = () => turn(state.page - 1);
byId("next").onclick = () => turn(state.page + 1);
byId("last").onclick = () => turn(pageCount());
byId("page").onchange = () => turn(Number(byId("page").value) || 1);
byId("class").onchange = () => go({ class: Number(byId("class").value), page: 1 });
byId("copy").onclick = async () => {
  const range = document.createRange();
  range.selectNodeContents(byId("command"));
  getSelection().removeAllRanges();
  getSelection().addRange(range);
  const copied = await navigator.clipboard?.writeText(FACTS.command).then(() => true, () => false);
  byId("copy").textContent = copied ? "Copied" : "Selected";
};
document.addEventListener("keydown", (event) => {
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (!step || typing(event) || byId("large").open) return;
  event.preventDefault();
  turn(state.page + step);
});
window.addEventListener("hashchange", () => {
  readAddress();
  scrollTo(0, 0);
  render();
});

document.title = `${FACTS.title}: boxes to review`;
byId("title").textContent = FACTS.title;
byId("command").textContent = FACTS.command;
byId("doubt").textContent = FACTS.doubt;
byId("score").textContent = FACTS.score;
byId("more").textContent = `The same order as a table: ${FACTS.order}.`;
const counts = [amount(FACTS.total, "picture"), "the most doubtful first"];
if (FACTS.checked) counts.push(`${FACTS.checked.toLocaleString("en")} checked`);
if (FACTS.failed) counts.push(`${FACTS.failed.toLocaleString("en")} could not be read, see ${FACTS.failures}`);
byId("counts").textContent = counts.join(" · ");
readAddress();
render();
