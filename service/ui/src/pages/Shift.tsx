// My shift: what I have in hand, what I did today, whether I take cases; and for leads, who else is here.
import { Empty, Tag } from "../components/bits";
import { Button } from "../components/button";
import { Ago, Left } from "../components/time";
import type { AgentOnShift } from "../contract";
import { rows } from "../store/queue";
import { isLead, session, setAvailable } from "../store/session";
import { language, lasting, number, plural, say, share } from "../words";
import { Head, Read, usePolled } from "./frame";
import { caseAt } from "./say";
import type { Shift } from "../contract";
import { TableCards } from "./table-cards";
import "./shift.css";

// What I did changes when I do it; half a minute later is soon enough to read it.
const SECONDS = 30;
const CREW_SECONDS = 10;

export default function ShiftPage() {
  const shift = usePolled<Shift>("/v1/shift", SECONDS);
  const me = session.value?.agent;
  return (
    <div class="page stack-l">
      <Head title="My shift" about="What you have in hand and what you did today. Nobody is ranked here." />
      {me ? (
        <section class="card shift-me" aria-label="Whether you take cases">
          {me.available ? <Tag hue="settled">You take cases</Tag> : <Tag hue="none" icon="pause">You take no cases</Tag>}
          <p class="quiet">
            {me.available
              ? `Answers of your customers come back to you, up to ${plural(me.capacity, "case", "cases")} at a time.`
              : "Answers of your customers go to the queue until you are back. What you have in hand stays yours."}
          </p>
          <div class="push">
            <Button action={() => setAvailable(!me.available)}>{me.available ? "Take a break" : "Take cases again"}</Button>
          </div>
        </section>
      ) : null}
      <InHand />
      <section class="stack" aria-labelledby="today">
        <h2 id="today">Today</h2>
        <Read from={shift} lines={4}>
          {(shown) => <Today shift={shown} />}
        </Read>
      </section>
      {isLead.value ? <Crew /> : null}
    </div>
  );
}

function InHand() {
  const mine = [...(rows.value?.values() ?? [])].filter((one) => one.mine);
  return (
    <section class="stack" aria-labelledby="in-hand">
      <h2 id="in-hand">In your hands</h2>
      {rows.value === undefined ? null : mine.length === 0 ? (
        <div class="card">
          <Empty title="You have no case in hand">
            What you take shows here. <a href="/desk">Go to the queue</a> and take the one on top.
          </Empty>
        </div>
      ) : (
        <ul class="in-hand">
          {mine.map((one) => (
            <li key={one.id}>
              <a href={caseAt(one.id)}>
                <strong>{say("problem", one.problem)}</strong>
                <span class="quiet cut">{[one.show_name, one.order].filter(Boolean).join(" · ")}</span>
                {one.state === "taken" ? null : <span class="quiet">{say("row_state", one.state)}</span>}
                {one.sla?.due_at ? (
                  <span class="push nowrap">
                    <Tag hue={one.sla.breached ? "stopped" : one.sla.warned ? "needs" : "waiting"} icon="clock">
                      {say("clock", one.sla.kind)} <Left key={one.sla.due_at} at={one.sla.due_at} />
                    </Tag>
                  </span>
                ) : null}
              </a>
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}

function Today({ shift }: { shift: Shift }) {
  const { sla, satisfaction: tapped } = shift;
  const figures: readonly (readonly [name: string, value: string, note: string])[] = [
    ["Taken", number(shift.taken_today), shift.holding ? `${number(shift.holding)} still in hand` : "none in hand"],
    ["Solved", number(shift.resolved_today), "ended by you"],
    ["Answers", number(shift.replies), "to customers"],
    ["Time on a case", shift.median_handle_seconds === null ? "–" : lasting(shift.median_handle_seconds), "half take less"],
    ["In time", sla.of ? share(sla.met / sla.of) : "–", sla.of ? `${number(sla.met)} of ${number(sla.of)} clocks` : "no clock has ended yet"],
    ["Customers say", tapped.average === null ? "–" : `${number(Math.round(tapped.average * 10) / 10)} of 5`, tapped.answers ? `${plural(tapped.answers, "answer", "answers")} in 30 days` : "nobody has answered yet"],
  ];
  return (
    <dl class="figures">
      {figures.map(([name, value, note]) => (
        <div key={name} class="card">
          <dt>{name}</dt>
          <dd>
            <span class="figure">{value}</span>
            <span class="quiet small">{note}</span>
          </dd>
        </div>
      ))}
    </dl>
  );
}

// ------------------------------------------------------------------------------------------------------------------ for leads

function Crew() {
  const crew = usePolled<{ agents: AgentOnShift[] }>("/v1/desk/shift", CREW_SECONDS);
  return (
    <section class="stack" aria-labelledby="crew">
      <h2 id="crew">On shift</h2>
      <Read from={crew} lines={4}>
        {(shown) =>
          shown.agents.length === 0 ? (
            <div class="card">
              <Empty title="Nobody is here">Whoever has the console open shows here, with what they have in hand.</Empty>
            </div>
          ) : (
            <TableCards
              caption="People at the desk"
              rows={shown.agents}
              keyOf={(one) => one.name}
              columns={[
                {
                  title: "Name",
                  cell: (one) => (
                    <>
                      <strong>{one.name}</strong>
                      <div class="quiet small">{one.role === "lead" ? "Lead" : one.role === "machine" ? "Program" : "Agent"}</div>
                    </>
                  ),
                },
                { title: "Now", cell: (one) => <Presence one={one} /> },
                {
                  title: "In hand",
                  number: true,
                  cell: (one) => (
                    <>
                      {number(one.holding)} <span class="quiet">of {number(one.capacity)}</span>
                    </>
                  ),
                },
                { title: "Skills", cell: (one) => <span class="shift-skills">{one.skills.map((skill) => say("skill", skill)).join(", ")}</span> },
                { title: "Languages", cell: (one) => (one.languages.length ? one.languages.map(language).join(", ") : "every language") },
              ]}
            />
          )
        }
      </Read>
    </section>
  );
}

function Presence({ one }: { one: AgentOnShift }) {
  return (
    <div class="stack-s">
      <span>
        {one.available ? <Tag hue="settled">takes cases</Tag> : <Tag hue="none" icon="pause">takes none</Tag>}
      </span>
      {one.seen_at ? (
        <span class="quiet small">
          seen <Ago at={one.seen_at} />
        </span>
      ) : null}
    </div>
  );
}
