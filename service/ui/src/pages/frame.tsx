// What each of these pages stands in: its title, what it is for, how old its figures are, and what is said when they cannot be read.
import type { ComponentChildren } from "preact";
import { useEffect } from "preact/hooks";
import { get, words } from "../api";
import { Failed, Notice, Skeleton } from "../components/bits";
import { useLoad, type Loaded } from "../components/load";
import { usePage } from "../components/page";
import { exactTime } from "../words";
import "./pages.css";

interface HeadProps {
  title: string;
  about: string;
  /** when the figures were read */
  at?: string | undefined;
  children?: ComponentChildren;
}

export function Head({ title, about, at, children }: HeadProps) {
  usePage(title);
  // Where the bar of pages is wider than the screen, the one you are on is in sight.
  useEffect(() => document.querySelector(".pages [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" }), []);
  return (
    <header class="page-head">
      <div>
        <h1>{title}</h1>
        <p class="quiet">{about}</p>
      </div>
      {at ? (
        <p class="page-at quiet small">
          as of <time dateTime={at}>{exactTime(at)}</time>
        </p>
      ) : null}
      {children}
    </header>
  );
}

/** Reads a page's figures and reads them again. Only the first time did somebody ask: what a page does by itself keeps no session alive. */
export function usePolled<T>(path: string, everySeconds: number, read: (path: string, options: { signal: AbortSignal; byItself: boolean }) => Promise<T> = get): Loaded<T> {
  const loaded: Loaded<T> = useLoad<T>(path, (signal) => read(path, { signal, byItself: loaded.data.peek() !== undefined }), everySeconds);
  return loaded;
}

/** What was read, or why it could not be; what was read before stays, and is said to be older. */
export function Read<T>({ from, lines = 6, children }: { from: Loaded<T>; lines?: number; children: (data: T) => ComponentChildren }) {
  const data = from.data.value;
  const error = from.error.value;
  if (data === undefined) return error === undefined ? <Skeleton lines={lines} /> : <Failed error={error} again={from.reload} />;
  return (
    <>
      {children(data)}
      {error === undefined ? null : (
        // After what is read and over its end: what comes and goes with the network moves nothing that is looked at.
        <div class="page-older" role="status">
          <Notice hue="needs" icon="away">
            {words(error)} What you see is from before; it is read again by itself.
          </Notice>
        </div>
      )}
    </>
  );
}
