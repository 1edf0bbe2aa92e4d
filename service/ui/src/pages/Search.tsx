// Search: one field, exact things (an order, a case, a payment, an e-mail address), and results one walks through with the keys.
import { useLocation } from "preact-iso";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { get } from "../api";
import { Empty, Id, Tag, type Hue } from "../components/bits";
import { Icon, type IconName } from "../components/icon";
import { useLoad } from "../components/load";
import { Ago, Moment } from "../components/time";
import { useKeys } from "../keys";
import { announce } from "../store/announce";
import { money, plural, say, spoken } from "../words";
import { Head, Read } from "./frame";
import { caseAt } from "./say";
import type { CaseLine, Found, OrderLine } from "../contract";
import "./search.css";

const MOVES: readonly (readonly [key: string, by: number])[] = [
  ["j", 1],
  ["ArrowDown", 1],
  ["k", -1],
  ["ArrowUp", -1],
];

const NOTHING: Found = { cases: [], orders: [] };

export default function SearchPage() {
  const { query, route } = useLocation();
  const asked = (query["q"] ?? "").trim();
  const found = useLoad(asked, (signal) => (asked === "" ? Promise.resolve(NOTHING) : get<Found>("/v1/search", { query: { q: asked }, signal })));
  const list = useRef<HTMLDivElement>(null);
  const field = useRef<HTMLInputElement>(null);
  const results = found.data.value;
  const count = (results?.cases.length ?? 0) + (results?.orders.length ?? 0);

  const move = (by: number): void => {
    const links = [...(list.current?.querySelectorAll<HTMLElement>("a.found-main") ?? [])];
    const at = links.indexOf(document.activeElement as HTMLElement);
    links[Math.max(0, Math.min(links.length - 1, at < 0 ? 0 : at + by))]?.focus();
  };
  useKeys(MOVES.map(([key, by]) => ({ key, label: by > 0 ? "Next result" : "Result before", run: () => move(by) })));
  useLayoutEffect(() => {
    if (asked === "" && field.current?.offsetParent) field.current.focus();
  }, []);
  useEffect(() => {
    if (asked !== "" && results) announce(count === 0 ? `Nothing found for ${asked}` : `${plural(count, "result", "results")}. Press j for the first.`);
  }, [results]);

  return (
    <div class="page page-narrow stack-l">
      <Head title="Search" about="An order's reference, a case, a payment's reference, or a whole e-mail address. Looking up an address is recorded." />
      <form
        class="search-here"
        role="search"
        aria-label="On this page"
        onSubmit={(event) => {
          event.preventDefault();
          const typed = field.current?.value.trim() ?? "";
          if (typed !== "") route(`/desk/search?q=${encodeURIComponent(typed)}`);
        }}
      >
        <input ref={field} class="input" type="search" data-search aria-label="Order, case, payment or e-mail address" placeholder="Order, case, payment, e-mail" autoComplete="off" defaultValue={asked} />
        <button type="submit" class="button primary">
          <Icon name="search" />
          Search
        </button>
      </form>
      {asked === "" ? (
        <div class="card">
          <Empty title="What are you looking for?">
            Press <kbd>/</kbd> from anywhere and type what the customer gave you, as it is written. What fits shows here.
          </Empty>
        </div>
      ) : (
        <Read from={found} lines={4}>
          {(shown) =>
            count === 0 ? (
              <div class="card">
                <Empty title={`Nothing here is called “${asked}”`}>
                  Only whole references and addresses are found, not parts of them. Ask for the order's reference from the confirmation mail, or the address it went to.
                </Empty>
              </div>
            ) : (
              <div class="stack-l" ref={list}>
                <Cases cases={shown.cases} />
                <Orders orders={shown.orders} cases={shown.cases} />
              </div>
            )
          }
        </Read>
      )}
    </div>
  );
}

const STATES: Readonly<Record<string, readonly [Hue, IconName, string]>> = {
  waiting: ["needs", "clock", "Waiting"],
  taken: ["waiting", "people", "Taken"],
  hold: ["none", "pause", "On hold"],
  waits_for_customer: ["none", "customer", "Waits for customer"],
  referred: ["none", "people", "With another team"],
  open: ["waiting", "clock", "Open"],
  resolved: ["settled", "check", "Solved"],
  denied: ["stopped", "stop", "Said no"],
  closed: ["none", "check", "Closed"],
  joined: ["none", "right", "Joined to another"],
};

function Cases({ cases }: { cases: readonly CaseLine[] }) {
  if (cases.length === 0) return null;
  return (
    <section class="stack" aria-labelledby="found-cases">
      <h2 id="found-cases">{plural(cases.length, "case", "cases")}</h2>
      <ul class="found">
        {cases.map((one) => {
          const [hue, icon, word] = STATES[one.state] ?? (["none", "dot", spoken(one.state)] as const);
          return (
            <li key={one.id}>
              <a class="found-main" href={caseAt(one.id)}>
                <span class="row wrap">
                  <strong>{say("problem", one.problem)}</strong>
                  <Tag hue={hue} icon={icon}>
                    {word}
                    {one.agent ? `, ${one.agent}` : ""}
                  </Tag>
                  {one.money_at_stake > 0 ? <span class="push strong">{money(one.money_at_stake, one.currency)}</span> : null}
                </span>
                <span class="quiet small">
                  {[one.show_name ?? one.show, one.order ? `order ${one.order}` : null].filter(Boolean).join(" · ")}
                  {one.queued_at ? (
                    <>
                      {" · with people since "}
                      <Ago at={one.queued_at} />
                    </>
                  ) : null}
                </span>
              </a>
              <Id id={one.id} label="case" />
            </li>
          );
        })}
      </ul>
    </section>
  );
}

function Orders({ orders, cases }: { orders: readonly OrderLine[]; cases: readonly CaseLine[] }) {
  if (orders.length === 0) return null;
  return (
    <section class="stack" aria-labelledby="found-orders">
      <h2 id="found-orders">{plural(orders.length, "order", "orders")}</h2>
      <ul class="found">
        {orders.map((one) => (
          <li key={one.ref} class="found-order">
            <div class="stack-s">
              <p class="row wrap">
                <bdi class="strong">{one.ref}</bdi>
                <span>{spoken(one.status)}</span>
                <span class="push strong">{money(one.total, one.currency)}</span>
              </p>
              <p class="quiet small">
                {one.show}
                {one.placed_at ? (
                  <>
                    {one.show ? " · " : ""}bought <Moment at={one.placed_at} />
                  </>
                ) : null}
              </p>
              {one.cases.length === 0 ? (
                <p class="quiet small">Nobody has asked for help with it.</p>
              ) : (
                <p class="row wrap small">
                  {one.cases.map((id) => (
                    <a key={id} class={cases.some((known) => known.id === id) ? "" : "found-main"} href={caseAt(id)}>
                      {nameOf(id, cases)}
                    </a>
                  ))}
                </p>
              )}
            </div>
          </li>
        ))}
      </ul>
    </section>
  );
}

function nameOf(id: string, cases: readonly CaseLine[]): string {
  const known = cases.find((one) => one.id === id);
  return known ? `${say("problem", known.problem)} (…${id.slice(-6)})` : `Case …${id.slice(-6)}`;
}
