// Server-sent events over fetch: resumes by Last-Event-ID, sees a 401 (an EventSource does not), and says when the service is away.
import { signal } from "@preact/signals";
import { ownHeaders } from "./api";

export interface StreamEvent {
  event: string;
  data: string;
  id: string;
}

interface Options {
  /** id of the last event seen */
  after?: string;
  on: (event: StreamEvent) => void;
  /** asked when the service refuses: true tries again */
  onRefused: (status: number) => Promise<boolean>;
  /** the connection stands, or was lost */
  onState?: (up: boolean) => void;
  /** asked each time the stream ended by itself (after 25 s, each does) */
  goesOn?: () => boolean;
}

/** false: the browser is offline or the service does not answer. Screens say so and keep what they show. */
export const reachable = signal(true);

// Between tries while the service is away: soon at first, since a restart takes seconds; never more often than every 10 s later.
const PAUSES_MS = [250, 500, 1000, 2000, 5000, 10_000] as const;
// The service ends a stream after 25 s and sends something at least as often; silence for longer is a dead line.
const SILENCE_MS_MAX = 40_000;

/** Follows a stream until it is stopped. Returns what stops it. */
export function follow(path: string, options: Options): () => void {
  const stop = new AbortController();
  void run(path, options, stop.signal);
  return () => stop.abort();
}

async function run(path: string, options: Options, stopped: AbortSignal): Promise<void> {
  let last = options.after ?? "";
  let failures = 0;
  while (!stopped.aborted) {
    const line = new AbortController();
    const end = (): void => line.abort();
    stopped.addEventListener("abort", end, { once: true });
    // A browser that knows it is offline need not wait until the silence is long enough.
    addEventListener("offline", end);
    try {
      const headers: Record<string, string> = { ...ownHeaders("page"), Accept: "text/event-stream" };
      if (last !== "") headers["Last-Event-ID"] = last;
      const answer = await fetch(path, { headers, signal: line.signal, credentials: "same-origin", cache: "no-store" });
      if (answer.status === 401 || answer.status === 403 || answer.status === 404 || answer.status === 409) {
        if (!(await options.onRefused(answer.status))) return;
        continue;
      }
      if (!answer.ok || answer.body === null) throw new Error(String(answer.status));
      failures = 0;
      reachable.value = true;
      options.onState?.(true);
      for await (const event of events(answer.body, line)) {
        if (event.id !== "") last = event.id;
        options.on(event);
      }
      if (options.goesOn?.() === false) return;
      // A stream that ends at once, again and again, is paced like a failure.
      await pause(100, stopped);
    } catch {
      if (stopped.aborted) return;
      failures += 1;
      // One lost line is a restart or a changed network; the second in a row is worth words.
      if (failures > 1 || !navigator.onLine) {
        reachable.value = false;
        options.onState?.(false);
      }
      await pause(PAUSES_MS[Math.min(failures, PAUSES_MS.length) - 1] ?? 10_000, stopped);
    } finally {
      stopped.removeEventListener("abort", end);
      removeEventListener("offline", end);
      line.abort();
    }
  }
}

/** The events of one connection (HTML standard, section 9.2.6). */
async function* events(body: ReadableStream<Uint8Array>, line: AbortController): AsyncGenerator<StreamEvent> {
  const reader = body.pipeThrough(new TextDecoderStream() as ReadableWritablePair<string, Uint8Array>).getReader();
  let rest = "";
  let event = "";
  let id = "";
  let data: string[] = [];
  for (;;) {
    const silent = setTimeout(() => line.abort(), SILENCE_MS_MAX);
    const { done, value } = await reader.read().finally(() => clearTimeout(silent));
    if (done) return;
    rest += value;
    const lines = rest.split(/\r\n|\n|\r(?!$)/);
    rest = lines.pop() ?? "";
    for (const text of lines) {
      if (text === "") {
        if (data.length > 0) yield { event: event || "message", data: data.join("\n"), id };
        event = "";
        data = [];
        continue;
      }
      const colon = text.indexOf(":");
      if (colon === 0) continue;
      const field = colon < 0 ? text : text.slice(0, colon);
      const content = colon < 0 ? "" : text.slice(colon + 1).replace(/^ /, "");
      if (field === "data") data.push(content);
      else if (field === "event") event = content;
      else if (field === "id") id = content;
    }
  }
}

/** Waits, but not longer than until the network is back, the tab is looked at again, or it is stopped. */
function pause(ms: number, stopped: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      removeEventListener("online", done);
      document.removeEventListener("visibilitychange", done);
      stopped.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    addEventListener("online", done);
    document.addEventListener("visibilitychange", done);
    stopped.addEventListener("abort", done);
  });
}
