// A customer's requests as lines that lead to them: what is under way, and what was.
import { h, Fragment, type VNode } from "preact";
import type { App } from "../app";
import { row } from "../parts";
import type { CaseLine } from "../wire";
import { showById } from "./flow";

// Of what is over, the latest: more is in the mailbox.
const ENDED_MAX = 3;

export function cases(a: App, areOver: boolean): VNode | null {
  const all = (a.orders?.cases ?? []).filter((one) => (one.ended_at !== null) === areOver);
  const found = areOver ? all.slice(0, ENDED_MAX) : all;
  if (found.length === 0) return null;
  const name = a.text.say(areOver ? "earlier" : "under_way");
  return (
    <section aria-label={name}>
      <p class="over">{name}</p>
      {found.map((one) => line(a, one))}
    </section>
  );
}

function line(a: App, one: CaseLine): VNode {
  const { say, has, time } = a.text;
  const status = `st_${one.status}`;
  const more = (
    <>
      {has(status) && say(status)} · {time(one.ended_at ?? one.created_at)}
    </>
  );
  return row(a, one.id, problem(a, one.problem), more, () => showById(a, one.id));
}

/** A problem as its customer says it. */
export function problem(a: App, name: string): string {
  const key = `p_${name}`;
  return a.text.has(key) ? a.text.say(key) : a.text.say("p_other");
}
