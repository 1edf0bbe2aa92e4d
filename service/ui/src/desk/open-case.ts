// One open case: everything known of it, read when it opens and again when its row says that something happened.
import { signal, type Signal } from "@preact/signals";
import { ApiProblem, get, withQuery } from "../api";
import type { Bundle, CaseShown, EntryShown, Guide, ReferralShown, Schemas, Suggestion, TimelinePage } from "../contract";

// A timeline of more pages than this is read in full by machines; people read its newest part.
const PAGES_MAX = 20;
const PAGE = 200;

export type OrderMoney = Schemas["OrderMoney"];

export class OpenCase {
  readonly id: string;
  readonly shown: Signal<CaseShown | undefined> = signal(undefined);
  readonly bundle: Signal<Bundle | undefined> = signal(undefined);
  readonly entries: Signal<readonly EntryShown[]> = signal([]);
  readonly money: Signal<OrderMoney | undefined> = signal(undefined);
  readonly guide: Signal<Guide | undefined> = signal(undefined);
  readonly referrals: Signal<readonly ReferralShown[]> = signal([]);
  readonly suggestions: Signal<readonly Suggestion[]> = signal([]);
  readonly error: Signal<unknown> = signal(undefined);
  private lastSeq = 0;
  private stop = new AbortController();
  private running: Promise<void> | null = null;
  private again = false;

  constructor(id: string) {
    this.id = id;
  }

  /** Reads what is new. Calls that come while one runs are one more run, not many. */
  refresh(): Promise<void> {
    if (this.running) {
      this.again = true;
      return this.running;
    }
    this.running = this.read().finally(() => {
      this.running = null;
      if (this.again && !this.stop.signal.aborted) {
        this.again = false;
        void this.refresh();
      }
    });
    return this.running;
  }

  close(): void {
    this.stop.abort();
  }

  /** What an answer of the service showed is shown at once; the rest is read after it. */
  saw(shown: CaseShown): void {
    if (shown.id === this.id) this.shown.value = shown;
    void this.refresh();
  }

  private async read(): Promise<void> {
    const options = { signal: this.stop.signal, byItself: this.shown.value !== undefined };
    const path = `/v1/cases/${this.id}`;
    try {
      const first = this.shown.value === undefined;
      const [shown, news] = await Promise.all([get<CaseShown>(path, options), this.readEntries(options)]);
      this.shown.value = shown;
      this.error.value = undefined;
      // The bundle is recorded each time it is looked at: it is read when it opens and when what it holds has changed.
      const reads = [this.readAside(`${path}/suggestions`, options, (found: { suggestions: Suggestion[] }) => (this.suggestions.value = found.suggestions))];
      reads.push(this.readAside(`${path}/guide`, options, (found: Guide) => (this.guide.value = found)));
      if (first || news) {
        reads.push(this.readAside(`${path}/bundle`, options, (found: Bundle) => (this.bundle.value = found)));
        if (shown.order !== null) reads.push(this.readAside(`/v1/orders/${encodeURIComponent(shown.order)}/money`, options, (found: OrderMoney) => (this.money.value = found)));
      }
      if (this.entries.value.some((one) => one.kind.startsWith("referral_")))
        reads.push(this.readAside(withQuery("/v1/referrals", { case: this.id }), options, (found: { referrals: ReferralShown[] }) => (this.referrals.value = found.referrals)));
      await Promise.all(reads);
    } catch (error) {
      if (!this.stop.signal.aborted) this.error.value = error;
    }
  }

  /** Parts that may be missing do not take the page with them. */
  private async readAside<T>(path: string, options: { signal: AbortSignal; byItself: boolean }, keep: (found: T) => void): Promise<void> {
    try {
      keep(await get<T>(path, options));
    } catch (error) {
      if (!(error instanceof ApiProblem)) throw error;
    }
  }

  /** True when something came that changes what the bundle holds. */
  private async readEntries(options: { signal: AbortSignal; byItself: boolean }): Promise<boolean> {
    let found: EntryShown[] = [];
    for (let page = 0; page < PAGES_MAX; page += 1) {
      const answer = await get<TimelinePage>(`/v1/cases/${this.id}/timeline`, { ...options, query: { after: this.lastSeq, limit: PAGE } });
      found = found.concat(answer.entries);
      const last = answer.entries.at(-1);
      if (last) this.lastSeq = last.seq;
      if (answer.next_after === null || answer.entries.length < PAGE) break;
    }
    if (found.length > 0) {
      this.entries.value = [...this.entries.value, ...found].sort((one, other) => Date.parse(one.happened_at) - Date.parse(other.happened_at) || one.seq - other.seq);
    }
    return found.some((one) => /^(decided|order_|payment_|refund_|operation_|dispute_|pass_|acted|reissue|replace|void|excess)/.test(one.kind));
  }
}
