// The lead's board: what waits, what comes in and goes out, where money moves, who is here. Every number opens the list behind it.
import type { ComponentChildren } from "preact";
import { counts, rows } from "../store/queue";
import { lasting, number, plural, say, share, timeOfDay } from "../words";
import { Bar, Plot, type Line } from "./charts";
import { Head, Read, usePolled } from "./frame";
import { RailMark, railName } from "./rail-mark";
import { queueAt, waitRange } from "./say";
import type { Board, Count, Rail } from "../contract";
import "./board.css";

// Often enough to act on; the service itself reads its figures no more often.
const SECONDS = 4;
// The table beside a chart: an hour as twelve lines.
const MINUTES_A_LINE = 5;

// Of fewer cases nothing is measured: the quote is then what the queue aims at.
const WAITS_MIN = 5;

type Tone = "calm" | "needs" | "stopped";

export default function BoardPage() {
  const board = usePolled<Board>("/v1/board", SECONDS);
  const rails = usePolled<{ rails: Rail[] }>("/v1/rails", SECONDS);
  return (
    <div class="page board stack-l">
      <Head title="Board" about="The desk as it is now. Every number opens the list behind it." at={board.data.value?.at} />
      <Read from={board} lines={12}>
        {(shown) => (
          <>
            <Now board={shown} />
            <div class="board-charts">
              <Flow board={shown} />
              <Backlog board={shown} />
            </div>
            <Refunds board={shown} rails={rails.data.value?.rails ?? []} />
          </>
        )}
      </Read>
    </div>
  );
}

function Now({ board }: { board: Board }) {
  const { sla_at_risk: risk, sla_breached: late, agents, backlog } = board;
  const { overall, automated, human } = board.fcr_now;
  const waiting = rows.value === undefined ? null : counts.value.waiting;
  return (
    <ul class="board-now" aria-label="Now">
      <Figure name="Waiting" value={waiting === null ? "–" : number(waiting)} note={`${plural(backlog.cases, "case", "cases")} with people in all`} to="state=waiting" />
      <Figure name="Soon late" value={number(risk.cases)} note="clocks are about to run out" to={risk.behind} tone={risk.cases ? "needs" : "calm"} />
      <Figure name="Late" value={number(late.cases)} note="clocks have run out" to={late.behind} tone={late.cases ? "stopped" : "calm"} />
      <Figure name="Wait now" value={waitRange(board.wait)} note={board.wait && board.wait.answered < WAITS_MIN ? "what the desk aims at" : "until a person looks"} to="state=waiting" />
      <Figure
        name="Solved first time"
        value={overall.share === null ? "–" : share(overall.share)}
        note={overall.of === 0 ? "nothing has ended in a day" : [part(automated, "by itself"), part(human, "with people")].filter(Boolean).join(", ")}
        to={backlog.behind}
      />
      <Figure name="On shift" value={number(agents.on_shift)} note={`${plural(agents.available, "takes", "take")} cases, ${number(agents.holding)} in hand`} to={agents.behind} />
    </ul>
  );
}

/** "95% by itself" */
function part(of: { share: number | null }, how: string): string {
  return of.share === null ? "" : `${share(of.share)} ${how}`;
}

function Backlog({ board }: { board: Board }) {
  const ages = board.backlog_by_age.map((one, at, all) => ({ ...one, name: age(one.up_to_seconds, all[at - 1]?.up_to_seconds ?? 0), tone: toneOf(all[at - 1]?.up_to_seconds ?? 0) }));
  return (
    <section class="card stack" aria-labelledby="board-age">
      <h2 id="board-age">How long they have been with people</h2>
      <Counted lines={ages} />
      <h2>What they need</h2>
      <Counted lines={board.backlog_by_skill.map((one) => ({ ...one, name: say("skill", one.skill), tone: "calm" }))} />
    </section>
  );
}

