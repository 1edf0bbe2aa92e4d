// The first look: what is known of the show, what is likely wrong with one's own orders, and everything else.
import { h, Fragment, type VNode } from "preact";
import type { App } from "./app";
import { button, row, screen, state } from "./parts";
import type { Likely, OrderLine } from "./wire";
import type { Key } from "./words";

export function home(a: App): VNode {
  const { say } = a.text;
  const orders = a.orders?.orders ?? [];
  const suspects = orders.filter((one) => one.likely.length > 0);
  return screen(
    a,
    "home",
    say("home"),
    notice(a),
    a.rest?.cases(a, false),
    suspects.map((one) => order(a, one)),
    suspects.length === 0 && a.orders?.cases.length === 0 && <p class="quiet">{say(orders.length > 0 ? "fine" : "none")}</p>,
    elsewhere(a),
    a.rest?.cases(a, true),
  );
}

function order(a: App, one: OrderLine): VNode {
  const { say } = a.text;
  return (
    <section aria-label={one.show?.name ?? one.order}>
      <p class="over">
        <bdi>{one.show?.name}</bdi> <span class="quiet"><bdi>{say("order", { order: one.order })}</bdi></span>
      </p>
      {one.likely.map((likely) => row(a, `${one.order}${likely.problem}`, title(a, likely, one), outcome(a, likely), () => a.later((rest) => rest.pick(a, { problem: likely.problem, order: one, likely }))))}
    </section>
  );
}

export function title(a: App, likely: Likely, one: OrderLine | null): string {
  const { say, has, time } = a.text;
  const key = likely.problem === "stream_outage" && !likely.until ? "l_outage_now" : `l_${likely.problem}`;
  const values = { from: likely.from && time(likely.from), until: likely.until && time(likely.until, one?.show?.zone) };
  return say(has(key) ? key : "can_look", values);
}

function outcome(a: App, likely: Likely): string {
  const { say, money } = a.text;
  if (likely.outcome === "wait") return say("need_nothing");
  if (likely.outcome !== "approve" || likely.actions.length === 0) return say("can_look");
  return likely.amount === null ? say("can_fix") : say("can_have", { amount: money(likely.amount, likely.currency) });
}

export function notice(a: App): VNode | null {
  const { say, of, time } = a.text;
  const one = a.notice;
  if (!one) return null;
  return (
    <section class="notice" aria-label={say(one.over ? "notice_over" : "notice")}>
      {state(
        "waiting",
        one.over ? "check" : "info",
        <b>{say(one.over ? "notice_over" : "notice")}</b>,
        <span dir="auto">{of(one.text)}</span>,
        <span class="quiet">{say("since", { time: time(one.since) })}</span>,
        one.updates.slice(0, 3).map((update) => (
          <span class="update" dir="auto">
            <span class="quiet">{time(update.at)}</span> {of(update.text)}
          </span>
        )),
        a.isFollowing !== null && !one.over && (
          <>
            {a.isFollowing && <span>{say("following")}</span>}
            {button(a, "follow", say(a.isFollowing ? "unfollow" : "follow"), () => a.later((rest) => rest.followNotice(a)), "link")}
          </>
        ),
      )}
    </section>
  );
}

/** All that nobody could guess; nothing is "else" where nothing has been offered. */
export function elsewhere(a: App, label: Key = "else"): VNode {
  return row(a, "else", a.text.say(label), null, () =>
    a.later(() => {
      a.topic = null;
      a.go("topics");
    }),
  );
}
