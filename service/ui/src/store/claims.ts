// The cases that this person has taken: kept while the console is open, and said in words when one is lost.
import { effect, signal } from "@preact/signals";
import { ApiProblem, post } from "../api";
import type { CaseShown, QueueRow } from "../contract";
import { announce } from "./announce";
import { rows } from "./queue";

// Three missed keeps are a browser that is gone; then the case goes back to its place.
export const LEASE_SECONDS = 90;
const KEEP_MS = 25_000;

/** why a claim ended without this person ending it, by case */
export const lost = signal<ReadonlyMap<string, string>>(new Map());
const held = new Set<string>();
/** of those, what the live queue has shown as this person's: a row from before the claim says nothing about it */
const shown = new Set<string>();
/** what this page itself is about to give away */
const leaving = new Set<string>();

/** Takes a case, or the best of the queue. Raises ApiProblem (`at_capacity`, `nothing_to_take`). */
export async function take(id?: string): Promise<CaseShown> {
  const body = id === undefined ? { lease_seconds: LEASE_SECONDS } : { case: id, lease_seconds: LEASE_SECONDS };
  const taken = await post<CaseShown>("/v1/queue/take", body, { intent: `take:${id ?? "best"}` });
  has(taken.id);
  return taken;
}

/** Brings a parked case back to this person. */
export async function unpark(id: string): Promise<void> {
  await post(`/v1/cases/${id}/unpark`, {}, { intent: "unpark" });
  has(id);
}

function has(id: string): void {
  held.add(id);
  shown.delete(id);
  leaving.delete(id);
  if (lost.value.has(id)) forget(id);
}

export function forget(id: string): void {
  const next = new Map(lost.value);
  next.delete(id);
  lost.value = next;
}

/** Does what ends the claim, so that its end is not said to be a loss. */
export async function leave<T>(id: string, act: () => Promise<T>): Promise<T> {
  leaving.add(id);
  try {
    const result = await act();
    held.delete(id);
    return result;
  } finally {
    setTimeout(() => leaving.delete(id), 5000);
  }
}

function lose(id: string, why: string): void {
  held.delete(id);
  if (leaving.has(id)) return;
  lost.value = new Map(lost.value).set(id, why);
  announce(why);
}

async function keep(id: string): Promise<void> {
  try {
    await post(`/v1/cases/${id}/keep`, { lease_seconds: LEASE_SECONDS }, { intent: "keep", byItself: true });
  } catch (error) {
    if (error instanceof ApiProblem && error.status === 409) lose(id, "You do not have this case any more: it is back in the queue.");
    // Anything else is tried again at the next turn; the lease lasts for three.
  }
}

/** Keeps what is held, for as long as the console is open. Returns what stops it. */
export function startKeeping(): () => void {
  const timer = setInterval(() => {
    for (const id of held) void keep(id);
  }, KEEP_MS);
  // What the live queue says is right: a claim of another tab is kept here too, one that ended elsewhere is lost.
  const stop = effect(() => {
    for (const row of rows.value?.values() ?? []) {
      if (row.mine && row.state === "taken") {
        if (!held.has(row.id) && !leaving.has(row.id)) has(row.id);
        shown.add(row.id);
      } else if (held.has(row.id) && shown.has(row.id)) lose(row.id, why(row));
    }
  });
  return () => {
    clearInterval(timer);
    stop();
  };
}

function why(row: QueueRow): string {
  if (row.state === "taken") return `${row.agent ?? "Somebody else"} has this case now.`;
  if (row.state === "waiting") return "You do not have this case any more: it is back in the queue.";
  return "The case was put aside by somebody else.";
}
