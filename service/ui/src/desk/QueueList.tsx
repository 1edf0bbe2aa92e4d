// The queue: rows of one height, only those in sight are there; a row that moves is moved, what is chosen stays chosen and where it is.
import { useComputed, useSignal } from "@preact/signals";
import { useLocation } from "preact-iso";
import { memo } from "preact/compat";
import { useEffect, useLayoutEffect, useMemo, useRef } from "preact/hooks";
import { Empty, Skeleton } from "../components/bits";
import { Button } from "../components/button";
import { Icon, type IconName } from "../components/icon";
import type { QueueRow } from "../contract";
import { useKeys } from "../keys";
import { asOf, counts, liveState, rows } from "../store/queue";
import { session } from "../store/session";
import { language, money, plural, say, timeOfDay } from "../words";
import { active, choices, fits, inOrder, NO_FILTERS, read, write, type Choice, type Filters } from "./filters";
import { RowSla } from "./sla";
import "./queue.css";

// Rows above and below the sight, so that a fast scroll does not show white.
const BESIDE = 8;

interface Props {
  /** of the case that is open */
  open: string | null;
  onTakeNext: () => Promise<unknown>;
}

export function QueueList({ open, onTakeNext }: Props) {
  const { query, route } = useLocation();
  const filters = read(query);
  const text = write(filters);
  const all = rows.value;
  const shown = useMemo(
    () => (all ? [...all.values()].filter((one) => fits(one, filters)).sort((one, other) => inOrder(one, other)) : []),
    [all, text],
  );
  const go = (id: string): void => route(`/desk/cases/${id}${text}`);
  useKeys([{ key: ".", label: "Take the next case, the best for you", group: "Queue", run: () => document.getElementById("take-next")?.click() }]);
  const choose = (next: Filters): void => route(`${open === null ? "/desk" : `/desk/cases/${open}`}${write(next)}`, true);

  return (
    <section class="queue" aria-labelledby="queue-title">
      <header class="queue-head">
        {open === null ? (
          <h1 id="queue-title" class="unseen">
            Queue
          </h1>
        ) : (
          <h2 id="queue-title" class="unseen">
            Queue
          </h2>
        )}
        <States filters={filters} choose={choose} />
        <FilterBox filters={filters} choose={choose} />
      </header>
      {all === undefined ? (
        <div class="queue-loading">
          <Skeleton lines={9} />
        </div>
      ) : shown.length === 0 ? (
        <Nothing filters={filters} clear={() => choose({ ...NO_FILTERS, state: filters.state })} />
      ) : (
        <Rows shown={shown} open={open} go={go} />
      )}
      <footer class="queue-foot">
        <Button id="take-next" kind="primary" wide shortcut="." action={onTakeNext} disabled={counts.value.waiting === 0} why="Nothing waits">
          Take the next case
        </Button>
      </footer>
    </section>
  );
}

function States({ filters, choose }: { filters: Filters; choose: (filters: Filters) => void }) {
  const found: readonly [Filters["state"], string, number][] = [
    ["waiting", "Waiting", counts.value.waiting],
    ["mine", "Mine", counts.value.mine],
    ["parked", "Parked", counts.value.parked],
    ["all", "All", counts.value.all],
  ];
  return (
    <nav class="queue-states" aria-label="Which cases">
      {found.map(([state, name, count]) => (
        <button key={state} type="button" aria-pressed={filters.state === state} onClick={() => choose({ ...filters, state })}>
          {name} <span class="count">{count}</span>
        </button>
      ))}
    </nav>
  );
}

function FilterBox({ filters, choose }: { filters: Filters; choose: (filters: Filters) => void }) {
  const open = useSignal(false);
  const on = active(filters);
  return (
    <div class="queue-filters">
      <button type="button" class="queue-filter-button" aria-expanded={open.value} onClick={() => (open.value = !open.value)}>
        <span>{on === 0 ? "Filter" : plural(on, "filter", "filters")}</span>
        <Icon name={open.value ? "up" : "down"} />
      </button>
      {on > 0 ? (
        <button type="button" class="queue-filter-button" onClick={() => choose({ ...NO_FILTERS, state: filters.state })}>
          Clear
        </button>
      ) : null}
      <Away />
      {open.value ? <FilterFields filters={filters} choose={choose} /> : null}
    </div>
  );
}

/** Said when the queue stands still; its time is when it last moved. */
function Away() {
  if (liveState.value !== "away") return null;
  return (
    <p class="queue-away hue-needs" title="The service cannot be reached. It is tried again by itself.">
      <Icon name="away" />
      <span class="cut">Not live{asOf.value ? ` since ${timeOfDay(asOf.value)}` : ""}. Trying again.</span>
    </p>
  );
}

