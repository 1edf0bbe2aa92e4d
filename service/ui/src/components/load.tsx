// Reading something for a page: what is shown stays while it is read anew, a failure is said in words, an old answer never replaces a newer.
import { useSignal, type Signal } from "@preact/signals";
import { useCallback, useEffect, useLayoutEffect, useRef } from "preact/hooks";

export interface Loaded<T> {
  data: Signal<T | undefined>;
  error: Signal<unknown>;
  reload: () => Promise<void>;
}

/** Reads when the key changes and when asked. With `everySeconds`, while the page is seen, again and again. */
export function useLoad<T>(key: string, read: (signal: AbortSignal) => Promise<T>, everySeconds?: number): Loaded<T> {
  const data = useSignal<T | undefined>(undefined);
  const error = useSignal<unknown>(undefined);
  const latest = useRef({ read, turn: 0 });
  latest.current.read = read;
  const stop = useRef<AbortController | null>(null);

  const reload = useCallback(async (): Promise<void> => {
    stop.current?.abort();
    const line = new AbortController();
    stop.current = line;
    latest.current.turn += 1;
    const turn = latest.current.turn;
    try {
      const found = await latest.current.read(line.signal);
      if (turn !== latest.current.turn) return;
      data.value = found;
      error.value = undefined;
    } catch (failure) {
      if (turn === latest.current.turn && !line.signal.aborted) error.value = failure;
    }
  }, []);

  // Before anybody sees it: what was read for another key is no answer to this one.
  useLayoutEffect(() => {
    data.value = undefined;
    error.value = undefined;
    void reload();
    return () => stop.current?.abort();
  }, [key]);

  useEffect(() => {
    if (!everySeconds) return undefined;
    const timer = setInterval(() => {
      if (!document.hidden) void reload();
    }, everySeconds * 1000);
    return () => clearInterval(timer);
  }, [everySeconds]);

  return { data, error, reload };
}
