// The names under which pictures are written: what could become no path is replaced, and no two are alike.

const LONGEST = 190; // bytes of UTF-8: the server takes 200, and names that are alike get a number
const LONGEST_SUFFIX = 10; // characters with the dot; more is no type of picture
const TOLD = 3; // of several pictures

/** The beginning of a text, at most so many bytes of UTF-8. */
function beginning(text, bytes) {
  // A character that is cut in two is not given out as long as more could come.
  return new TextDecoder().decode(new TextEncoder().encode(text).subarray(0, bytes), { stream: true });
}

/** A name whose stem none of the pictures has: most formats drop the suffix. */
export function freeName(name, pictures) {
  const legal = name.normalize("NFC").toWellFormed().replace(/[\\/:\u0000-\u001f\u007f]/g, "-");
  const clean = legal.replace(/^[.\s]+/, "").trim() || "picture";
  const dot = clean.lastIndexOf("."), hasSuffix = dot > 0 && clean.length - dot <= LONGEST_SUFFIX;
  const [whole, suffix] = hasSuffix ? [clean.slice(0, dot), clean.slice(dot)] : [clean, ""];
  const stem = beginning(whole, LONGEST - new TextEncoder().encode(suffix).length).trim();
  const taken = new Set(pictures.map((picture) => picture.name.replace(/\.[^.]*$/, "").toLowerCase()));
  let free = stem;
  for (let number = 2; taken.has(free.toLowerCase()); number++) free = `${stem}-${number}`;
  return free + suffix;
}

/** What is to be said of pictures that have another name than their file. */
export function renamed(pictures) {
  const others = pictures.filter(({ name, file }) => file.name && name !== file.name.normalize("NFC"));
  if (others.length === 0) return [];
  const told = others.slice(0, TOLD).map(({ name, file }) => `${file.name} as ${name}`);
  if (others.length > TOLD) told.push(`${others.length - TOLD} more`);
  return [`Under other names in downloads: ${told.join(", ")}.`];
}
