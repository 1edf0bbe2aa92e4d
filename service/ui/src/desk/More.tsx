// What ends or moves a claim: hold, wait for the customer, transfer, refer to another team, end. Each asks for its reason once.
import { useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { get, post } from "../api";
import { Field, Notice } from "../components/bits";
import { Button } from "../components/button";
import { Dialog } from "../components/dialog";
import { useLoad } from "../components/load";
import { ReasonField } from "../components/reason";
import type { AgentOnShift, CaseShown, EntryShown, NewReferral } from "../contract";
import { announce } from "../store/announce";
import { leave } from "../store/claims";
import { session } from "../store/session";
import { listed, plural, say, spoken } from "../words";
import { tell } from "./timeline-words";

export type More = "hold" | "customer" | "transfer" | "refer" | "end";

interface Props {
  id: string;
  what: More;
  shown: CaseShown;
  entries: readonly EntryShown[];
  currency: string;
  onClose: () => void;
  /** true: the case is not this person's any more */
  onDone: (left: boolean) => void;
}

const TITLES: Readonly<Record<More, string>> = {
  hold: "Put the case on hold",
  customer: "Wait for the customer’s answer",
  transfer: "Pass the case on",
  refer: "Ask another team",
  end: "End the case",
};

export function MoreDialog(props: Props) {
  return (
    <Dialog title={TITLES[props.what]} onClose={props.onClose}>
      {props.what === "hold" || props.what === "customer" ? <Park {...props} /> : null}
      {props.what === "transfer" ? <Transfer {...props} /> : null}
      {props.what === "refer" ? <Refer {...props} /> : null}
      {props.what === "end" ? <End {...props} /> : null}
    </Dialog>
  );
}

interface FormProps {
  reason: { value: string };
  label: string;
  hint?: string;
  button: string;
  send: () => Promise<void>;
  lacking?: string;
  children?: ComponentChildren;
  /** the caret waits elsewhere */
  focusElsewhere?: boolean;
  kind?: "primary" | "danger";
}

function Form({ reason, label, hint, button, send, lacking, children, focusElsewhere, kind }: FormProps) {
  const short = reason.value.trim().length < 3;
  const why = short ? "Say why first" : lacking;
  return (
    <form class="stack" onSubmit={(event) => event.preventDefault()}>
      {children}
      <ReasonField reason={reason} label={label} hint={hint} waitsHere={!focusElsewhere} />
      <div class="row wrap">
        <Button type="submit" kind={kind ?? "primary"} action={send} disabled={why !== undefined} why={why}>
          {button}
        </Button>
      </div>
    </form>
  );
}

const SPANS: readonly [number, string][] = [
  [15 * 60, "15 minutes"],
  [60 * 60, "1 hour"],
  [4 * 3600, "4 hours"],
  [24 * 3600, "1 day"],
  [3 * 86_400, "3 days"],
  [7 * 86_400, "7 days"],
];

function Park({ id, what, shown, onDone }: Props) {
  const customer = what === "customer";
  const unanswered = customer && shown.messages.filter((one) => one.kind !== "note").at(-1)?.kind === "customer";
  const seconds = useSignal(customer ? 3 * 86_400 : 3600);
  const reason = useSignal(customer ? "Asked the customer" : "");
  const park = async (): Promise<void> => {
    await leave(id, () => post(`/v1/cases/${id}/park`, { for: customer ? "customer" : "hold", seconds: seconds.value, reason: reason.value.trim() }, { intent: "park" }));
    announce(customer ? "Waits for the customer" : "On hold");
    onDone(true);
  };
  return (
    <Form reason={reason} label={customer ? "What you wait for" : "Why it waits"} button={customer ? "Wait for the customer" : "Put on hold"} send={park} {...(unanswered ? { lacking: "Answer first" } : {})}>
      {unanswered ? <Notice hue="needs">Answer first: the customer wrote last, and waits for you.</Notice> : null}
      <p class="quiet">
        {customer
          ? "The clock stands still. When they write, the case comes back to you; if you are away, to the queue."
          : "The case is put aside and comes back to you then. The promise to solve it keeps running."}
      </p>
      <Field label={customer ? "At most" : "Until"}>
        {(ids) => (
          <select {...ids} class="input" value={String(seconds.value)} onChange={(event) => (seconds.value = Number(event.currentTarget.value))}>
            {SPANS.map(([value, name]) => (
              <option key={value} value={String(value)}>
                {customer ? name : `In ${name}`}
              </option>
            ))}
          </select>
        )}
      </Field>
    </Form>
  );
}

function Transfer({ id, shown, onDone }: Props) {
  const to = useSignal("");
  const reason = useSignal("");
  const shift = useLoad<AgentOnShift[]>("shift", async () => (await get<{ agents: AgentOnShift[] }>("/v1/desk/shift")).agents);
  const me = session.value?.agent.name;
  const agents = (shift.data.value ?? []).filter((one) => one.role !== "machine" && one.available && one.name !== me);
  const send = async (): Promise<void> => {
    const [kind, name] = [to.value.split(":")[0], to.value.split(":").slice(1).join(":")];
    const where = kind === "skill" ? { skill: name } : kind === "agent" ? { agent: name } : {};
    await leave(id, () => post(`/v1/cases/${id}/give-back`, { reason: reason.value.trim(), ...where }, { intent: "give-back" }));
    announce("Passed on");
    onDone(true);
  };
  return (
    <Form reason={reason} label="What they should know" hint="The whole timeline goes with the case; nobody has to ask the customer again." button="Pass it on" send={send}>
      <Field label="To">
        {(ids) => (
          <select {...ids} class="input" value={to.value} onChange={(event) => (to.value = event.currentTarget.value)}>
            <option value="">The queue, in its place ({say("skill", shown.desk?.skill)})</option>
            <optgroup label="People with another skill">
              {listed("skill").map(([value, name]) => (
                <option key={value} value={`skill:${value}`}>
                  {name}
                </option>
              ))}
            </optgroup>
            {agents.length > 0 ? (
              <optgroup label="One person, at once">
                {agents.map((one) => (
                  <option key={one.name} value={`agent:${one.name}`} disabled={one.holding >= one.capacity}>
                    {one.name} ({plural(one.holding, "case", "cases")} of {one.capacity})
                  </option>
                ))}
              </optgroup>
            ) : null}
          </select>
        )}
      </Field>
    </Form>
  );
}

// Words of the contract, by team.
const REASONS: Readonly<Record<NewReferral["team"], readonly NewReferral["reason"][]>> = {
  fraud: ["chargeback_risk", "card_testing", "pass_sharing", "scalping", "account_takeover", "false_claim", "other"],
  moderation: ["abuse", "threat", "self_harm", "other"],
};
// What can be shown to another team; a dozen is plenty.
const EVIDENCE_MAX = 20;

function Refer({ id, shown, entries, currency, onDone }: Props) {
  const team = useSignal<NewReferral["team"]>("fraud");
  const reason = useSignal<NewReferral["reason"]>("chargeback_risk");
  const question = useSignal("");
  const holds = useSignal(true);
  const hours = useSignal(24);
  // They judge what they are shown: the customer's last words to begin with.
  const last = shown.messages.filter((one) => one.kind === "customer").at(-1);
  const chosen = useSignal<ReadonlySet<string>>(new Set(last ? [`message:${last.id}`] : []));
  const offers = [
    ...shown.messages.map((one) => ({ kind: one.kind === "note" ? ("note" as const) : ("message" as const), ref: one.id, name: `${one.kind === "customer" ? "Customer" : one.author.replace(/^agent:/, "")}: ${one.body}` })),
    ...entries.slice(-40).map((one) => ({ kind: "timeline" as const, ref: String(one.seq), name: tell(one, shown, currency).title })),
  ];
  const send = async (): Promise<void> => {
    const evidence = offers.filter((one) => chosen.value.has(`${one.kind}:${one.ref}`)).slice(0, EVIDENCE_MAX);
    const body: NewReferral = {
      team: team.value,
      reason: reason.value,
      question: question.value.trim(),
      evidence: evidence.map(({ kind, ref }) => ({ kind, ref })),
      holds: holds.value,
      answer_within_seconds: hours.value * 3600,
    };
    await leave(id, () => post(`/v1/cases/${id}/referrals`, body, { intent: "refer" }));
    announce(`Asked ${say("team", team.value)}`);
    onDone(true);
  };
  const toggle = (key: string): void => {
    const next = new Set(chosen.value);
    if (!next.delete(key)) next.add(key);
    chosen.value = next;
  };
  return (
    <Form reason={question} label="Your question" hint="What they are to judge. Their answer comes back to this case and to you." button={`Ask ${say("team", team.value)}`} send={send} focusElsewhere {...(chosen.value.size === 0 ? { lacking: "Choose what you show them" } : {})}>
      <div class="two">
        <Field label="Team">
          {(ids) => (
            <select
              {...ids}
              data-focus
              class="input"
              value={team.value}
              onChange={(event) => {
                team.value = event.currentTarget.value === "moderation" ? "moderation" : "fraud";
                reason.value = REASONS[team.value][0] ?? "other";
              }}
            >
              {listed("team").map(([value, name]) => (
                <option key={value} value={value}>
                  {name}
                </option>
              ))}
            </select>
          )}
        </Field>
        <Field label="Because of">
          {(ids) => (
            <select {...ids} class="input" value={reason.value} onChange={(event) => (reason.value = REASONS[team.value].find((one) => one === event.currentTarget.value) ?? "other")}>
              {REASONS[team.value].map((one) => (
                <option key={one} value={one}>
                  {spoken(one)}
                </option>
              ))}
            </select>
          )}
        </Field>
      </div>
      <fieldset class="evidence">
        <legend class="label">What you show them</legend>
        {offers.map((one) => (
          <label key={`${one.kind}:${one.ref}`} class="check">
            <input type="checkbox" checked={chosen.value.has(`${one.kind}:${one.ref}`)} onChange={() => toggle(`${one.kind}:${one.ref}`)} />
            <span class="cut" dir="auto">
              {one.name}
            </span>
          </label>
        ))}
      </fieldset>
      <label class="check">
        <input type="checkbox" checked={holds.value} onChange={(event) => (holds.value = event.currentTarget.checked)} />
        <span>Money and tickets of this order wait for their answer</span>
      </label>
      <Field label="Answer within">
        {(ids) => (
          <select {...ids} class="input" value={String(hours.value)} onChange={(event) => (hours.value = Number(event.currentTarget.value))}>
            {[1, 4, 24, 72].map((one) => (
              <option key={one} value={String(one)}>
                {one < 48 ? plural(one, "hour", "hours") : plural(one / 24, "day", "days")}
              </option>
            ))}
          </select>
        )}
      </Field>
    </Form>
  );
}

function End({ id, shown, onDone }: Props) {
  const outcome = useSignal<"resolved" | "denied">("resolved");
  const reason = useSignal("");
  const held = shown.operations.filter((one) => one.status === "held" || one.status === "choose");
  const answered = shown.messages.at(-1)?.kind !== "customer";
  const end = async (): Promise<void> => {
    await leave(id, () => post<CaseShown>(`/v1/cases/${id}/resolve`, { outcome: outcome.value, reason: reason.value.trim() }, { intent: "resolve" }));
    announce("The case has ended");
    onDone(true);
  };
  return (
    <Form reason={reason} label="Why" hint="For the desk; it stands on the timeline." button={outcome.value === "resolved" ? "End as solved" : "End with a no"} kind={outcome.value === "resolved" ? "primary" : "danger"} send={end}>
      {held.length > 0 ? <Notice hue="needs">{plural(held.length, "movement still waits", "movements still wait")} for a yes: decide that first, or the case cannot end.</Notice> : null}
      {answered ? null : <Notice hue="needs">The customer wrote last and nobody has answered. They will see that it has ended; write to them first if they need words.</Notice>}
      <fieldset class="choice">
        <legend class="label">How it ends</legend>
        <label class="check">
          <input type="radio" name="outcome" checked={outcome.value === "resolved"} onChange={() => (outcome.value = "resolved")} />
          <span>Solved</span>
        </label>
        <label class="check">
          <input type="radio" name="outcome" checked={outcome.value === "denied"} onChange={() => (outcome.value = "denied")} />
          <span>No: tell them why in a reply; they can ask a person to look again</span>
        </label>
      </fieldset>
    </Form>
  );
}
