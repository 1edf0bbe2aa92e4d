// The head of a case: what is wrong, what is at stake, how long it waits, what was promised, who has it, and the first thing to do.
import { Copy, Id, Tag, type Hue } from "../components/bits";
import { Button } from "../components/button";
import { Icon } from "../components/icon";
import { Left, Moment, Since } from "../components/time";
import type { Bundle, CaseShown, GuideClock, QueueRow } from "../contract";
import { language, money, say } from "../words";
import type { More } from "./More";

interface Props {
  shown: CaseShown;
  row: QueueRow | undefined;
  bundle: Bundle | undefined;
  clocks: readonly GuideClock[];
  mine: boolean;
  canTake: boolean;
  onTake: () => Promise<void>;
  onMore: (which: More) => void;
  onCompose: (kind: "reply" | "note") => void;
}

export function CaseHead({ shown, row, bundle, clocks, mine, canTake, onTake, onMore }: Props) {
  const payments = Array.isArray(bundle?.order?.["payments"]) ? (bundle.order["payments"] as Record<string, unknown>[]) : [];
  const currency = typeof bundle?.order?.["currency"] === "string" ? bundle.order["currency"] : (row?.currency ?? null);
  const charges = payments.filter((one) => one["status"] === "confirmed" && typeof one["captured"] === "number");
  return (
    <header class="case-head">
      <a class="case-back" href="/desk">
        <Icon name="back" />
        Queue
      </a>
      <div class="case-title">
        <h1>{say("problem", shown.problem)}</h1>
        <State shown={shown} row={row} />
        {row?.sla && !row.sla.breached && row.sla.due_at ? (
          <Tag hue={row.sla.warned ? "needs" : "none"} icon="clock">
            {say("clock", row.sla.kind)} <Left key={row.sla.due_at} at={row.sla.due_at} />
            <span class="unseen"> left</span>
          </Tag>
        ) : row?.sla?.breached && row.sla.due_at ? (
          <Tag hue="stopped" icon="alert">
            {say("clock", row.sla.kind)}: late by <Since key={row.sla.due_at} at={row.sla.due_at} />
          </Tag>
        ) : row?.sla?.paused_for ? (
          <Tag hue="none" icon="pause">
            Clock stands still: {say("pause", row.sla.paused_for)}
          </Tag>
        ) : clocks.some((one) => one.met === false) ? (
          <Tag hue="stopped" icon="alert">
            Was late
          </Tag>
        ) : null}
      </div>
      <p class="case-about">
        {charges.length > 0 ? (
          <span class="strong">{charges.map((one) => money(one["captured"] as number, currency)).join(" + ")}</span>
        ) : row && row.money_at_stake > 0 ? (
          <span class="strong">{money(row.money_at_stake, row.currency)}</span>
        ) : null}
        {shown.show_name ? <bdi class="case-show">{shown.show_name}</bdi> : null}
        {shown.order ? (
          <span class="case-fact">
            Order <Copy text={shown.order} label="order reference" />
          </span>
        ) : (
          <span>No order yet</span>
        )}
        <span class={shown.identity === "verified" || shown.identity === "strong" ? "" : "case-unproven"}>{say("identity", shown.identity)}</span>
        <span>{language(shown.locale)}</span>
        {row?.unanswered_at ? (
          <span>
            waits <Since key={row.unanswered_at} at={row.unanswered_at} />
          </span>
        ) : (
          <span>
            since <Moment at={shown.created_at} />
          </span>
        )}
        <span class="case-fact">
          Case <Id id={shown.id} label="case" />
        </span>
      </p>
      <div class="case-acts" role="group" aria-label="This case">
        {mine ? (
          <>
            <Button shortcut="h" action={() => onMore("hold")}>
              Hold
            </Button>
            <Button shortcut="w" action={() => onMore("customer")}>
              Wait
            </Button>
            <Button shortcut="t" action={() => onMore("transfer")}>
              Transfer
            </Button>
            <Button shortcut="f" action={() => onMore("refer")}>
              Refer
            </Button>
            <Button shortcut="e" kind="primary" action={() => onMore("end")}>
              End
            </Button>
          </>
        ) : canTake ? (
          <Button id="take" kind="primary" shortcut="Enter" action={onTake}>
            {row && row.state !== "waiting" ? "Take it up again" : "Take"}
          </Button>
        ) : null}
      </div>
    </header>
  );
}

function State({ shown, row }: { shown: CaseShown; row: QueueRow | undefined }) {
  if (shown.ended_at) {
    const hue: Hue = shown.status === "denied" ? "stopped" : shown.status === "resolved" ? "settled" : "none";
    return (
      <Tag hue={hue}>
        {say("case_status", shown.status)} <Moment at={shown.ended_at} />
      </Tag>
    );
  }
  if (!row) return <Tag hue="waiting">{say("case_status", shown.status)}</Tag>;
  if (row.state === "taken")
    return (
      <Tag hue={row.mine ? "settled" : "waiting"} icon="people">
        {row.mine ? "You have it" : `${row.agent ?? "Somebody"} has it`}
      </Tag>
    );
  if (row.state === "waiting")
    return (
      <Tag hue="needs" icon="people">
        Waits in {say("skill", row.skill)}
      </Tag>
    );
  return (
    <Tag hue="waiting" icon={row.state === "referred" ? "external" : "pause"}>
      {say("row_state", row.state)}
      {row.agent ? `, ${row.mine ? "yours" : row.agent}` : ""}
    </Tag>
  );
}
