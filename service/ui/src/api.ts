// One way to the service: typed answers, problems as errors, one key for each intent, and a quiet second try where the first may not have arrived.
import type { ProblemBody } from "./contract";

/** What the service said no with (RFC 9457). `code` is stable; `title` and `detail` are words for people. */
export class ApiProblem extends Error {
  readonly status: number;
  readonly code: string;
  readonly title: string;
  readonly detail: string;
  readonly body: ProblemBody & Record<string, unknown>;

  constructor(status: number, body: ProblemBody & Record<string, unknown>) {
    super(body.title);
    this.status = status;
    this.body = body;
    this.code = String(body.type).replace(/^.*[/#:]/, "");
    this.title = body.title;
    this.detail = body.detail ?? body.errors?.map((one) => `${one.field.replace(/^\//, "")} ${one.message}`).join("; ") ?? "";
  }
}

/** The service was not reached: nothing is known of what it did. */
export class Unreachable extends Error {
  constructor() {
    super("We cannot reach the service. It is tried again.");
  }
}

/** Somebody else has signed in in this browser: this page is not theirs, and nothing of it is sent under their name. */
export class AnotherPerson extends Error {
  constructor() {
    super("Somebody else has signed in in this browser. Nothing was sent; what you typed is kept for you.");
  }
}

/** Why something did not work, in words. */
export function words(error: unknown): string {
  if (error instanceof ApiProblem) return error.detail === "" ? error.title : `${error.title}. ${error.detail}`;
  if (error instanceof AnotherPerson) return error.message;
  if (error instanceof Unreachable) return "The service cannot be reached. Nothing you typed is lost; try again in a moment.";
  return "Something went wrong on this page. Load it again; what you typed is kept.";
}

type Query = Record<string, string | number | boolean | null | undefined>;

interface Options {
  query?: Query;
  /** names what is meant: the same intent with the same body keeps its key until the service has answered it, also after a reload */
  intent?: string;
  /** what is sent proves who somebody is: nothing of it is kept, not even until it is answered */
  secret?: boolean;
  signal?: AbortSignal;
  /** nobody asked for it: the page does it by itself, and it keeps no session alive */
  byItself?: boolean;
  /** asked to learn who is signed in: for whomever that is */
  forAnybody?: boolean;
}

// A request waits at most 25 s for its outcome at the service.
const WAIT_MS_MAX = 30_000;
// Two more tries of what did not arrive, a second apart: longer outages are for people to see.
const TRIES_MAX = 3;
const PAUSE_MS = 800;

let onSignedOut: () => Promise<void> = () => Promise.reject(new Error("nobody signs in"));
/** What happens at 401: the promise ends when somebody is signed in again, and the request is sent anew. */
export function whenSignedOut(ask: () => Promise<void>): void {
  onSignedOut = ask;
}

let onAnotherPerson: () => Promise<void> = () => Promise.resolve();
/** What happens when the service knows this browser as somebody else than whose page this is. */
export function whenAnotherPerson(look: () => Promise<void>): void {
  onAnotherPerson = look;
}

// Whose page this is. One page has one person: it is loaded anew for the next.
let person: string | null = null;
/** somebody else has signed in: nothing is sent from here any more */
export let isOver = false;

/** From now on every request says whose page it comes from. */
export function isPageOf(agent: string): void {
  person = agent;
}
export function endPage(): void {
  isOver = true;
}

export function get<T>(path: string, options: Options = {}): Promise<T> {
  return send<T>("GET", path, undefined, options);
}
export function post<T>(path: string, body: unknown, options: Options = {}): Promise<T> {
  return send<T>("POST", path, body, options);
}
export function put<T>(path: string, body: unknown, options: Options = {}): Promise<T> {
  return send<T>("PUT", path, body, options);
}
export function del(path: string, body?: unknown, options: Options = {}): Promise<void> {
  return send<void>("DELETE", path, body, options);
}

/** A file, as it is. Raises ApiProblem, Unreachable. */
export function upload<T>(path: string, file: Blob, options: Options = {}): Promise<T> {
  return send<T>("POST", path, file, options);
}

// That our own page asks (a page of others cannot send this header), and whether a person did or the page by itself.
const HEADER = "Makegood-Desk";
// Whose page asks: a browser has one cookie for all its tabs, and in another somebody else may have signed in.
const PERSON = "Makegood-Agent";

/** What every request of the console says of itself. */
export function ownHeaders(by: "person" | "page"): Record<string, string> {
  return { [HEADER]: by === "person" ? "1" : "background", ...(person === null ? {} : { [PERSON]: person }) };
}

async function send<T>(method: string, path: string, body: unknown, options: Options): Promise<T> {
  const isFile = body instanceof Blob;
  const text = body === undefined || isFile ? undefined : JSON.stringify(body);
  const key = method !== "POST" ? null : options.secret ? { value: newKey(), done: () => undefined } : keyOf(options.intent ?? "", path, text ?? "");
  const headers: Record<string, string> = { ...ownHeaders(options.byItself ? "page" : "person"), Accept: "application/json" };
  if (options.forAnybody) delete headers[PERSON];
  if (text !== undefined) headers["Content-Type"] = "application/json";
  if (isFile) headers["Content-Type"] = body.type;
  if (key !== null) headers["Idempotency-Key"] = key.value;
  // Only what is safe to send twice is sent twice: reads, and what carries its key.
  const again = method === "GET" || method === "PUT" || key !== null;
  for (let tries = 1; ; tries += 1) {
    if (isOver) throw new AnotherPerson();
    let answer: Response;
    try {
      const init: RequestInit = { method, headers, credentials: "same-origin", signal: limit(options.signal) };
      if (isFile) init.body = body;
      else if (text !== undefined) init.body = text;
      answer = await fetch(withQuery(path, options.query), init);
    } catch (error) {
      if (options.signal?.aborted) throw error;
      if (!again || tries >= TRIES_MAX) throw new Unreachable();
      await sleep(PAUSE_MS * tries);
      continue;
    }
    if (answer.status === 401 && path !== "/v1/desk/session" && path !== "/v1/desk/sessions") {
      await onSignedOut();
      continue;
    }
    if ((answer.status === 503 || answer.status === 429) && again && tries < TRIES_MAX) {
      await sleep(1000 * Math.min(Number(answer.headers.get("Retry-After")) || 1, 5));
      continue;
    }
    if (answer.status < 500) key?.done();
    if (answer.ok) return await content<T>(answer);
    const problem = await refusal(answer);
    if (problem.code === "another_person") await onAnotherPerson();
    throw problem;
  }
}

async function content<T>(answer: Response): Promise<T> {
  const text = await answer.text();
  return (text === "" ? undefined : JSON.parse(text)) as T;
}

async function refusal(answer: Response): Promise<ApiProblem> {
  const fallback = { type: "unreadable", title: "The service answered in a way this page does not understand", status: answer.status };
  const body = (await answer.json().catch(() => fallback)) as ProblemBody & Record<string, unknown>;
  return new ApiProblem(answer.status, typeof body.title === "string" ? body : { ...body, ...fallback });
}

export function withQuery(path: string, query: Query = {}): string {
  const found = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) if (value !== null && value !== undefined && value !== "") found.set(name, String(value));
  const text = found.toString();
  return text === "" ? path : `${path}?${text}`;
}

function limit(signal: AbortSignal | undefined): AbortSignal {
  const wait = AbortSignal.timeout(WAIT_MS_MAX);
  return signal ? AbortSignal.any([signal, wait]) : wait;
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

// ------------------------------------------------------------------------------------------------------- one key for each intent

interface Key {
  value: string;
  done: () => void;
}

/** The key of this intent: the same while its body is the same and no answer came, so that a second click or a reload does nothing twice.
 * Of the body only a digest is kept: what people write is not left behind in the browser. */
function keyOf(intent: string, path: string, body: string): Key {
  const place = `makegood:intent:${intent}:${path}`;
  const about = digest(body);
  const kept = read(place);
  const value = kept !== null && kept.about === about ? kept.value : newKey();
  try {
    sessionStorage.setItem(place, JSON.stringify({ value, about }));
  } catch {
    // Without storage a reload makes a new key; within the page this call keeps its own.
  }
  return { value, done: () => sessionStorage.removeItem(place) };
}

function read(place: string): { value: string; about: string } | null {
  try {
    return JSON.parse(sessionStorage.getItem(place) ?? "null") as { value: string; about: string } | null;
  } catch {
    return null;
  }
}

/** FNV-1a twice, from two ends: enough to tell one text of a person from the next. The service compares the bodies themselves. */
function digest(text: string): string {
  let [one, other] = [0x811c9dc5, 0x1b873593];
  for (let at = 0; at < text.length; at += 1) {
    one = Math.imul(one ^ text.charCodeAt(at), 0x01000193);
    other = Math.imul(other ^ text.charCodeAt(text.length - 1 - at), 0x01000193);
  }
  return `${text.length}:${(one >>> 0).toString(16)}${(other >>> 0).toString(16)}`;
}

export function newKey(): string {
  // randomUUID needs a secure context; a console on a plain address of one's own network has none.
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (one) => one.toString(16).padStart(2, "0")).join("");
}
