// Annotation files: which there are, and how a browser takes one.

import { byId, make } from "./dom.js";

/** Fill the list of formats: what people call them, by name. */
export function offerFormats(titles) {
  const options = Object.entries(titles).map(([value, textContent]) => make("option", { value, textContent }));
  byId("format").append(...options);
}

/** Let the browser save a file. */
export function saveFile(name, content) {
  const link = make("a", { href: URL.createObjectURL(content), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}
