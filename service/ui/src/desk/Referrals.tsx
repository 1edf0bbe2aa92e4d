// What another team was asked about this case: the question with its evidence, their answer, or the way to give it or to take it back.
import { useSignal } from "@preact/signals";
import { post } from "../api";
import { Field, Tag, type Hue } from "../components/bits";
import { Button } from "../components/button";
import { Ago, Left, Moment } from "../components/time";
import type { CaseShown, EntryShown, ReferralShown } from "../contract";
import { announce } from "../store/announce";
import { isLead, session } from "../store/session";
import { actor, money, say, spoken } from "../words";
import { tell } from "./timeline-words";

interface Props {
  referrals: readonly ReferralShown[];
  shown: CaseShown;
  entries: readonly EntryShown[];
  currency: string;
  onDone: () => void;
}

const HUES: Readonly<Record<ReferralShown["state"], Hue>> = { open: "waiting", cleared: "settled", confirmed: "stopped", need_more: "needs", withdrawn: "none" };

export function Referrals(props: Props) {
  if (props.referrals.length === 0) return null;
  return (
    <section class="card case-card" aria-labelledby="referrals-title">
      <header>
        <h2 id="referrals-title">Asked another team</h2>
      </header>
      {props.referrals.map((one) => (
        <Referral key={one.id} {...props} referral={one} />
      ))}
    </section>
  );
}

function Referral({ referral, shown, entries, currency, onDone }: Props & { referral: ReferralShown & { holding?: boolean } }) {
  // A team that asked back while money waits may still answer, and who asked may still take the question back.
  const open = referral.state === "open" || (referral.state === "need_more" && referral.holding === true);
  const held = Object.entries(referral.held).filter(([, minor]) => minor > 0);
  const judges = !referral.mine && (session.value?.agent.skills.includes("trust") ?? false);
  const withdraws = referral.mine || isLead.value || (session.value?.agent.skills.includes("trust") ?? false);
  return (
    <div class="stack">
      <p class="row wrap">
        <Tag hue={HUES[referral.state]} icon={open ? "external" : undefined}>
          {say("team", referral.team)}: {say("referral", referral.state)}
        </Tag>
        <span class="quiet small">{spoken(referral.reason)}</span>
        <span class="quiet small push">{referral.answered_at ? <Moment at={referral.answered_at} /> : <Ago at={referral.created_at} />}</span>
      </p>
      <p>
        <span class="strong">{actor(referral.asked_by)}:</span> {referral.question}
      </p>
      <ul class="referral-evidence">
        {referral.evidence.map((one) => (
          <li key={`${one.kind}${one.ref}`} class="quiet small">
            {evidence(one, shown, entries, currency)}
            {one.words ? `: ${one.words}` : ""}
          </li>
        ))}
      </ul>
      {referral.answer ? (
        <p class="proposed">
          <span>
            <span class="strong">{referral.answer.by ? actor(referral.answer.by) : say("team", referral.team)}:</span> {referral.answer.words}
            {referral.answer.reference ? <span class="quiet small"> ({referral.answer.reference})</span> : null}
          </span>
        </p>
      ) : null}
      {open ? (
        <p class="quiet small">
          {referral.holds ? (held.length > 0 ? `${held.map(([unit, minor]) => money(minor, unit)).join(", ")} waits for it. ` : "Money and tickets of this order wait for it. ") : "Nothing waits for it. "}
          {referral.state !== "open" ? null : referral.overdue ? "It is overdue." : "Answer due in "}
          {referral.state !== "open" || referral.overdue ? null : <Left key={referral.answer_by} at={referral.answer_by} />}
        </p>
      ) : null}
      {open && judges ? <Judge referral={referral} onDone={onDone} /> : null}
      {open && withdraws && !judges ? <Withdraw referral={referral} onDone={onDone} /> : null}
    </div>
  );
}

type Verdict = "cleared" | "confirmed" | "need_more";
const VERDICTS: readonly [Verdict, string][] = [
  ["cleared", "Cleared: what waited goes on"],
  ["confirmed", "Confirmed: what waited is refused"],
  ["need_more", "I need to know more"],
];

function Judge({ referral, onDone }: { referral: ReferralShown; onDone: () => void }) {
  const answer = useSignal<Verdict>("cleared");
  const words = useSignal("");
  const send = async (): Promise<void> => {
    await post(`/v1/referrals/${referral.id}/answer`, { answer: answer.value, words: words.value.trim() }, { intent: "judge" });
    announce("Answered");
    onDone();
  };
  return (
    <form class="stack" onSubmit={(event) => event.preventDefault()}>
      <fieldset class="choice">
        <legend class="label">Your answer</legend>
        {VERDICTS.map(([value, name]) => (
          <label key={value} class="check">
            <input type="radio" name={`verdict-${referral.id}`} checked={answer.value === value} onChange={() => (answer.value = value)} />
            <span>{name}</span>
          </label>
        ))}
      </fieldset>
      <Field label="In words">
        {(ids) => <textarea {...ids} class="input" rows={2} maxLength={2000} value={words.value} onInput={(event) => (words.value = event.currentTarget.value)} />}
      </Field>
      <div>
        <Button type="submit" kind="primary" action={send} disabled={words.value.trim().length < 3} why="Say it in words first">
          Answer {say("team", referral.team)}’s question
        </Button>
      </div>
    </form>
  );
}

function Withdraw({ referral, onDone }: { referral: ReferralShown; onDone: () => void }) {
  const asking = useSignal(false);
  const reason = useSignal("");
  const send = async (): Promise<void> => {
    await post(`/v1/referrals/${referral.id}/withdraw`, { reason: reason.value.trim() }, { intent: "withdraw" });
    announce("Taken back");
    onDone();
  };
  if (!asking.value)
    return (
      <div>
        <Button action={() => (asking.value = true)}>Take the question back…</Button>
      </div>
    );
  return (
    <form class="stack" onSubmit={(event) => event.preventDefault()}>
      <Field label="Why you take it back">
        {(ids) => <textarea {...ids} class="input" rows={2} maxLength={500} value={reason.value} onInput={(event) => (reason.value = event.currentTarget.value)} />}
      </Field>
      <div>
        <Button type="submit" action={send} disabled={reason.value.trim().length < 3} why="Say why first">
          Take the question back
        </Button>
      </div>
    </form>
  );
}

function evidence(one: ReferralShown["evidence"][number], shown: CaseShown, entries: readonly EntryShown[], currency: string): string {
  if (one.kind === "message" || one.kind === "note") {
    const found = shown.messages.find((each) => each.id === one.ref);
    return found ? `${found.kind === "customer" ? "Customer" : actor(found.author)}: “${found.body}”` : spoken(one.kind);
  }
  if (one.kind === "timeline") {
    const found = entries.find((each) => String(each.seq) === one.ref);
    return found ? tell(found, shown, currency).title : "An entry of the timeline";
  }
  return one.kind === "payment" ? `Payment ${one.ref}` : "A ticket of the order";
}
