// The desk's rows as they are now: one live stream for the console, rows that did not change stay the same objects.
import { computed, signal } from "@preact/signals";
import type { LiveChanged, LiveSnapshot, QueueRow, Session, WaitQuote } from "../contract";
import { follow, type StreamEvent } from "../live";
import { setClock } from "./clock";
import { isStillOurs, session, signedOut } from "./session";

/** undefined until the first snapshot */
export const rows = signal<ReadonlyMap<string, QueueRow> | undefined>(undefined);
export const waitQuote = signal<WaitQuote | null>(null);
/** up: live; away: the line is lost, what is shown is as of `asOf` */
export const liveState = signal<"starting" | "up" | "away">("starting");
export const asOf = signal<string | null>(null);

export const counts = computed(() => {
  const found = { waiting: 0, mine: 0, parked: 0, all: 0 };
  for (const row of rows.value?.values() ?? []) {
    found.all += 1;
    if (row.state === "waiting") found.waiting += 1;
    else if (row.state !== "taken") found.parked += 1;
    if (row.mine) found.mine += 1;
  }
  return found;
});

export function row(id: string): QueueRow | undefined {
  return rows.value?.get(id);
}

// A browser opens six connections to one address (HTTP/1.1): of many tabs, the one that was looked at last has the stream.
const tabs = new BroadcastChannel("makegood-live");

/** Starts the stream; returns what stops it. */
export function startLive(): () => void {
  let stop: (() => void) | null = null;
  const start = (): void => {
    stop ??= follow("/v1/desk/live", {
      on: take,
      onState: (up) => {
        liveState.value = up ? "up" : "away";
      },
      onRefused: (status) => (status === 401 ? untilSignedIn() : status === 409 ? isStillOurs() : Promise.resolve(false)),
    });
  };
  const halt = (): void => {
    stop?.();
    stop = null;
  };
  const look = (): void => {
    if (document.hidden) return;
    start();
    tabs.postMessage("here");
  };
  const leave = (): void => tabs.postMessage("gone");
  tabs.onmessage = (message: MessageEvent<unknown>) => {
    if (message.data === "gone") start();
    else if (document.hidden) halt();
  };
  start();
  look();
  document.addEventListener("visibilitychange", look);
  addEventListener("pagehide", leave);
  return () => {
    halt();
    tabs.onmessage = null;
    document.removeEventListener("visibilitychange", look);
    removeEventListener("pagehide", leave);
  };
}

function take(event: StreamEvent): void {
  if (event.event === "snapshot") {
    const data = JSON.parse(event.data) as LiveSnapshot;
    const old = rows.value;
    // A row that is as it was keeps its identity, so that nothing on the screen is made anew after a reconnect.
    rows.value = new Map(data.rows.map((one) => [one.id, same(old?.get(one.id), one)]));
    keep(data.wait, data.at);
  } else if (event.event === "changed") {
    const data = JSON.parse(event.data) as LiveChanged;
    if (data.rows.length > 0 || data.gone.length > 0) {
      const next = new Map(rows.value ?? []);
      for (const one of data.rows) next.set(one.id, same(next.get(one.id), one));
      for (const id of data.gone) next.delete(id);
      rows.value = next;
    }
    keep(data.wait, data.at);
  } else if (event.event === "session" && session.value) {
    const { signs_out_at } = JSON.parse(event.data) as Pick<Session, "signs_out_at">;
    session.value = { ...session.value, signs_out_at };
  }
}

function keep(wait: WaitQuote | null, at: string): void {
  if (wait !== null) waitQuote.value = wait;
  asOf.value = at;
  setClock(at);
  liveState.value = "up";
}

function same(old: QueueRow | undefined, now: QueueRow): QueueRow {
  return old !== undefined && JSON.stringify(old) === JSON.stringify(now) ? old : now;
}

/** Shows the dialog and ends when somebody is signed in again. */
export function untilSignedIn(): Promise<boolean> {
  signedOut.value = true;
  return new Promise((resolve) => {
    const end = signedOut.subscribe((out) => {
      if (out) return;
      queueMicrotask(() => end());
      resolve(true);
    });
  });
}
