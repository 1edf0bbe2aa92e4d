// What is said in the console to whoever builds the host page: each thing once, and nothing of a customer's in it.
import type { App } from "../app";

const given = new WeakMap<App, Set<string>>();

/** `what` is wrong: the host's function "failed", its token was "refused", or the type of what it gave instead of one. */
export function hint(a: App, what: string): void {
  const before = given.get(a) ?? new Set();
  if (before.has(what)) return;
  given.set(a, before.add(what));
  console.warn(`makegood: ${said(what)}`);
}

function said(what: string): string {
  if (what === "failed") return "getToken threw or rejected: it gives a token, or null for a guest";
  if (what === "refused") return "the token was refused: see docs/integrate.md, section 3";
  return `getToken returned ${what === "object" ? "an" : "a"} ${what}, not the token itself`;
}
