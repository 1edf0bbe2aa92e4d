// Who is signed in, and what happens when that ends: a dialog over the page, so that nothing typed is lost; and when it is another person
// who signs in, a page of their own: nothing of the one before is sent under their name.
import { computed, signal } from "@preact/signals";
import { AnotherPerson, ApiProblem, del, endPage, get, isOver, isPageOf, post, put, whenAnotherPerson, whenSignedOut } from "../api";
import type { Session, SignInWays } from "../contract";

/** undefined: not known yet; null: nobody */
export const session = signal<Session | null | undefined>(undefined);
/** the sign-in dialog is open over the page */
export const signedOut = signal(false);

export const isLead = computed(() => session.value?.agent.role === "lead");
export const may = (scope: string): boolean => {
  const scopes = session.value?.scopes ?? [];
  return scopes.length === 0 || scopes.includes(scope);
};

// Other tabs hear of a sign-in at once: a link that opens in its own tab brings this one back.
const tabs = new BroadcastChannel("makegood-session");
let waiting: { goOn: () => void; giveUp: (why: Error) => void }[] = [];

whenSignedOut(
  () =>
    new Promise((goOn, giveUp) => {
      waiting.push({ goOn, giveUp });
      if (session.value !== undefined) signedOut.value = true;
    }),
);
whenAnotherPerson(async () => void (await readSession()));
tabs.onmessage = () => void readSession().catch(() => undefined);

/** Reads who is signed in. Raises Unreachable. */
export async function readSession(): Promise<Session | null> {
  try {
    welcome(await get<Session>("/v1/desk/session", { forAnybody: true }));
  } catch (error) {
    if (!(error instanceof ApiProblem) || (error.status !== 401 && error.status !== 403)) throw error;
    if (session.value) signedOut.value = true;
    else session.value = null;
  }
  return session.value ?? null;
}

export function waysToSignIn(platform: string | null): Promise<SignInWays> {
  return get<SignInWays>("/v1/desk/sign-in", { query: { platform } });
}

/** Signs in with a link's code or a token. Raises ApiProblem. */
export async function signIn(proof: { code: string } | { token: string }): Promise<void> {
  await post("/v1/desk/sessions", proof, { secret: true, forAnybody: true });
  tabs.postMessage("signed in");
  welcome(await get<Session>("/v1/desk/session", { forAnybody: true }));
}

export async function signOut(): Promise<void> {
  await del("/v1/desk/session");
  location.assign("/desk/sign-in");
}

export async function setAvailable(available: boolean): Promise<void> {
  const now = session.value;
  if (!now) return;
  await put("/v1/desk/availability", { available });
  session.value = { ...now, agent: { ...now.agent, available } };
}

/** Whether this page goes on: whoever is signed in is whose page it is. */
export async function isStillOurs(): Promise<boolean> {
  await readSession().catch(() => undefined);
  return !isOver;
}

/** Every way of signing in ends here: this page, another tab, the provider's window. */
function welcome(now: Session): void {
  const before = session.value;
  if (before && (before.platform.slug !== now.platform.slug || before.agent.id !== now.agent.id)) {
    handOver(before, now);
    return;
  }
  isPageOf(now.agent.id);
  session.value = now;
  signedOut.value = false;
  if (now.platform.accent) document.documentElement.style.setProperty("--brand", now.platform.accent);
  const ready = waiting;
  waiting = [];
  for (const { goOn } of ready) goOn();
}

// ------------------------------------------------------------------------------------------------------------- from one to the next

interface HandedOver {
  from: string;
  to: string;
}

const PLACE = "makegood:handed-over";

/** this page was another person's a moment ago: said in words, once */
export const handedOver = signal<HandedOver | null>(takeHandedOver());

/** What waits to be sent is dropped (drafts stay with their author, here and at the service), and the page is loaded anew for the other. */
function handOver(before: Session, now: Session): void {
  if (isOver) return;
  endPage();
  const dropped = waiting;
  waiting = [];
  for (const { giveUp } of dropped) giveUp(new AnotherPerson());
  try {
    sessionStorage.setItem(PLACE, JSON.stringify({ from: before.agent.name, to: now.agent.name } satisfies HandedOver));
  } catch {
    // Without storage the next page says whose it is in its bar alone.
  }
  location.reload();
}

function takeHandedOver(): HandedOver | null {
  try {
    const kept = JSON.parse(sessionStorage.getItem(PLACE) ?? "null") as HandedOver | null;
    sessionStorage.removeItem(PLACE);
    return kept && typeof kept.from === "string" && typeof kept.to === "string" ? kept : null;
  } catch {
    return null;
  }
}