interface FigureProps {
  name: string;
  value: string;
  note: string;
  /** query string of the queue */
  to: string;
  tone?: Tone;
}

function Figure({ name, value, note, to, tone = "calm" }: FigureProps) {
  return (
    <li>
      <a class={`board-figure tone-${tone}`} href={queueAt(to)}>
        <span class="board-name">{name}</span>
        <span class={value.length > 6 ? "board-value long" : "board-value"}>{value}</span>
        <span class="board-note">{note}</span>
      </a>
    </li>
  );
}

/** "5 to 15 min", "under 5 min", "over 1 day" */
function age(to: number | null, from: number): string {
  if (to === null) return `over ${lasting(from)}`;
  if (from === 0) return `under ${lasting(to)}`;
  const [low, unit] = lasting(from).split(" ");
  const [high, other] = lasting(to).split(" ");
  return unit === other ? `${low}–${high} ${unit}` : `${low} ${unit}–${high} ${other}`;
}

// A promise to a customer at a show is made of minutes; what is older than a few hours has outlived most shows.
function toneOf(from: number): Tone {
  return from >= 14_400 ? "stopped" : from >= 3600 ? "needs" : "calm";
}

function Counted({ lines }: { lines: readonly (Count & { name: string; tone: Tone })[] }) {
  const most = Math.max(1, ...lines.map((one) => one.cases));
  if (lines.every((one) => one.cases === 0)) return <p class="quiet">Nobody is with people now.</p>;
  return (
    <ul class="board-counted">
      {lines.map((one) => (
        <li key={one.name}>
          <a href={queueAt(one.behind)}>
            <span class="board-counted-name">{one.name}</span>
            <Bar share={one.cases / most} tone={one.tone} />
            <span class="board-counted-value">{number(one.cases)}</span>
          </a>
        </li>
      ))}
    </ul>
  );
}

// ------------------------------------------------------------------------------------------------ arrivals against resolutions

function Flow({ board }: { board: Board }) {
  const { arrivals, resolutions } = board;
  const came = total(arrivals);
  const went = total(resolutions);
  const lines: readonly Line[] = [
    { name: "Solved", values: resolutions.map((one) => one.cases), colour: "--settled", look: "area" },
    { name: "Came in", values: arrivals.map((one) => one.cases), colour: "--text", look: "dashed" },
  ];
  return (
    <section class="card stack" aria-labelledby="board-flow">
      <h2 id="board-flow">Came in, and solved, in the last hour</h2>
      <p class="board-legend">
        <span class="board-key key-dashed">
          <b>{number(came)}</b> came in
        </span>
        <span class="board-key key-area">
          <b>{number(went)}</b> solved
        </span>
        <span class="quiet">{came > went ? `${plural(came - went, "case", "cases")} more came than went` : "the desk keeps up"}</span>
      </p>
      <Plot times={arrivals.map((one) => Date.parse(one.at) / 1000)} lines={lines} size="tall" clock={(at) => timeOfDay(new Date(at * 1000).toISOString())} />
      <AsTable caption="Cases that came in and were solved, by five minutes" heads={["From", "Came in", "Solved"]}>
        {chunks(arrivals.length, MINUTES_A_LINE).map(([from, to]) => (
          <tr key={from}>
            <th scope="row">{timeOfDay(arrivals[from]?.at ?? board.at)}</th>
            <td class="num">{number(total(arrivals.slice(from, to)))}</td>
            <td class="num">{number(total(resolutions.slice(from, to)))}</td>
          </tr>
        ))}
      </AsTable>
    </section>
  );
}

const STANDS = { sent: "sent", working: "under way", held: "held for a yes", failed: "could not be sent" } as const;

