// Score maps to boxes, as mldfr/score_maps.py and mldfr/boxes.py have it. Values are float32 wherever theirs are.

const { fround } = Math;
const PERCENTILE = 0.45;

/** Base64 of float32, little endian, to values. */
export function decode(text) {
  const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  const view = new DataView(bytes.buffer);
  return Float32Array.from({ length: bytes.length / 4 }, (_, index) => view.getFloat32(4 * index, true));
}

/** For each place along a side: the two cells between which it lies, and the weight of the second. */
function between(cells, places) {
  const scale = fround(cells / places); // centres of cells and places lie at halves
  const first = new Int32Array(places), second = new Int32Array(places), weight = new Float32Array(places);
  for (let place = 0; place < places; place++) {
    const position = Math.max(0, fround(fround(scale * (place + 0.5)) - 0.5));
    first[place] = Math.min(Math.floor(position), cells - 1);
    second[place] = Math.min(first[place] + 1, cells - 1);
    weight[place] = Math.min(1, fround(position - first[place]));
  }
  return { first, second, weight };
}

/** The sum of maps {height, width, values}, each resized (bilinear) to height x width. */
export function sum(maps, height, width) {
  const total = new Float32Array(height * width);
  for (const map of maps) {
    const columns = between(map.width, width), rows = between(map.height, height);
    const wide = new Float32Array(map.height * width);
    for (let y = 0; y < map.height; y++) {
      for (let x = 0; x < width; x++) {
        const start = y * map.width, weight = columns.weight[x];
        wide[y * width + x] =
          (1 - weight) * map.values[start + columns.first[x]] + weight * map.values[start + columns.second[x]];
      }
    }
    for (let y = 0; y < height; y++) {
      const weight = rows.weight[y], rest = 1 - weight;
      const above = rows.first[y] * width, below = rows.second[y] * width, start = y * width;
      for (let x = 0; x < width; x++) {
        total[start + x] += fround(rest * wide[above + x] + weight * wide[below + x]);
      }
    }
  }
  return total;
}

