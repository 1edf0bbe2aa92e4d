// The time: one tick a second for every countdown, corrected by the service's own clock.
import { signal } from "@preact/signals";

/** milliseconds since 1970, as the service counts them */
export const now = signal(Date.now());
let ahead = 0;

/** Says what the service's clock shows. Differences under two seconds are the way here, not the clock. */
export function setClock(at: string): void {
  const difference = Date.parse(at) - Date.now();
  if (Number.isFinite(difference)) ahead = Math.abs(difference) < 2000 ? 0 : difference;
}

setInterval(() => {
  now.value = Date.now() + ahead;
}, 1000);
