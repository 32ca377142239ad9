// The server's questions. What is refused for the moment is asked again.

const TRIES = 60;

export async function ask(path, options = {}) {
  for (let attempt = 1; ; attempt++) {
    let response;
    try {
      response = await fetch(path, options);
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Error("The server cannot be reached. Is it still running?");
    }
    if (response.ok) return response;
    if (response.status === 429 && attempt < TRIES) {
      const seconds = Number(response.headers.get("Retry-After")) || 1;
      await new Promise((resolve) => { setTimeout(resolve, 1000 * seconds); });
      continue;
    }
    const answer = await response.json().catch(() => null);
    const error = new Error(answer?.error?.message ?? `The server answered with status ${response.status}.`);
    throw Object.assign(error, { status: response.status, code: answer?.error?.code });
  }
}

export const getModel = async () => (await ask("/api/model")).json();
export const getSamples = async () => (await ask("/api/samples")).json();

export async function getSample(name) {
  const blob = await (await ask(`/api/samples/${encodeURIComponent(name)}`)).blob();
  return new File([blob], name, { type: blob.type });
}

/** Classes, maps and boxes of a picture by a map of this model; of the most probable classes unless some are named. */
export async function locate(file, { fingerprint, map, classes = [], signal }) {
  await file.slice(0, 1).arrayBuffer().catch(() => {
    throw new Error("The file cannot be read. Is it a folder, or has it been moved or changed?");
  });
  const body = new FormData();
  body.append("picture", file, "picture"); // its name is nobody's business
  body.append("fingerprint", fingerprint);
  body.append("map", map);
  for (const name of classes) body.append("classes", name);
  return (await ask("/api/locate", { method: "POST", body, signal })).json();
}

/** The answer to a body of JSON. */
export function tell(path, body) {
  return ask(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
}

/** Boxes, and a heat map where one is wanted, from maps that `locate` gave. */
export async function drawBoxes(request) {
  return (await tell("/api/boxes", request)).json();
}

/** An annotation file: its name and its content. */
export async function exportFile(request, path = "/api/export") {
  const response = await tell(path, request);
  const name = /filename="([^"]+)"/.exec(response.headers.get("Content-Disposition"))[1];
  return { name, content: await response.blob() };
}
