// Keeps the maps of all pictures, and asks the server for the boxes that they give; one question at a time.

import { drawBoxes } from "./api.js";
import { colored } from "./heat.js";

const pictures = new Map(); // by key and map
const place = (key, map) => `${key} ${map}`;
let last = Promise.resolve();

function add({ key, answer }) {
  const at = place(key, answer.settings.map), known = pictures.get(at)?.labels ?? new Map();
  for (const label of answer.labels) known.set(label.class_index, label);
  pictures.set(at, { ...answer, labels: known });
}

function remove({ key }) {
  for (const at of [...pictures.keys()]) if (at.startsWith(`${key} `)) pictures.delete(at);
}

/** Whether settings are those at which the boxes of an answer were found. */
function areThoseOf(answer, settings) {
  const own = answer.settings;
  return settings.threshold === own.threshold && settings.normalizer === own.normalizer
    && settings.rule === own.box_rule && settings.minRegion === own.min_region
    && own.scales.every((scale) => settings.scales.includes(scale));
}

/** Boxes as the answer to a picture has them, which may be fitted to it. */
function boxesOf(label) {
  return label.boxes.map(({ xyxy, score }) => ({ classIndex: label.class_index, xyxy, score }));
}

/** Boxes of a picture, and its heat map where that is not the one that the page has. */
async function look({ key, settings, classes, longest, known }) {
  const picture = pictures.get(place(key, settings.map));
  const { height, width, map_height: mapHeight, map_width: mapWidth, labels } = picture;
  const name = JSON.stringify([key, settings.map, settings.scales, settings.normalizer, classes]);
  const wanted = name === known ? 0 : longest;
  const answer = await drawBoxes({
    height,
    width,
    map_height: mapHeight,
    map_width: mapWidth,
    threshold: settings.threshold,
    normalizer: settings.normalizer,
    box_rule: settings.rule,
    min_region: settings.minRegion,
    heat: wanted,
    labels: classes.map((index) => {
      const { probability, maps } = labels.get(index);
      return { class_index: index, probability, maps: maps.filter((map) => settings.scales.includes(map.scale)) };
    }),
  });
  const boxes = areThoseOf(picture, settings)
    ? classes.flatMap((index) => boxesOf(labels.get(index)))
    : answer.boxes.map(({ class_index: classIndex, xyxy, score }) => ({ classIndex, xyxy, score }));
  if (!answer.heat) return { boxes, heat: null };
  return { boxes, heat: { name, height: answer.heat.height, width: answer.heat.width, pixels: colored(answer.heat) } };
}

async function answerTo(data) {
  try {
    const result = await look(data);
    self.postMessage({ id: data.id, ...result }, result.heat ? [result.heat.pixels.buffer] : []);
  } catch (error) {
    self.postMessage({ id: data.id, error: error.message }); // whatever is wrong with a picture, a look at it says so
  }
}

self.addEventListener("message", ({ data }) => {
  if (data.kind === "add") add(data);
  if (data.kind === "remove") remove(data);
  if (data.kind === "look") last = last.then(() => answerTo(data));
});
