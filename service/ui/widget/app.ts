// What the widget knows, and the way to its first view. What a customer does from the first tap on is in rest/.
import { Api, pause, Refused } from "./api";
import { Kept, short, subject } from "./kept";
import type * as Rest from "./rest/main";
import type { Case, Help, Likely, Notice, OrderLine, Orders, Player } from "./wire";
import { choose, load, type Words } from "./words";

export type Screen = "loading" | "home" | keyof typeof Rest.screens;

/** what the customer wants, from the first tap on */
export interface Intent {
  problem: string;
  order: OrderLine | null;
  likely: Likely | null;
  /** people shall see to it, whatever the rules say */
  person?: boolean;
  /** what they answer to the case's question */
  answer?: string;
}

/** what the element is, for the app */
export interface Host {
  /** an attribute of the element */
  at(name: "platform" | "show" | "order" | "case"): string | null;
  service(): string;
  languages(): readonly string[];
  /** a token of the host's own customer, or nothing, or what a mistaken host gives instead. Raises what the host raises. */
  token(): Promise<unknown>;
  /** what comes after the first tap */
  rest(): Promise<typeof Rest>;
  draw(): void;
  tell(event: "open" | "close" | "resolved"): void;
}

// What came less than this ago is fresh.
const FRESH_MS = 5000;
// Without texts there is nothing to show: that often, for a minute or so.
const TEXTS_MAX = 12;

export class App {
  words: Words | null = null;
  rest: typeof Rest | null = null;
  help: Help | null = null;
  orders: Orders | null = null;
  case: Case | null = null;
  notice: Notice | null = null;
  screen: Screen = "loading";
  topic: string | null = null;
  intent: Intent | null = null;
  isOpen = false;
  /** the host's customer, or an address that a code has proven */
  isProven = false;
  isAway = false;
  /** gets mail when the notice of this show changes; null: nobody knows yet, or where to */
  isFollowing: boolean | null = null;
  busy: string | null = null;
  error: string | null = null;
  /** the field that the error is about */
  field: string | null = null;
  /** what the live region says */
  said = "";
  /** half-written, by field */
  typed: Record<string, string> = {};
  /** when a code was last sent that is still waited for, until when it is good, and how it went */
  codeAt = 0;
  codeUntil = 0;
  codeBy: "email" | "text" = "email";
  /** the way that was chosen for money that cannot go back, and what it still needs */
  way: string | null = null;
  needs: "address" | "strong" | null = null;
  scored = false;
  copied: string | null = null;
  /** given by the host's player */
  player: Player | null = null;
  /** what is followed while somebody looks */
  watching = new AbortController();

  readonly kept: Kept;
  readonly api: Api;
  trail: Screen[] = [];
  private helpAt = 0;
  /** whom the host has named last: null is nobody, undefined not asked yet */
  private named: string | null | undefined;

  constructor(
    readonly host: Host,
    readonly mode: "launcher" | "inline" | "page",
  ) {
    const platform = this.host.at("platform") ?? "";
    this.kept = new Kept(platform);
    this.api = new Api(
      host.service(),
      platform,
      () => this.meet(),
      (isAway) => isAway !== this.isAway && this.set({ isAway }),
    );
    this.help = this.kept.remembered();
  }

  /** the texts, on screens: none is drawn before they are here */
  get text(): Words {
    if (!this.words) throw new Error("no texts");
    return this.words;
  }

  set(some: Partial<App>): void {
    Object.assign(this, some);
    this.host.draw();
  }

  // ------------------------------------------------------------------------------------------------- opening

  /** Texts, then how the platform looks and whether there is news. Nothing of a customer yet. */
  async start(): Promise<void> {
    await this.speak();
    // It was open when the page was loaded anew.
    if (this.mode !== "launcher" || this.kept.get("open") !== null) return this.open();
    // Nobody looks yet: one try, and no word of it.
    await this.look(1).catch(() => undefined);
  }

  async open(): Promise<void> {
    if (this.isOpen) return;
    this.kept.set("open", "");
    this.watching = new AbortController();
    this.set({ isOpen: true });
    this.host.tell("open");
    await this.enter(() => this.begin());
  }

  /** What was under way until now is no answer to whoever is here from now on. */
  private async enter(action: () => Promise<void>): Promise<void> {
    const era = (this.api.era += 1);
    this.busy = null;
    await this.run("open", action);
    if (era === this.api.era) await this.later((rest) => rest.watch(this));
  }

  close(): void {
    if (!this.isOpen) return;
    this.kept.set("open", null);
    this.watching.abort();
    // What has ended is not shown again: the next time begins at the beginning.
    if (this.case?.ended_at) this.forget();
    this.set({ isOpen: false, screen: "loading", error: null, trail: [] });
    this.host.tell("close");
  }

  private async begin(): Promise<void> {
    await this.look();
    const { era } = this.api;
    const token = await this.asked().catch(() => null);
    // A later opening, or another customer, has begun meanwhile.
    if (era !== this.api.era) return;
    // Better than a session that has proven nothing.
    if (token && !this.isProven) this.api.isGuest = false;
    this.become(token);
    if (era === this.api.era) await this.arrive();
  }

  /** Asks the host who is there now. Raises what the host raises. */
  async meet(): Promise<void> {
    // Nothing is asked of the host before its customer opens this.
    if (this.named !== undefined) this.become(await this.asked());
  }