function FilterFields({ filters, choose }: { filters: Filters; choose: (filters: Filters) => void }) {
  const found = useComputed(() => {
    const all = [...(rows.value?.values() ?? [])];
    const names = new Map(all.map((one) => [one.show, one.show_name ?? one.show]));
    return {
      skill: choices(all, (one) => one.skill).map((one) => ({ ...one, name: say("skill", one.value) })),
      problem: choices(all, (one) => one.problem).map((one) => ({ ...one, name: say("problem", one.value) })),
      show: choices(all, (one) => one.show).map((one) => ({ ...one, name: names.get(one.value) ?? one.value })),
      language: choices(all, (one) => one.locale.split("-")[0] ?? null).map((one) => ({ ...one, name: language(one.value) })),
      sla: [
        { value: "at_risk", name: "Soon late", count: all.filter((one) => one.sla?.warned && !one.sla.breached).length },
        { value: "breached", name: "Late", count: all.filter((one) => one.sla?.breached).length },
      ],
    };
  });
  const field = (name: "skill" | "problem" | "show" | "language" | "sla", label: string, options: (Choice & { name: string })[]) => (
    <label class="field" key={name}>
      <span class="label">{label}</span>
      <select class="input" value={filters[name]} onChange={(event) => choose({ ...filters, [name]: event.currentTarget.value })}>
        <option value="">All</option>
        {options.map((one) => (
          <option key={one.value} value={one.value}>
            {one.name} ({one.count})
          </option>
        ))}
        {filters[name] !== "" && !options.some((one) => one.value === filters[name]) ? <option value={filters[name]}>{filters[name]} (0)</option> : null}
      </select>
    </label>
  );
  return (
    <div class="queue-filter-fields">
      {field("skill", "Skill", found.value.skill)}
      {field("problem", "Problem", found.value.problem)}
      {field("show", "Show", found.value.show)}
      {field("language", "Language", found.value.language)}
      {field("sla", "Promise of time", found.value.sla)}
    </div>
  );
}

function Nothing({ filters, clear }: { filters: Filters; clear: () => void }) {
  if (active(filters) > 0)
    return (
      <div class="empty">
        <strong>No case fits these filters</strong>
        <Button action={clear}>Clear the filters</Button>
      </div>
    );
  const texts: Readonly<Record<Filters["state"], [string, string]>> = {
    waiting: ["Nobody waits", "Cases that the rules hand to people appear here by themselves, the one to look at first on top."],
    mine: ["You have no case", "Take the next one below, or open one that waits and press Enter."],
    parked: ["Nothing is put aside", "Cases on hold, with another team, or waiting for their customer's answer are listed here."],
    all: ["No open case", "Everything that people have to look at is settled."],
  };
  const [title, about] = texts[filters.state];
  return <Empty title={title}>{about}</Empty>;
}

// ------------------------------------------------------------------------------------------------------------------------- rows

interface RowsProps {
  shown: readonly QueueRow[];
  open: string | null;
  go: (id: string) => void;
}

