// What is to be done once carries a key: the same for the same intent until it is answered, also after a reload.
import type { App } from "../app";

/** Raises Refused. */
export async function once<T>(a: App, path: string, body: unknown): Promise<T> {
  const place = `key:${path}:${digest(JSON.stringify(body))}`;
  const key = a.kept.get(place) ?? newKey();
  a.kept.set(place, key);
  try {
    return await a.api.send<T>("POST", path, { body, headers: { "Idempotency-Key": key } });
  } finally {
    // Answered, with yes or no: it is over. What nobody answered is still being tried.
    a.kept.set(place, null);
  }
}

/** FNV-1a from two ends: tells one text from the next; the service compares the bodies themselves. Of what was typed only this is kept. */
function digest(text: string): string {
  let [one, other] = [0x811c9dc5, 0x1b873593];
  for (let at = 0; at < text.length; at += 1) {
    one = Math.imul(one ^ text.charCodeAt(at), 0x01000193);
    other = Math.imul(other ^ text.charCodeAt(text.length - 1 - at), 0x01000193);
  }
  return `${text.length}.${one >>> 0}.${other >>> 0}`;
}

function newKey(): string {
  // randomUUID needs a secure context; a service on a plain address of one's own network has none.
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (one) => one.toString(16).padStart(2, "0")).join("");
}
