// What waits for another person's yes: what is proposed, by whom and why, what they saw, and what is different by now.
import { useSignal } from "@preact/signals";
import { useRef } from "preact/hooks";
import { ApiProblem, get, post } from "../api";
import { Empty, Field, Notice, Tag } from "../components/bits";
import { Button } from "../components/button";
import { useLoad } from "../components/load";
import { Ago } from "../components/time";
import type { CaseShown, HeldPreview, OperationShown, QueueRow } from "../contract";
import { announce } from "../store/announce";
import { rows } from "../store/queue";
import { session } from "../store/session";
import { actor, money, number, plural, say, spoken } from "../words";
import { Head, Read } from "./frame";
import { caseAt, factValue, sentence } from "./say";
import "./second-person.css";

export default function SecondPersonPage() {
  const open = useSignal<string | null>(null);
  // How much is held is on the row, live; what exactly it is is read when a row is opened.
  const held = [...(rows.value?.values() ?? [])].filter((one) => one.held > 0).sort((a, b) => (a.queued_at ?? "").localeCompare(b.queued_at ?? ""));
  return (
    <div class="page page-narrow stack-l">
      <Head title="Second person" about="What one person proposed and another has to agree to, the oldest first. You see what they saw, and what has changed since." />
      {rows.value === undefined ? null : held.length === 0 ? (
        <div class="card">
          <Empty title="Nothing waits for a second person">What one person may not do alone shows here, with who proposed it and why.</Empty>
        </div>
      ) : (
        <ul class="stack">
          {held.map((one) => (
            <li key={one.id} class="card">
              <Waiting row={one} open={open.value === one.id} toggle={() => (open.value = open.value === one.id ? null : one.id)} />
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}

function Waiting({ row, open, toggle }: { row: QueueRow; open: boolean; toggle: () => void }) {
  return (
    <div class="stack">
      <div class="held-head">
        <span class="held-amount">{row.money_at_stake > 0 ? money(row.money_at_stake, row.currency) : plural(row.held, "action", "actions")}</span>
        <div class="stack-s held-about">
          <h2>{say("problem", row.problem)}</h2>
          <p class="quiet small">
            {[row.show_name, row.order ? `order ${row.order}` : null, row.agent ? `${row.agent} has it` : null].filter(Boolean).join(" · ")}
            {row.queued_at ? (
              <>
                {" · "}
                <Ago at={row.queued_at} />
              </>
            ) : null}
          </p>
        </div>
        <div class="row wrap">
          <a class="button plain" href={caseAt(row.id)}>
            Open the case
          </a>
          <Button action={toggle} expanded={open} {...(open ? {} : { kind: "primary" as const })}>
            {open ? "Close" : "Look at it"}
          </Button>
        </div>
      </div>
      {open ? <Held row={row} /> : null}
    </div>
  );
}

function Held({ row }: { row: QueueRow }) {
  // The version changes with the case: what is held then is read anew.
  const shown = useLoad(`${row.id}/${row.version}`, (signal) => get<CaseShown>(`/v1/cases/${row.id}`, { signal }));
  return (
    <Read from={shown} lines={4}>
      {(found) => {
        const held = found.operations.filter((one) => one.status === "held");
        if (held.length === 0) return <p class="quiet">Nothing is held in this case any more.</p>;
        return (
          <div class="stack-l">
            {held.map((one) => (
              <Proposal key={one.id} held={one} done={shown.reload} />
            ))}
          </div>
        );
      }}
    </Read>
  );
}

function Proposal({ held, done }: { held: OperationShown; done: () => Promise<void> }) {
  const preview = useLoad(held.id, (signal) => get<HeldPreview>(`/v1/operations/${held.id}/preview`, { signal }));
  return (
    <section class="stack held" aria-label={say("action", held.action)}>
      <Read from={preview} lines={4}>
        {(shown) => <Shown shown={shown} held={held} reload={preview.reload} done={done} />}
      </Read>
    </section>
  );
}

interface ShownProps {
  shown: HeldPreview;
  held: OperationShown;
  reload: () => Promise<void>;
  done: () => Promise<void>;
}

function Shown({ shown, held, reload, done }: ShownProps) {
  const { proposed, now } = shown;
  const mine = proposed !== null && actor(proposed.by) === session.value?.agent.name;
  return (
    <>
      <p class="held-sentence">{shown.sentence}</p>
      {proposed ? (
        <p>
          <strong>{actor(proposed.by)}</strong> proposed this <Ago at={proposed.at} />: {sentence(proposed.reason)}
        </p>
      ) : (
        <p>The rules held this for people; nobody proposed it by hand.</p>
      )}
      <p class="quiet">{agreed(held)}</p>
      {shown.moved.length > 0 ? (
        <Notice hue="needs">
          {shown.moved.length === 1 ? "One thing is" : "Some things are"} different from what {proposed ? actor(proposed.by) : "was decided"} saw. It is marked below; say yes only to what is now.
        </Notice>
      ) : null}
      <div class="held-columns">
        <div class="stack">
          {now.effects.length > 0 ? (
            <>
              <h3>What follows</h3>
              <ul class="dotted">
                {now.effects.map((one) => (
                  <li key={one}>{one}</li>
                ))}
              </ul>
            </>
          ) : null}
          {now.guards.length > 0 ? (
            <>
              <h3>Why it waits</h3>
              <ul class="dotted">
                {now.guards.map((one) => (
                  <li key={one.id}>{one.text}</li>
                ))}
              </ul>
            </>
          ) : null}
        </div>
        <Facts shown={shown} />
      </div>
      {mine ? (
        <Notice hue="none" icon="people">
          You proposed this, so the yes has to come from somebody else. You can still say no.
        </Notice>
      ) : null}
      <Decide shown={shown} held={held} mine={mine} reload={reload} done={done} />
    </>
  );
}

/** "1 person has agreed, 1 more is needed." */
function agreed({ approvals: given = 0, approvals_needed: needed = 0 }: OperationShown): string {
  const left = Math.max(1, needed - given);
  return given === 0 ? `${plural(left, "person has", "people have")} to agree.` : `${plural(given, "person has", "people have")} agreed, ${number(left)} more ${left === 1 ? "has" : "have"} to.`;
}

type Fact = HeldPreview["now"]["facts"][number];

function Facts({ shown }: { shown: HeldPreview }) {
  const before = shown.proposed?.preview.facts ?? [];
  // What was there and is gone has moved, too.
  const gone = before.filter((one) => shown.moved.includes(one.name) && !shown.now.facts.some((now) => now.name === one.name)).map((one) => ({ ...one, value: "gone", kind: "text" as const }));
  const all = [...shown.now.facts, ...gone];
  const first = all.filter((one) => shown.moved.includes(one.name) || tells(one));
  const rest = all.filter((one) => !first.includes(one));
  return (
    <div class="stack">
      <h3>What it stands on</h3>
      <FactList facts={first} before={before} shown={shown} />
      {rest.length > 0 ? (
        <details class="held-rest">
          <summary>{plural(rest.length, "more fact", "more facts")}, none of them changed</summary>
          <FactList facts={rest} before={before} shown={shown} />
        </details>
      ) : null}
    </div>
  );
}

/** Worth reading first: it says that there is something, and it is about the order rather than about this page. */
function tells({ name, value }: Fact): boolean {
  return !/^(operation|approvals)\./.test(name) && value !== 0 && value !== false && value !== null && value !== "" && value !== "none";
}

function FactList({ facts, before, shown }: { facts: readonly Fact[]; before: readonly Fact[]; shown: HeldPreview }) {
  const currency = shown.now.currency;
  return (
    <dl class="held-facts">
      {facts.map((one) => {
        const moved = shown.moved.includes(one.name);
        const was = before.find((old) => old.name === one.name);
        return (
          <div key={one.name} class={moved ? "moved" : ""}>
            <dt>{one.label || spoken(one.name)}</dt>
            <dd>
              {moved ? <Tag hue="needs">{was ? "changed" : "new"}</Tag> : null}
              {moved && was ? (
                <s>
                  <span class="unseen">was </span>
                  {factValue(was, currency)}
                </s>
              ) : null}
              <span>{factValue(one, currency)}</span>
            </dd>
          </div>
        );
      })}
    </dl>
  );
}

function Decide({ shown, held, mine, reload, done }: ShownProps & { mine: boolean }) {
  const reason = useSignal("");
  const missing = useSignal("");
  const box = useRef<HTMLInputElement>(null);
  const amount = shown.now.amount ?? held.amount ?? null;
  const object = amount === null ? say("action", held.action).toLowerCase() : `${held.action === "refund" ? "send back" : say("action", held.action).toLowerCase()} ${money(amount, shown.now.currency ?? held.currency)}`;

  const answer = async (word: "approve" | "refuse"): Promise<void> => {
    if (reason.value.trim().length < 3) {
      missing.value = "Write a few words first: they stay on the timeline.";
      box.current?.focus();
      return;
    }
    missing.value = "";
    const body = word === "approve" ? { reason: reason.value.trim(), facts_hash: shown.now.facts_hash } : { reason: reason.value.trim() };
    try {
      await post(`/v1/operations/${held.id}/${word}`, body, { intent: word });
    } catch (error) {
      // What it stands on moved while it was read: the new facts are shown, and the words are kept.
      if (error instanceof ApiProblem && error.code === "facts_moved") await reload();
      throw error;
    }
    announce(word === "approve" ? "Your yes is recorded" : "Your no is recorded");
    await done();
  };

  return (
    <form class="stack" onSubmit={(event) => event.preventDefault()}>
      <Field label="Your reason" {...(missing.value === "" ? {} : { error: missing.value })}>
        {(ids) => <input {...ids} ref={box} class="input" maxLength={500} autoComplete="off" value={reason} onInput={(event) => (reason.value = event.currentTarget.value)} />}
      </Field>
      <div class="row wrap">
        <Button kind="primary" icon="check" action={() => answer("approve")} disabled={mine} why="The one who proposed it cannot agree to it">
          Yes, {object}
        </Button>
        <Button kind="danger" action={() => answer("refuse")}>
          No, do not {object}
        </Button>
      </div>
    </form>
  );
}
