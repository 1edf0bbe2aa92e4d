// What is being typed: in this browser at once, at the service a moment later; back after a reload, a kill or the end of a session.
import { ApiProblem, get, put } from "../api";
import type { DraftShown } from "../contract";
import { session } from "./session";

export type Kind = "reply" | "note";

interface Kept {
  body: string;
  at: number;
}

// Long enough not to send every word, short enough that a crash costs a sentence at most (and this browser loses nothing).
const PAUSE_MS = 800;
// A draft of longer ago is old news.
const DAYS_MAX = 14;

const timers = new Map<string, ReturnType<typeof setTimeout>>();
/** what the service was last told of each, on its way or arrived */
const told = new Map<string, Promise<void>>();

function place(id: string, kind: Kind): string {
  const me = session.peek();
  return `makegood:draft:${me?.platform.slug ?? ""}:${me?.agent.id ?? ""}:${id}:${kind}`;
}

/** What this browser has, without asking anyone. */
export function local(id: string, kind: Kind): Kept | null {
  try {
    const kept = JSON.parse(localStorage.getItem(place(id, kind)) ?? "null") as Kept | null;
    return kept && typeof kept.body === "string" ? kept : null;
  } catch {
    return null;
  }
}

/** Keeps what is typed. `onState` hears when the service has it, or that it could not be reached (the browser has it all the same). */
export function keep(id: string, kind: Kind, body: string, onState: (state: "kept" | "here") => void): void {
  const where = place(id, kind);
  try {
    if (body === "") localStorage.removeItem(where);
    else localStorage.setItem(where, JSON.stringify({ body, at: Date.now() } satisfies Kept));
  } catch {
    // A full or forbidden storage: the service still keeps it.
  }
  clearTimeout(timers.get(where));
  timers.set(
    where,
    setTimeout(() => {
      tell(where, id, kind, body).then(
        () => onState("kept"),
        () => onState("here"),
      );
    }, PAUSE_MS),
  );
}

/** It was sent: nothing is being typed any more. The service forgets its copy with the message; asking again costs nothing. */
export function drop(id: string, kind: Kind): void {
  const where = place(id, kind);
  clearTimeout(timers.get(where));
  localStorage.removeItem(where);
  tell(where, id, kind, "").catch(() => undefined);
}

/** One after the other: what was typed before never arrives behind what came after it. */
function tell(where: string, id: string, kind: Kind, body: string): Promise<void> {
  const before = told.get(where) ?? Promise.resolve();
  const now = before.catch(() => undefined).then(() => put<void>(`/v1/cases/${id}/draft`, { kind, body }));
  told.set(where, now);
  return now;
}

/** What the service has of this case: one's own, and what others began. */
export async function stored(id: string): Promise<DraftShown[]> {
  try {
    return (await get<{ drafts: DraftShown[] }>(`/v1/cases/${id}/drafts`)).drafts;
  } catch (error) {
    if (error instanceof ApiProblem) return [];
    throw error;
  }
}

/** Which of the two is newer: what the browser has, or what the service has. */
export function newer(here: Kept | null, there: DraftShown | undefined): string {
  if (!here) return there?.body ?? "";
  if (!there) return here.body;
  return here.at >= Date.parse(there.updated_at) ? here.body : there.body;
}

/** Old drafts are swept when the console opens, so that this browser does not fill up. */
export function sweep(): void {
  for (const name of Object.keys(localStorage)) {
    if (!name.startsWith("makegood:draft:")) continue;
    try {
      const kept = JSON.parse(localStorage.getItem(name) ?? "null") as Kept | null;
      if (!kept || kept.at < Date.now() - DAYS_MAX * 86_400_000) localStorage.removeItem(name);
    } catch {
      localStorage.removeItem(name);
    }
  }
}