function range(values) {
  let low = Infinity, high = -Infinity;
  for (let index = 0; index < values.length; index++) {
    const value = values[index];
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return { low, high };
}

function mean(values) {
  let total = 0;
  for (let index = 0; index < values.length; index++) total += values[index];
  return fround(total / values.length);
}

const toNumber = new DataView(new ArrayBuffer(4));

/** A key that sorts as the number does, for the bits of a float32. */
const sortable = (bits) => ((bits & 0x80000000) === 0 ? (bits | 0x80000000) >>> 0 : ~bits >>> 0);

function fromSortable(key) {
  toNumber.setUint32(0, (key & 0x80000000) === 0 ? ~key >>> 0 : (key & 0x7fffffff) >>> 0);
  return toNumber.getFloat32(0);
}

/** The value of rank k (0 is the lowest), by counting the bits in two passes instead of sorting. */
function ranked(values, rank) {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const counts = new Uint32Array(65536);
  for (let index = 0; index < bits.length; index++) counts[sortable(bits[index]) >>> 16]++;
  let upper = 0;
  for (; rank >= counts[upper]; upper++) rank -= counts[upper];
  counts.fill(0);
  for (let index = 0; index < bits.length; index++) {
    const key = sortable(bits[index]);
    if (key >>> 16 === upper) counts[key & 0xffff]++;
  }
  let lower = 0;
  for (; rank >= counts[lower]; lower++) rank -= counts[lower];
  return fromSortable(((upper << 16) | lower) >>> 0);
}

/** NumPy's percentile with its linear rule. */
function quantile(values, share) {
  const place = (values.length - 1) * share, low = Math.floor(place);
  const first = ranked(values, low), second = ranked(values, Math.min(low + 1, values.length - 1));
  const step = fround(second - first), weight = place - low;
  return weight < 0.5
    ? fround(first + fround(step * fround(weight)))
    : fround(second - fround(step * fround(1 - weight)));
}

/** What is subtracted from a map, and by what the rest is divided; 0 where the map is constant. */
function levels(values, normalizer) {
  const { low, high } = range(values);
  const base = { min_max: () => low, max: () => 0, percentile: () => quantile(values, PERCENTILE) }[normalizer]();
  const constant = normalizer === "max" && low === high;
  return { base, highest: constant ? 0 : Math.max(0, fround(high - base)) };
}

function normalize(values, { base, highest }) {
  const result = new Float32Array(values.length);
  if (highest === 0) return result;
  for (let index = 0; index < values.length; index++) {
    result[index] = Math.max(0, fround(values[index] - base)) / highest;
  }
  return result;
}

/** The activations of a summed map, and what of it does not depend on the threshold. */
export function prepare(values, { normalizer, rule }) {
  const shown = levels(values, normalizer);
  if (rule === "regions") return { activation: normalize(values, shown), shown };
  const raised = withoutLow(values, mean(values));
  return { activation: normalize(raised, levels(raised, normalizer)), shown };
}

/** The values, with 0 for those under a limit. */
function withoutLow(values, limit) {
  const result = new Float32Array(values.length);
  for (let index = 0; index < values.length; index++) {
    if (values[index] >= limit) result[index] = values[index];
  }
  return result;
}

/** The boxes of one class {xyxy, score}, the best first; scores are mean activations. */
export function boxes({ activation }, { rule, threshold }, height, width) {
  const limit = fround(threshold), kept = new Uint8Array(activation.length);
  if (rule === "regions") {
    for (let index = 0; index < kept.length; index++) kept[index] = activation[index] > limit ? 1 : 0;
    return around(activation, kept, height, width, 1);
  }
  const values = withoutLow(activation, limit);
  const { low, high } = range(values);
  if (low === high) return [];
  const average = mean(values);
  for (let index = 0; index < kept.length; index++) kept[index] = values[index] >= average ? 1 : 0;
  const found = around(values, kept, height, width, 0);
  return rule === "union" ? [united(found)] : found;
}

function united(regions) {
  const side = (index, choose) => choose(...regions.map((region) => region.xyxy[index]));
  const pixels = regions.reduce((total, region) => total + region.pixels, 0);
  const total = regions.reduce((sum, region) => sum + region.total, 0);
  const xyxy = [side(0, Math.min), side(1, Math.min), side(2, Math.max), side(3, Math.max)];
  return { xyxy, pixels, total, score: Math.min(1, fround(total / pixels)) };
}

/** A box around each connected region: runs of each row are joined with those of the row before. */
function around(activation, kept, height, width, diagonal) {
  const parent = [], regions = [];
  const root = (index) => {
    while (parent[index] !== index) index = parent[index] = parent[parent[index]];
    return index;
  };
  let before = [];
  for (let y = 0; y < height; y++) {
    const row = [], start = y * width;
    let next = 0;
    for (let x = 0; x < width; x++) {
      if (kept[start + x] === 0) continue;
      const x0 = x;
      let total = 0;
      for (; x < width && kept[start + x] === 1; x++) total += activation[start + x];
      const run = { x0, x1: x, region: regions.length };
      parent.push(run.region);
      regions.push({ xyxy: [x0, y, x, y + 1], pixels: x - x0, total });
      while (next < before.length && before[next].x1 + diagonal <= x0) next++;
      for (let other = next; other < before.length && before[other].x0 < x + diagonal; other++) {
        const one = root(before[other].region), two = root(run.region);
        if (one !== two) parent[Math.max(one, two)] = Math.min(one, two);
      }
      row.push(run);
    }
    before = row;
  }
  return scored(gathered(regions, root));
}

function gathered(regions, root) {
  const whole = [];
  regions.forEach((region, index) => {
    const owner = root(index);
    if (owner === index) return whole.push(region);
    const target = regions[owner], [a, b] = [target.xyxy, region.xyxy];
    target.xyxy = [Math.min(a[0], b[0]), Math.min(a[1], b[1]), Math.max(a[2], b[2]), Math.max(a[3], b[3])];
    target.pixels += region.pixels;
    target.total += region.total;
    return undefined;
  });
  return whole;
}

function scored(regions) {
  for (const region of regions) region.score = fround(Math.min(1, Math.max(0, region.total / region.pixels)));
  return regions.sort((one, other) => other.score - one.score); // stable: equal scores keep their order
}

// Turbo at ten places, as mldfr/draw.py uses it: up to its brightest red.
const COLORS = [
  [48, 18, 59], [68, 84, 196], [65, 145, 254], [31, 200, 222], [39, 238, 164],
  [125, 255, 86], [193, 243, 52], [241, 202, 58], [254, 146, 42], [234, 79, 13],
];

/** For each level, 0 to 255, a colour as the four bytes RGBA in one number, the colder, the more transparent. */
const PALETTE = Uint32Array.from({ length: 256 }, (_, level) => {
  const place = (level / 255) * (COLORS.length - 1), low = Math.min(Math.floor(place), COLORS.length - 2);
  const [red, green, blue] = COLORS[low].map((one, channel) =>
    Math.round(one + (COLORS[low + 1][channel] - one) * (place - low)));
  return ((level << 24) | (blue << 16) | (green << 8) | red) >>> 0;
});

/** Pixels RGBA of a heat map: for each place the hottest class. */
export function heat(layers, height, width) {
  const hottest = new Float32Array(height * width);
  for (const { maps, shown } of layers) {
    if (shown.highest === 0) continue;
    const values = sum(maps, height, width);
    for (let index = 0; index < values.length; index++) {
      const value = (values[index] - shown.base) / shown.highest;
      if (value > hottest[index]) hottest[index] = value;
    }
  }
  const pixels = new Uint32Array(hottest.length);
  for (let index = 0; index < hottest.length; index++) {
    pixels[index] = PALETTE[Math.min(255, Math.round(255 * hottest[index]))];
  }
  return new Uint8ClampedArray(pixels.buffer);
}
