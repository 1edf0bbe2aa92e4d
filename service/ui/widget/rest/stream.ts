// Server-sent events over fetch: resumed by Last-Event-ID, asked for by polling where streams do not come through.
import { pause } from "../api";
import type { App } from "../app";

// The service ends a stream after 25 s and sends something at least as often; silence for longer is a dead line.
const SILENCE_MS_MAX = 40_000;

interface Followed {
  on: (event: string, data: string) => void;
  /** asked instead, when the stream broke */
  poll: () => Promise<void>;
  /** asked before each connection */
  goesOn: () => boolean;
}

/** Ends when it is stopped, does not go on, or may not be seen. */
export async function follow(a: App, path: string, { on, poll, goesOn }: Followed, stopped: AbortSignal): Promise<void> {
  let last = "";
  let failures = 0;
  while (!stopped.aborted && goesOn()) {
    const line = new AbortController();
    const cut = (): void => line.abort();
    stopped.addEventListener("abort", cut);
    // A browser that knows it is offline need not wait until the silence is long enough.
    addEventListener("offline", cut);
    try {
      const answer = await a.api.once("GET", path, { headers: { Accept: "text/event-stream", ...(last && { "Last-Event-ID": last }) }, signal: line.signal });
      if ([401, 403, 404].includes(answer.status)) return;
      if (!answer.ok || !answer.body) throw new Error();
      await read(answer.body, line, (event, data, id) => {
        failures = 0;
        last = id || last;
        on(event, data);
      });
    } catch {
      failures += 1;
      if (!stopped.aborted) await poll().catch(() => undefined);
    } finally {
      stopped.removeEventListener("abort", cut);
      removeEventListener("offline", cut);
    }
    await pause(failures && failures + 1, stopped);
  }
}

/** The events of one connection (HTML standard, section 9.2.6). */
async function read(body: ReadableStream<Uint8Array>, line: AbortController, on: (event: string, data: string, id: string) => void): Promise<void> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let rest = "";
  for (;;) {
    const silent = setTimeout(() => line.abort(), SILENCE_MS_MAX);
    const { done, value } = await reader.read().finally(() => clearTimeout(silent));
    if (done) return;
    const blocks = (rest + decoder.decode(value, { stream: true }).replace(/\r/g, "")).split("\n\n");
    rest = blocks.pop() ?? "";
    for (const block of blocks) {
      const fields: Record<string, string> = {};
      for (const text of block.split("\n")) {
        const [, name, content] = /^(\w+): ?(.*)$/.exec(text) ?? [];
        if (name !== undefined) fields[name] = name in fields ? `${fields[name]}\n${content}` : (content ?? "");
      }
      if (fields["data"] !== undefined) on(fields["event"] ?? "", fields["data"], fields["id"] ?? "");
    }
  }
}
