// What several of these pages say alike: waits, sentences, and where a number or a case leads.
import { clock, money, number, say, spoken } from "../words";
import type { PreviewFact } from "../contract";
import type { WaitQuote } from "../contract";

/** Where the queue shows what `behind` lists (the query string of `GET /v1/queue`, with or without its path). */
export function queueAt(behind: string): string {
  return `/desk?${behind.replace(/^.*\?/, "")}`;
}

export function caseAt(id: string): string {
  return `/desk/cases/${id}`;
}

/** "1:10–2:30" */
export function waitRange(wait: WaitQuote | null): string {
  return wait === null ? "–" : `${clock(wait.low_seconds)}–${clock(wait.high_seconds)}`;
}

/** Words as a sentence: a capital in front, a full stop at the end. */
export function sentence(text: string): string {
  const whole = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.?!]$/.test(whole) ? whole : `${whole}.`;
}

/** What a preview's fact says, by its kind; undefined: it was not there. */
export function factValue(fact: PreviewFact | undefined, currency: string | null): string {
  if (!fact || fact.value === null || fact.value === "") return "nothing";
  const { kind, name, value } = fact;
  if (kind === "yes_no") return value === true ? "yes" : "no";
  if (kind === "money" && typeof value === "number") return money(value, currency);
  if (typeof value === "number") return number(value);
  if (kind === "state" && name === "operation.state") return value === "HELD" ? "waits for a yes" : say("operation", String(value).toLowerCase()).toLowerCase();
  return kind === "state" || kind === "text" ? spoken(String(value)).toLowerCase() : String(value);
}
