// One way to the service: the token in memory alone, the host asked who is there before anything is done, and again until somebody answers.

/** What the service said no with (RFC 9457). */
export class Refused extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    readonly retryAfter: number,
    readonly fields: string[],
    /** the whole of it */
    readonly body: Record<string, unknown>,
  ) {
    super(code);
  }
}

// As it was when this script ran: what others of the page put in its place later sees no token.
export const ask = window.fetch.bind(window);
// What nobody answers in this time is away: the platform's other contacts show.
const SLOW_MS = 5000;
// A request waits 2 s for its outcome and is followed from then on; what takes this long has been lost on its way.
const LOST_MS = 20_000;
// Soon at first, since a restart takes seconds.
const PAUSES_MS = [500, 1000, 2000, 4000, 8000];
// An hour at the last pause; then the customer taps again.
const TRIES_MAX = 450;

export interface Options {
  body?: unknown;
  headers?: Record<string, string>;
  signal?: AbortSignal;
  /** how often at most; left out: for as long as it takes */
  tries?: number | undefined;
}

export class Api {
  token: string | null = null;
  /** the token is of a session of ours, and not the host's */
  isGuest = false;
  /** another one is another customer, or another opening: what was asked before is nobody's answer now */
  era = 0;
  /** whoever builds the page has been told of the first answer that did not come, or need not be */
  private isTold = false;

  constructor(
    private readonly base: string,
    private readonly platform: string,
    /** asks the host who is there now, and for a new token. Raises what the host raises. */
    readonly meet: () => Promise<void>,
    private readonly onAway: (away: boolean) => void,
  ) {}

  /** Raises Refused. */
  async send<T>(method: string, path: string, options: Options = {}): Promise<T> {
    const { era } = this;
    const answer = await this.insist(method, path, options);
    const found = (answer.status === 204 ? undefined : await answer.json()) as T;
    this.belongs(era);
    return found;
  }

  get<T>(path: string): Promise<T> {
    return this.send<T>("GET", path);
  }

  /** Tries until somebody answers; while nobody does, the customer is told how else to reach the platform. Raises Refused. */
  async insist(method: string, path: string, options: Options = {}): Promise<Response> {
    const { era } = this;
    const slow = setTimeout(() => this.onAway(true), SLOW_MS);
    try {
      for (let tries = 0; ; tries += 1) {
        const answer = await this.once(method, path, { ...options, signal: AbortSignal.timeout(LOST_MS) }).catch(() => null);
        this.belongs(era);
        if (!answer && !this.isTold) console.warn(`makegood: cannot be reached from ${origin}: is ${this.platform} the platform's name, and ${origin} among its \`origins\`?`);
        this.isTold = true;
        const isLast = tries + 1 >= (options.tries ?? TRIES_MAX);
        if (answer && (answer.status < 502 || isLast)) {
          this.onAway(false);
          if (answer.ok) return answer;
          throw await refusal(answer);
        }
        if (isLast) throw new Error("nobody answers");
        if (tries > 0) this.onAway(true);
        await pause(tries);
      }
    } finally {
      clearTimeout(slow);
    }
  }

  /** One request, by who was there when it was wanted; where its token has run out, one more with a new one. Raises what fetch raises. */
  async once(method: string, path: string, { body, headers, signal }: Options): Promise<Response> {
    const asked = (): Promise<Response> =>
      ask(this.base + path, {
        method,
        headers: {
          Prefer: "wait=2",
          "Makegood-Platform": this.platform,
          ...(this.token && { Authorization: `Bearer ${this.token}` }),
          ...(body !== undefined && { "Content-Type": "application/json" }),
          ...headers,
        },
        body: body === undefined ? null : JSON.stringify(body),
        credentials: "omit",
        signal: signal ?? null,
      });
    const { era } = this;
    if (method !== "GET") await this.meet();
    this.belongs(era);
    const { token } = this;
    let answer = await asked();
    this.belongs(era);
    if (answer.status === 401 && token !== null) {
      if (this.isGuest) this.token = null;
      else await this.meet();
      this.belongs(era);
      if (this.token !== null && this.token !== token) answer = await asked();
      this.belongs(era);
    }
    return answer;
  }

  private belongs(era: number): void {
    if (era !== this.era) throw new Error("somebody else");
  }
}

async function refusal(answer: Response): Promise<Refused> {
  const body = (await answer.json().catch(() => ({}))) as { type?: string; errors?: { field: string }[]; [more: string]: unknown };
  const fields = (body.errors ?? []).map((one) => one.field.replace("/", ""));
  return new Refused(answer.status, `${body.type}`.replace(/.*:/, ""), Number(answer.headers.get("Retry-After")), fields, body);
}

/** Waits after so many tries, but not longer than until the network is back, or it is stopped. */
export function pause(tries: number, stopped?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      removeEventListener("online", done);
      resolve();
    };
    const timer = setTimeout(done, PAUSES_MS[Math.min(tries, PAUSES_MS.length - 1)]);
    addEventListener("online", done);
    stopped?.addEventListener("abort", done);
  });
}
