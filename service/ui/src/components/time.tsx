// Moments, spans and countdowns. A countdown is a text node bound to one clock: it ticks without anything being rendered again.
import { useComputed, type ReadonlySignal } from "@preact/signals";
import { now } from "../store/clock";
import { session } from "../store/session";
import { ago, clock, fullTime, inZone, when } from "../words";

/** A moment in the reader's zone; the platform's beside it where they differ and `both` is asked for. */
export function Moment({ at, both }: { at: string; both?: boolean }) {
  const zone = session.value?.platform.zone;
  const there = both && zone ? inZone(at, zone) : null;
  return (
    <time dateTime={at} title={fullTime(at, zone)}>
      {when(at)}
      {there === null ? null : <span class="quiet"> ({there})</span>}
    </time>
  );
}

/** "2 minutes ago", kept up */
export function Ago({ at }: { at: string }) {
  const text = useComputed(() => ago(at, now.value));
  return (
    <time dateTime={at} title={fullTime(at, session.peek()?.platform.zone)}>
      {text as ReadonlySignal<string>}
    </time>
  );
}

/** Time left until a moment; below zero with a minus. `at` may change: give the element a key. */
export function Left({ at }: { at: string }) {
  const due = Date.parse(at);
  const text = useComputed(() => clock((due - now.value) / 1000));
  return <span class="nowrap">{text as ReadonlySignal<string>}</span>;
}

/** Time since a moment. */
export function Since({ at }: { at: string }) {
  const began = Date.parse(at);
  const text = useComputed(() => clock(Math.max(0, (now.value - began) / 1000)));
  return <span class="nowrap">{text as ReadonlySignal<string>}</span>;
}
