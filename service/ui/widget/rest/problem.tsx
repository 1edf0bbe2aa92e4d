// What it is about: the problems in customers' words, the order, and what only words can say.
import { h, Fragment, type VNode } from "preact";
import type { App } from "../app";
import { row, screen } from "../parts";
import type { OrderLine } from "../wire";
import type { Key } from "../words";
import { field, form } from "./fields";
import { decide, identify, pick, refuse } from "./flow";
import { problem } from "./lines";

// By what customers call it; what is left out here, people find by "something else" in their own words.
const TOPICS: Record<string, readonly string[]> = {
  g_stream: ["stream_outage", "will_not_play", "buffering", "link_dead", "cannot_sign_in", "wrong_device", "too_many_devices", "device_unsupported"],
  g_ticket: ["pass_missing", "pass_lost", "pass_leaked", "show_cancelled", "show_postponed"],
  g_money: ["wants_refund", "charged_twice", "charged_no_pass", "payment_pending", "charged_after_cancelling"],
  g_goods: ["merch_missing", "merch_wrong"],
  g_other: ["accessibility", "abuse", "fraud", "other"],
};

export function topics(a: App): VNode {
  const { say } = a.text;
  if (a.topic === null) {
    const open = (key: string) => (): void => a.set({ topic: key });
    return screen(a, "topics", say("what"), <div class="rows">{Object.keys(TOPICS).map((key) => row(a, key, capital(a, say(key as Key)), null, open(key)))}</div>);
  }
  const found = TOPICS[a.topic] ?? [];
  return screen(
    a,
    `topics-${a.topic}`,
    capital(a, say(a.topic as Key)),
    <div class="rows">{found.map((one) => row(a, one, problem(a, one), null, () => pick(a, { problem: one, order: null, likely: null })))}</div>,
  );
}

/** A platform's own word as it stands within a sentence begins a line. */
export function capital(a: App, text: string): string {
  return text.charAt(0).toLocaleUpperCase(a.text.locale) + text.slice(1);
}

export function which(a: App): VNode {
  const { say, time } = a.text;
  const take = (one: OrderLine): Promise<void> => (a.case?.question?.fact === "identity" ? identify(a, one.order) : a.intent ? pick(a, { ...a.intent, order: one }) : Promise.resolve());
  return screen(
    a,
    "which",
    say("which"),
    <div class="rows">
      {(a.orders?.orders ?? []).map((one) =>
        row(
          a,
          one.order + one.show?.ref,
          <bdi>{one.show?.name ?? one.items.map((item) => item.name).join(", ")}</bdi>,
          <>
            {one.show && time(one.show.starts_at)} · <bdi>{say("order", { order: one.order })}</bdi>
          </>,
          () => take(one),
        ),
      )}
    </div>,
  );
}

export function tell(a: App): VNode {
  const { say } = a.text;
  return screen(
    a,
    "tell",
    say("tell"),
    <p class="quiet">{say("tell_why")}</p>,
    form(
      a,
      "tell",
      say("send"),
      async () => (a.typed["message"]?.trim() ? decide(a) : refuse(a, "message", "e_field")),
      field(a, "message", "tell_label", { rows: 5, maxLength: 5000 }),
    ),
  );
}
