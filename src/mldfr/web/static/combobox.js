// A text field that finds one name among many (ARIA's combobox with a list).

import { make } from "./dom.js";

const SHOWN = 50;
let numbers = 0;

/** Names that hold all words of a text: first those that have them as words, and of these those that begin with it. */
function matches(names, text) {
  const wanted = text.toLowerCase().trim(), words = wanted.split(/\s+/);
  const rank = (lower) => {
    const own = lower.split(/[^\p{L}\p{N}]+/u);
    return 2 * words.every((word) => own.includes(word)) + lower.startsWith(wanted);
  };
  return names
    .map((name, index) => ({ name, index, lower: name.toLowerCase() }))
    .filter(({ lower }) => words.every((word) => lower.includes(word)))
    .sort((one, other) => rank(other.lower) - rank(one.lower))
    .slice(0, SHOWN);
}

/** A field whose `chosen` is told the index of the name that was picked. */
export function combobox({ label, names, placeholder = "", chosen }) {
  const id = `choice-${(numbers += 1)}`;
  const list = make("ul", { id: `${id}-list`, hidden: true, attributes: { role: "listbox", "aria-label": label } });
  const input = make("input", {
    id,
    type: "text",
    placeholder,
    autocomplete: "off",
    spellcheck: false,
    attributes: { role: "combobox", "aria-expanded": "false", "aria-controls": list.id, "aria-autocomplete": "list" },
  });
  let found = [], active = -1, value = "";

  const close = () => {
    list.hidden = true;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
  };
  const mark = (place) => {
    active = place;
    [...list.children].forEach((item, index) => item.setAttribute("aria-selected", String(index === place)));
    const item = list.children[place];
    if (!item) return input.removeAttribute("aria-activedescendant");
    input.setAttribute("aria-activedescendant", item.id);
    return item.scrollIntoView({ block: "nearest" });
  };
  const pick = (place) => {
    const { index } = found[place];
    close();
    input.value = value;
    chosen(index);
  };
  const open = () => {
    found = matches(names, input.value === value ? "" : input.value);
    list.replaceChildren(...found.map(({ name }, place) => {
      const item = make("li", { id: `${id}-${place}`, textContent: name, attributes: { role: "option" } });
      item.addEventListener("pointerdown", (event) => { event.preventDefault(); pick(place); });
      return item;
    }));
    list.hidden = found.length === 0;
    input.setAttribute("aria-expanded", String(!list.hidden));
    mark(found.length && input.value !== value ? 0 : -1);
  };
  input.addEventListener("focus", () => input.select());
  input.addEventListener("input", open);
  input.addEventListener("click", () => { if (list.hidden) open(); });
  input.addEventListener("blur", () => { close(); input.value = value; });
  input.addEventListener("keydown", (event) => {
    const steps = { ArrowDown: 1, ArrowUp: -1 };
    if (event.key in steps) {
      event.preventDefault();
      if (list.hidden) open();
      else mark((active + steps[event.key] + found.length) % found.length);
    } else if (event.key === "Enter" && !list.hidden && active >= 0) {
      event.preventDefault();
      pick(active);
    } else if (event.key === "Escape" && !list.hidden) {
      event.stopPropagation();
      close();
      input.value = value;
    }
  });
  const show = (text) => {
    value = text;
    if (document.activeElement !== input) input.value = text;
  };
  const title = make("label", { htmlFor: id, textContent: label });
  return { element: make("div", { className: "combobox" }, title, input, list), show };
}
