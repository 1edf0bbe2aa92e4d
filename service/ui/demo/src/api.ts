// What the platform's own back end answers, and who this browser is to it.

export type Switch = "stream_down" | "link_dead" | "charged_twice" | "card_closed" | "notice";
export type Stands = "off" | "on" | "made_good";
export interface Outage {
  readonly since: string;
  readonly until: string | null;
}
export interface State {
  readonly link: "open" | "dead";
  readonly token: string;
  readonly switches: Readonly<Record<Switch, Stands>>;
  readonly mails: number;
  readonly case: string | null;
  readonly outage: Outage | null;
}
export interface Bought {
  readonly order: string;
  readonly name: string;
  readonly email: string;
  readonly phone: string;
  readonly item: string;
  readonly price: number;
  readonly currency: string;
  readonly card: string;
  readonly starts_at: string;
  readonly ends_at: string;
}
export interface Entered {
  readonly platform: string;
  readonly show: string;
  readonly bought: Bought;
  readonly state: State;
}
export interface Letter {
  readonly kind: "mail" | "text";
  readonly to: string;
  readonly subject: string;
  readonly text: string;
}

const VISITOR = "demo.visitor";
const GUEST = "demo.guest";
// A look that takes this long is given up: the next one is due. What somebody pressed or opened is waited for as long as it takes: a
// machine that is busy is slow, and a demo that was stopped answers at once that it is gone.
const LOOK_MS_MAX = 10_000;

export class Gone extends Error {}

/** Drawn once for this tab and what it frames; a page that is loaded again is the same visitor. */
export function visitor(): string {
  let known = sessionStorage.getItem(VISITOR);
  if (known === null) {
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    known = [...bytes].map((one) => one.toString(16).padStart(2, "0")).join("");
    sessionStorage.setItem(VISITOR, known);
  }
  return known;
}

/** Somebody else, with an order of their own. */
export function startOver(): void {
  sessionStorage.removeItem(VISITOR);
}

export function isGuest(): boolean {
  return sessionStorage.getItem(GUEST) === "yes";
}

export function setGuest(guest: boolean): void {
  sessionStorage.setItem(GUEST, guest ? "yes" : "no");
}

async function post<T>(path: string, body: object = {}, signal: AbortSignal | null = null): Promise<T> {
  const answer = await fetch(`/demo/api/${path}`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ visitor: visitor(), ...body }),
    signal,
  });
  if (answer.status === 404) throw new Gone(path);
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return (await answer.json()) as T;
}

export const enter = (): Promise<Entered> => post("visitor");
export const signIn = async (): Promise<string> => (await post<{ token: string }>("token")).token;
export const turn = (name: Switch, on: boolean): Promise<State> => post("switch", { name, on });
export const readState = (token: string | null): Promise<State> => post("state", { token }, AbortSignal.timeout(LOOK_MS_MAX));
export const readMailbox = async (): Promise<readonly Letter[]> => (await post<{ letters: Letter[] }>("mailbox")).letters;
export const deskLink = async (): Promise<string> => (await post<{ address: string }>("desk")).address;
