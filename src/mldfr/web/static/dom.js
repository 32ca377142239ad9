// Small helpers around the document.

export const byId = (id) => document.getElementById(id);

/** An element with properties, attributes (in `attributes`), listeners (in `on`) and children. */
export function make(tag, { attributes = {}, on = {}, ...properties } = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  for (const [name, listener] of Object.entries(on)) element.addEventListener(name, listener);
  element.append(...children);
  return element;
}

let pending = 0;

/** Say something to screen readers, once it has settled. */
export function announce(text) {
  clearTimeout(pending);
  pending = setTimeout(() => { byId("announcer").textContent = text; }, 250);
}

/** Show a message for a while; it is read out too. */
export function toast(text) {
  const close = make("button", { type: "button", textContent: "×", attributes: { "aria-label": "Close message" } });
  const note = make("div", { className: "toast" }, make("p", { textContent: text }), close);
  close.addEventListener("click", () => note.remove());
  byId("toasts").append(note);
  setTimeout(() => note.remove(), 12000);
}

export const percent = (share) => (share > 0 && share < 0.01 ? "< 1 %" : `${Math.round(100 * share)} %`);
/** Nothing where it would be 0 %: of what was asked for by name the number says nothing then. */
export const percentIfAny = (share) => (Math.round(100 * share) > 0 ? percent(share) : "");
export const count = (number, one, many = `${one}s`) => `${number} ${number === 1 ? one : many}`;

/** Colours of classes, all light, so that dark text is legible on each. */
const COLORS = ["#00e5ff", "#ffea00", "#ff4fd8", "#7cff4f", "#ff8a3d", "#b69cff", "#5dffc3", "#ffffff"];
export const colorOf = (place) => COLORS[place % COLORS.length];
