// Which rows are shown, and in which order: the same words as the query of `GET /v1/queue`, so that every list has an address.
import type { QueueRow } from "../contract";
import { now } from "../store/clock";

export interface Filters {
  state: "waiting" | "mine" | "parked" | "all";
  skill: string;
  problem: string;
  show: string;
  language: string;
  sla: string;
  /** how long it has been with people, from the board: at least, and less than, so many seconds */
  older_seconds: string;
  younger_seconds: string;
}

export const NO_FILTERS: Filters = { state: "waiting", skill: "", problem: "", show: "", language: "", sla: "", older_seconds: "", younger_seconds: "" };

export function read(query: Readonly<Record<string, string>>): Filters {
  const state = query["mine"] ? "mine" : query["state"];
  return {
    state: state === "mine" || state === "parked" || state === "all" || state === "taken" ? (state === "taken" ? "all" : state) : "waiting",
    skill: query["skill"] ?? "",
    problem: query["problem"] ?? "",
    show: query["show"] ?? "",
    language: query["language"] ?? "",
    sla: query["sla"] ?? "",
    older_seconds: seconds(query["older_seconds"]),
    younger_seconds: seconds(query["younger_seconds"]),
  };
}

/** "0" says nothing: every case is as old as that. */
function seconds(text: string | undefined): string {
  return text !== undefined && /^[1-9]\d{0,8}$/.test(text) ? text : "";
}

export function write(filters: Filters): string {
  const found = new URLSearchParams();
  if (filters.state === "mine") found.set("mine", "true");
  else if (filters.state !== "waiting") found.set("state", filters.state);
  for (const name of ["skill", "problem", "show", "language", "sla", "older_seconds", "younger_seconds"] as const) if (filters[name] !== "") found.set(name, filters[name]);
  const text = found.toString();
  return text === "" ? "" : `?${text}`;
}

export function active(filters: Filters): number {
  return [filters.skill, filters.problem, filters.show, filters.language, filters.sla, filters.older_seconds || filters.younger_seconds].filter((one) => one !== "").length;
}

export function fits(row: QueueRow, filters: Filters): boolean {
  // What one has oneself stays in sight, on top.
  if (filters.state === "waiting" && row.state !== "waiting" && !(row.mine && row.state === "taken")) return false;
  if (filters.state === "mine" && !row.mine) return false;
  if (filters.state === "parked" && (row.state === "waiting" || row.state === "taken")) return false;
  if (filters.skill !== "" && row.skill !== filters.skill) return false;
  if (filters.problem !== "" && row.problem !== filters.problem) return false;
  if (filters.show !== "" && row.show !== filters.show) return false;
  if (filters.language !== "" && row.locale.split("-")[0] !== filters.language) return false;
  if (filters.older_seconds !== "" || filters.younger_seconds !== "") {
    // A list that opened stays as it is until rows change: nothing leaves it under one's hands for a second that passed.
    const age = (now.peek() - Date.parse(row.queued_at)) / 1000;
    if (filters.older_seconds !== "" && age < Number(filters.older_seconds)) return false;
    if (filters.younger_seconds !== "" && age >= Number(filters.younger_seconds)) return false;
  }
  if (filters.sla === "breached" && !row.sla?.breached) return false;
  return filters.sla !== "at_risk" || (row.sla?.warned === true && !row.sla.breached);
}

// One's own first, then what waits, then what others have; parked ones last.
const PLACES: Readonly<Record<QueueRow["state"], number>> = { waiting: 1, taken: 2, referred: 3, hold: 3, waits_for_customer: 4 };
function placeOf(row: QueueRow): number {
  return row.mine && row.state === "taken" ? 0 : PLACES[row.state];
}

// Read once a row: a thousand rows are compared ten thousand times.
const deadlines = new WeakMap<QueueRow, number>();
function deadline(row: QueueRow): number {
  let found = deadlines.get(row);
  if (found === undefined) {
    found = Date.parse(row.look_by);
    deadlines.set(row, found);
  }
  return found;
}

export function inOrder(one: QueueRow, other: QueueRow): number {
  const place = placeOf(one) - placeOf(other);
  if (place !== 0) return place;
  if (one.look_by !== other.look_by) return deadline(one) - deadline(other);
  return one.id < other.id ? -1 : 1;
}

export interface Choice {
  value: string;
  count: number;
}

/** What can be filtered by, with how many there are. */
export function choices(rows: Iterable<QueueRow>, of: (row: QueueRow) => string | null): Choice[] {
  const counts = new Map<string, number>();
  for (const row of rows) {
    const value = of(row);
    if (value !== null && value !== "") counts.set(value, (counts.get(value) ?? 0) + 1);
  }
  return [...counts].map(([value, count]) => ({ value, count })).sort((a, b) => b.count - a.count);
}
