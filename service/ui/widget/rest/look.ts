// The open first screen as things are now: an outage that has ended, or money that is due by now, shows without being asked for.
import type { App } from "../app";
import { title } from "../home";
import type { Orders } from "../wire";
import { prose } from "./prose";

// One look costs the service about 50 ms of work. 2,000 customers with their first screen open and in sight, at 150 s on average,
// take two thirds of a processor (2,000 / 150 s * 50 ms); who has it hidden, is offline or has gone on asks for nothing.
const PACE_MS = 120_000;
const PACE_SPREAD_MS = 60_000;
// News of a show comes to all of its customers at once: their looks are spread over this.
const NEWS_SPREAD_MS = 30_000;
// How soon it shows that a look is due, or that somebody looks again: the check itself asks nobody.
const CHECK_MS = 2000;
// A look that takes this long is lost; there is another.
const LOST_MS = 20_000;

/** Looks again for as long as this opening lasts; what it returns is called where there is news. */
export function lookAgain(a: App): () => void {
  const { signal } = a.watching;
  let due = Date.now() + PACE_MS + Math.random() * PACE_SPREAD_MS;
  const check = (): void => {
    if (Date.now() < due || !isSeen(a)) return;
    due = Date.now() + PACE_MS + Math.random() * PACE_SPREAD_MS;
    void look(a, signal).catch(() => undefined);
  };
  const timer = setInterval(check, CHECK_MS);
  signal.addEventListener("abort", () => clearInterval(timer));
  return () => {
    due = Math.min(due, Date.now() + Math.random() * NEWS_SPREAD_MS);
  };
}

function isSeen(a: App): boolean {
  return a.isProven && a.screen === "home" && a.busy === null && !document.hidden && navigator.onLine;
}

/** Once, and without a word where nobody answers: what is shown stays. Raises what fetch raises. */
async function look(a: App, opening: AbortSignal): Promise<void> {
  const { era } = a.api;
  const answer = await a.api.once("GET", a.ordersPath, { signal: AbortSignal.any([opening, AbortSignal.timeout(LOST_MS)]) });
  if (!answer.ok) return;
  const orders = (await answer.json()) as Orders;
  // Meanwhile somebody else may be here, or they have tapped: what they tapped stays under their finger.
  if (era !== a.api.era || !isSeen(a) || JSON.stringify(orders) === JSON.stringify(a.orders)) return;
  const before = titles(a);
  a.orders = orders;
  const news = titles(a).filter((one) => !before.includes(one));
  a.set(news.length > 0 ? { said: prose(a, ...news) } : {});
}

function titles(a: App): string[] {
  return (a.orders?.orders ?? []).flatMap((one) => one.likely.map((likely) => title(a, likely, one)));
}
