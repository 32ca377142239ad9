// Heat maps in colours.

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

/** Pixels RGBA of a heat map {height, width, values}: base64 of a byte for each place. */
export function colored({ values }) {
  const levels = Uint8Array.from(atob(values), (character) => character.charCodeAt(0));
  return new Uint8ClampedArray(Uint32Array.from(levels, (level) => PALETTE[level]).buffer);
}
