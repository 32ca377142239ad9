// Annotation files: which there are, and how a browser takes one.

import { byId, make } from "./dom.js";

const FORMATS = {
  coco: "COCO", yolo: "YOLO", voc: "Pascal VOC", "label-studio": "Label Studio", cvat: "CVAT", csv: "CSV tables",
};

/** Fill the list of formats. */
export function offerFormats(names) {
  byId("format").append(...names.map((name) => make("option", { value: name, textContent: FORMATS[name] ?? name })));
}

/** Let the browser save a file. */
export function saveFile(name, content) {
  const link = make("a", { href: URL.createObjectURL(content), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}