function Refunds({ board, rails }: { board: Board; rails: readonly Rail[] }) {
  const series = board.refunds_per_minute;
  const names = [...new Set([...rails.map((one) => one.name), ...series.map((one) => one.rail)])];
  const minutes = board.arrivals.map((one) => Date.parse(one.at) / 1000);
  const all = names.map((name) => ({ name, rail: rails.find((one) => one.name === name), parts: series.filter((one) => one.rail === name) }));
  return (
    <section class="card stack" aria-labelledby="board-rails">
      <h2 id="board-rails">Refunds a minute, by way of payment</h2>
      {names.length === 0 ? <p class="quiet">No way of payment takes refunds here yet. Each shows here with its state once one does.</p> : null}
      <ul class="board-rails">
        {all.map(({ name, rail, parts }) => {
          const decided = added(parts.map((one) => one.per_minute), minutes.length);
          const failed = added(parts.filter((one) => one.state === "failed").map((one) => one.per_minute), minutes.length);
          const lines: readonly Line[] = [
            { name: "decided", values: decided, colour: "--accent", look: "area" },
            ...(sum(failed) > 0 ? [{ name: "failed", values: failed, colour: "--stopped", look: "dashed" } as const] : []),
          ];
          return (
            <li key={name}>
              <a class={`board-rail rail-${rail?.state ?? "closed"}`} href="/desk/brakes">
                <span class="row wrap">
                  <span class="board-rail-name">{railName(name)}</span>
                  {rail ? <RailMark state={rail.state} /> : null}
                </span>
                <span class="board-value">{number(decided.at(-1) ?? 0)}</span>
                <span class="board-note">in the last minute, {number(sum(decided))} in the hour</span>
                <Plot times={minutes} lines={lines} size="low" clock={String} />
                <span class="board-note">{stands(parts)}</span>
              </a>
            </li>
          );
        })}
      </ul>
      {names.length > 0 ? (
        <AsTable caption="Refunds by five minutes" heads={["From", ...names.map(railName)]}>
          {chunks(minutes.length, MINUTES_A_LINE).map(([from, to]) => (
            <tr key={from}>
              <th scope="row">{timeOfDay(board.arrivals[from]?.at ?? board.at)}</th>
              {all.map(({ name, parts }) => (
                <td class="num" key={name}>
                  {number(sum(parts.flatMap((one) => one.per_minute.slice(from, to))))}
                </td>
              ))}
            </tr>
          ))}
        </AsTable>
      ) : null}
    </section>
  );
}

/** "18 sent, 2 wait for a yes" */
function stands(parts: Board["refunds_per_minute"]): string {
  const said = (Object.keys(STANDS) as (keyof typeof STANDS)[]).map((state) => [sum(parts.filter((one) => one.state === state).flatMap((one) => one.per_minute)), STANDS[state]] as const);
  const some = said.filter(([count]) => count > 0).map(([count, words]) => `${number(count)} ${words}`);
  return some.length === 0 ? "no refunds in this hour" : some.join(", ");
}

/** Minute by minute over several series. */
function added(series: readonly (readonly number[])[], length: number): number[] {
  return Array.from({ length }, (_, at) => sum(series.map((one) => one[at] ?? 0)));
}

function AsTable({ caption, heads, children }: { caption: string; heads: readonly string[]; children: ComponentChildren }) {
  return (
    <details class="board-table">
      <summary>The same as a table</summary>
      <table class="board-plain">
        <caption class="unseen">{caption}</caption>
        <thead>
          <tr>
            {heads.map((one, at) => (
              <th key={one} scope="col" class={at ? "num" : ""}>
                {one}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>{children}</tbody>
      </table>
    </details>
  );
}

const total = (of: readonly { cases: number }[]): number => sum(of.map((one) => one.cases));
const sum = (of: readonly number[]): number => of.reduce((all, one) => all + one, 0);

/** [0, 5], [5, 10], … up to `length` */
function chunks(length: number, size: number): [number, number][] {
  return Array.from({ length: Math.ceil(length / size) }, (_, at) => [at * size, Math.min(length, (at + 1) * size)]);
}
