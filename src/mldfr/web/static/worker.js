// Maps to boxes beside the page, so that sliders never wait.

import { boxes, decode, heat, prepare, sum } from "./maps.js";

const KEPT = 6; // prepared maps, at most 8 MiB each; more where one picture shows more classes
const pictures = new Map();
const prepared = new Map();

function remember(key, kept, make) {
  const known = prepared.get(key) ?? make();
  prepared.delete(key);
  prepared.set(key, known); // the newest last
  while (prepared.size > kept) prepared.delete(prepared.keys().next().value);
  return known;
}

function add({ key, answer }) {
  const known = pictures.get(key)?.labels ?? new Map();
  for (const label of answer.labels) {
    const maps = label.maps.map((map) => ({ ...map, values: decode(map.values) }));
    known.set(label.class_index, { probability: Math.fround(label.probability), maps });
  }
  pictures.set(key, { ...answer, labels: known });
}

/** The regions of a class without those that have too small a share of the largest one's pixels. */
function withoutSpecks(regions, share) {
  const largest = regions.reduce((most, { pixels }) => Math.max(most, pixels), 0);
  return regions.filter(({ pixels }) => pixels >= share * largest);
}

/** Boxes of a picture, and its heat map where that is not the one that the page has. */
function look({ key, settings, classes, longest, known }) {
  const picture = pictures.get(key);
  const { map_height: height, map_width: width } = picture;
  const factors = [picture.width / width, picture.height / height];
  const kept = Math.max(KEPT, classes.length), layers = [], found = [];
  for (const index of classes) {
    const label = picture.labels.get(index);
    const maps = label.maps.filter((map) => settings.scales.includes(map.scale));
    const scales = maps.map((map) => map.scale);
    const name = JSON.stringify([key, index, scales, settings.normalizer, settings.rule === "regions"]);
    const ready = remember(name, kept, () => prepare(sum(maps, height, width), settings));
    layers.push({ maps, shown: ready.shown });
    for (const { xyxy, score } of withoutSpecks(boxes(ready, settings, height, width), settings.minRegion)) {
      found.push({
        classIndex: index,
        xyxy: xyxy.map((value, side) => Math.fround(value * factors[side % 2])),
        score: Math.fround(score * label.probability),
      });
    }
  }
  const name = JSON.stringify([key, settings.scales, settings.normalizer, classes]);
  if (!longest || name === known) return { boxes: found, heat: null };
  const shrink = Math.min(1, longest / Math.max(height, width));
  const size = { height: Math.max(1, Math.round(height * shrink)), width: Math.max(1, Math.round(width * shrink)) };
  return { boxes: found, heat: { name, ...size, pixels: heat(layers, size.height, size.width) } };
}

function answer(data) {
  if (data.kind === "add") add(data);
  if (data.kind === "remove") pictures.delete(data.key);
  if (data.kind !== "look") return;
  const result = look(data);
  self.postMessage({ id: data.id, ...result }, result.heat ? [result.heat.pixels.buffer] : []);
}

self.addEventListener("message", ({ data }) => {
  try {
    answer(data);
  } catch (error) {
    self.postMessage({ id: data.id, error: error.message }); // whatever is wrong with a picture, a look at it says so
  }
});