function Rows({ shown, open, go }: RowsProps) {
  const box = useRef<HTMLDivElement>(null);
  const sight = useSignal({ from: 0, to: 40 });
  const height = useRowHeight(box);
  // The row that the keys stand on; the open case unless one has moved on from it.
  const at = useSignal<string | null>(open);
  const pointed = useRef<string | null>(null);
  const before = useRef<{ shown: readonly QueueRow[] }>({ shown });

  // With the drawing: the first j or k after a click goes on from the case that was clicked.
  useLayoutEffect(() => {
    if (open !== null) at.value = open;
  }, [open]);

  const look = (): void => {
    const list = box.current;
    if (!list) return;
    const from = Math.max(0, Math.floor(list.scrollTop / height.value) - BESIDE);
    const to = Math.ceil((list.scrollTop + list.clientHeight) / height.value) + BESIDE;
    if (from !== sight.value.from || to !== sight.value.to) sight.value = { from, to };
  };

  // Rows that come in above do not push what one is looking at: the row under the pointer, else the chosen one, else the topmost stays.
  useLayoutEffect(() => {
    const list = box.current;
    const was = before.current.shown;
    before.current = { shown };
    if (!list || was === shown) return;
    const row = height.peek();
    const inSight = (id: string | null): boolean => {
      const place = id === null ? -1 : was.findIndex((one) => one.id === id);
      return place >= 0 && place * row > list.scrollTop - row && place * row < list.scrollTop + list.clientHeight;
    };
    const top = list.scrollTop > 0 ? (was[Math.floor(list.scrollTop / row)]?.id ?? null) : null;
    const anchor = [pointed.current, at.peek(), top].find((id) => inSight(id ?? null)) ?? null;
    if (anchor !== null) {
      const [old, now] = [was.findIndex((one) => one.id === anchor), shown.findIndex((one) => one.id === anchor)];
      if (old >= 0 && now >= 0 && old !== now) list.scrollTop += (now - old) * row;
    }
    look();
  }, [shown]);

  useEffect(() => {
    const list = box.current;
    if (!list) return undefined;
    const seen = new ResizeObserver(look);
    seen.observe(list);
    look();
    return () => seen.disconnect();
  }, []);

  const reveal = (place: number): void => {
    const list = box.current;
    if (!list) return;
    const row = height.peek();
    if (place * row < list.scrollTop) list.scrollTop = place * row;
    else if ((place + 1) * row > list.scrollTop + list.clientHeight) list.scrollTop = (place + 1) * row - list.clientHeight;
  };
  const step = (by: number): void => {
    const old = shown.findIndex((one) => one.id === at.value);
    const place = old < 0 ? (by > 0 ? 0 : shown.length - 1) : Math.min(Math.max(old + by, 0), shown.length - 1);
    const row = shown[place];
    if (!row) return;
    at.value = row.id;
    reveal(place);
    // With a case open, moving through the queue opens the next one: one key, one case.
    if (open !== null) go(row.id);
  };
  useKeys([
    { key: "j", label: "Next case", group: "Queue", run: () => step(1) },
    { key: "k", label: "Case before", group: "Queue", run: () => step(-1) },
    { key: "Enter", label: "Open the case", group: "Queue", off: open !== null || at.value === null, run: () => at.value !== null && go(at.value) },
  ]);

  const visible = shown.slice(sight.value.from, sight.value.to);
  return (
    <div
      class="queue-rows"
      ref={box}
      role="listbox"
      aria-label="Cases"
      tabIndex={0}
      aria-activedescendant={visible.some((one) => one.id === at.value) ? `row-${at.value ?? ""}` : undefined}
      onScroll={look}
      onPointerLeave={() => (pointed.current = null)}
      onKeyDown={(event) => {
        const steps: Readonly<Record<string, number>> = { ArrowDown: 1, ArrowUp: -1, Home: -shown.length, End: shown.length };
        const by = steps[event.key];
        if (by === undefined) return;
        event.preventDefault();
        step(by);
      }}
    >
      <div class="queue-room" ref={(room) => room?.style.setProperty("height", `${shown.length * height.value}px`)}>
        {visible.map((row, n) => (
          <Row
            key={row.id}
            row={row}
            place={sight.value.from + n}
            of={shown.length}
            height={height.value}
            open={row.id === open}
            at={row.id === at.value}
            go={go}
            onPoint={(id) => (pointed.current = id)}
          />
        ))}
      </div>
    </div>
  );
}

/** A row's height as the style sheet has it: rows are taller where fingers point. */
function useRowHeight(box: { current: HTMLElement | null }) {
  const height = useSignal(36);
  useLayoutEffect(() => {
    const probe = document.createElement("div");
    probe.className = "queue-row-probe";
    box.current?.append(probe);
    height.value = probe.getBoundingClientRect().height || 36;
    probe.remove();
  }, []);
  return height;
}

interface RowProps {
  row: QueueRow;
  place: number;
  of: number;
  height: number;
  open: boolean;
  at: boolean;
  go: (id: string) => void;
  onPoint: (id: string) => void;
}

const STATE_ICONS: Readonly<Record<QueueRow["state"], IconName>> = {
  waiting: "dot",
  taken: "people",
  hold: "pause",
  waits_for_customer: "customer",
  referred: "external",
};

const Row = memo(function Row({ row, place, of, height, open, at, go, onPoint }: RowProps) {
  const mine = row.mine && row.state === "taken";
  return (
    <div
      id={`row-${row.id}`}
      class={`queue-row${open ? " open" : ""}${at ? " at" : ""}${mine ? " mine" : ""}`}
      role="option"
      aria-selected={open}
      aria-setsize={of}
      aria-posinset={place + 1}
      ref={(element) => element?.style.setProperty("transform", `translateY(${place * height}px)`)}
      onClick={() => go(row.id)}
      onPointerMove={() => onPoint(row.id)}
    >
      <span class={`queue-row-state${row.unanswered_at && row.state !== "waiting" ? " wrote" : ""}`} title={stateOf(row)}>
        {row.state === "waiting" ? null : <Icon name={row.unanswered_at ? "reply" : STATE_ICONS[row.state]} />}
      </span>
      <span class="cut queue-row-problem">
        {say("problem", row.problem)}
        <bdi class="quiet"> {row.show_name ?? row.show ?? row.order ?? ""}</bdi>
      </span>
      <span class="queue-row-money">{row.money_at_stake > 0 ? money(row.money_at_stake, row.currency) : ""}</span>
      <RowSla sla={row.sla} />
      <span class="unseen">
        {stateOf(row)}
        {mine ? ", yours" : ""}
      </span>
    </div>
  );
});

function stateOf(row: QueueRow): string {
  if (row.state === "taken") return row.mine ? `You have it${row.unanswered_at ? ", the customer wrote" : ""}` : `${row.agent ?? "Somebody"} has it`;
  const who = row.agent !== null && row.state !== "waiting" ? ` (${row.mine ? (session.peek()?.agent.name ?? row.agent) : row.agent})` : "";
  return `${say("row_state", row.state)}${who}`;
}
