// Sentences in a row.
import type { App } from "../app";

/** Sentences one after the other, each with its full stop, as the reader's language writes them. */
export function prose(a: App, ...texts: string[]): string {
  const [stop, between] = a.text.language === "ja" ? ["。", ""] : [".", " "];
  return texts.map((one) => (/[.。!?！？؟]$/.test(one) ? one : one + stop)).join(between);
}