  /** The host's word on who is there: a text is a token, anything else is nobody. Raises what the host raises. */
  private async asked(): Promise<string | null> {
    let kind = "failed";
    try {
      const token = (await this.host.token()) ?? "";
      kind = typeof token;
      return kind === "string" ? (token as string) || null : null;
    } finally {
      if (kind !== "string") void this.later((rest) => rest.hint(this, kind));
    }
  }

  /** Who is there, as the host says. Another one than before begins anew, and nothing of the one before is left. */
  become(token: string | null): void {
    const before = this.named;
    const named = (this.named = token && subject(token));
    if (named === before) {
      // Who has proven an address since goes on with that.
      if (this.api.isGuest) return;
      this.api.token = token;
      this.isProven = token !== null;
      return;
    }
    this.kept.belongTo(named ? short(named) : "");
    this.typed = { message: this.kept.get("text") ?? "" };
    this.api.token = token;
    this.isProven = token !== null;
    if (before === undefined) return;
    this.api.era += 1;
    this.api.isGuest = false;
    this.isFollowing = null;
    this.watching.abort();
    this.watching = new AbortController();
    Object.assign(this, { orders: null, case: null, intent: null, scored: false, way: null, needs: null, topic: null, copied: null, player: null, codeAt: 0, busy: null });
    this.go("loading", true);
    if (this.isOpen) void this.enter(() => this.arrive());
  }

  /** Where a customer comes to once it is clear who they are. */
  async arrive(): Promise<void> {
    const { era } = this.api;
    if (this.api.token !== null && (await this.goesOn())) return;
    if (this.isProven) {
      this.orders = await this.readOrders();
      const { intent } = this;
      if (intent) return this.later((rest) => rest.pick(this, intent));
    }
    // Its problems are named in the words of the rest, where the form is too that asks a guest who they are.
    if (!this.isProven || this.orders?.cases.length) await this.later(() => undefined);
    if (era !== this.api.era) return;
    this.go(this.isProven ? "home" : "who", true);
    this.rest?.awaitCode(this);
  }

  /** Whether something is under way that is taken up again. */
  private async goesOn(): Promise<boolean> {
    return (this.isResuming || this.kept.get("pending") !== null) && (await this.later((rest) => rest.resume(this)));
  }

  get caseAtHand(): string | null {
    return this.kept.get("case") ?? this.host.at("case");
  }
  get isResuming(): boolean {
    return this.caseAtHand !== null;
  }

  forget(): void {
    this.kept.set("case", null);
    Object.assign(this, { case: null, intent: null, scored: false, way: null, needs: null });
  }

  private async speak(): Promise<void> {
    const language = choose(this.host.languages(), this.help?.languages);
    for (let tries = 1; this.words?.language !== language && tries < TEXTS_MAX; tries += 1) {
      this.words = await load(this.host.service(), language, this.host.languages()).catch(() => this.words);
      if (this.words?.language !== language) await pause(tries);
    }
    if (this.words) this.words.own = this.help?.words[language] ?? {};
    this.host.draw();
  }

  /** What the platform says of itself and of the show, at most so many times tried. Raises Refused. */
  async look(tries?: number): Promise<void> {
    if (Date.now() - this.helpAt < FRESH_MS) return;
    this.help = await this.api.send<Help>("GET", `/v1/help?${this.ofShow}`, { tries });
    this.helpAt = Date.now();
    this.notice = this.help.notice;
    this.kept.remember({ ...this.help, notice: null, show: null });
    await this.speak();
  }

  readOrders(): Promise<Orders> {
    return this.api.get<Orders>(this.ordersPath);
  }

  get ordersPath(): string {
    return `/v1/help/orders?locale=${this.text.locale}&${this.ofShow}`;
  }

  private get ofShow(): string {
    const show = this.host.at("show");
    return show ? `show=${encodeURIComponent(show)}` : "";
  }

  /** What comes after the first view: loaded once, and tried until it is here. */
  async later<T>(action: (rest: typeof Rest) => T | Promise<T>): Promise<T> {
    for (let tries = 0; this.rest === null; tries += 1) {
      const found = await Promise.all([this.host.rest(), this.words?.more(this.host.service())]).catch(() => null);
      if (found) this.rest = found[0];
      this.set({ isAway: !found });
      if (!found) await pause(tries + 1);
    }
    return action(this.rest);
  }

  // ------------------------------------------------------------------------------------------------- moving

  go(screen: Screen, isFirst = false): void {
    this.trail = isFirst ? [] : [...this.trail.filter((one) => one !== screen), this.screen];
    this.set({ screen, error: null, field: null, said: "" });
  }

  get canGoBack(): boolean {
    return this.trail.length > 0 || this.screen === "case";
  }

  /** Does one thing at a time; a second tap meanwhile does nothing. What goes wrong is said, and what was typed stays. */
  async run(name: string, action: () => Promise<unknown> | void): Promise<void> {
    if (this.busy !== null) return;
    const { era } = this.api;
    this.set({ busy: name, error: null, field: null });
    try {
      await action();
    } catch (error) {
      if (era !== this.api.era) return;
      if (error instanceof Refused && error.status === 401) await this.later((rest) => rest.expire(this));
      else this.refuse(...(this.rest?.explain(this, error) ?? [null, this.text.say("e_failed")]));
    } finally {
      if (era === this.api.era) this.set({ busy: null });
    }
  }

  refuse(field: string | null, text: string): void {
    this.set({ field, error: text, said: text });
  }

  write(name: string, text: string): void {
    this.typed[name] = text;
    // Words about a problem outlive a reload; addresses and numbers do not.
    if (name === "message") this.kept.set("text", text || null);
  }
}

