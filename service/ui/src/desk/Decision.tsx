// What was decided, in words first: because, the rule behind it, what would change it, and the facts it stands on.
import { Tag, type Hue } from "../components/bits";
import { Icon } from "../components/icon";
import { Moment } from "../components/time";
import type { AnswerShown, Bundle, CaseShown } from "../contract";
import { money, say, spoken } from "../words";
import { spokenRule, HOLDS } from "./timeline-words";

const HUES: Readonly<Record<string, Hue>> = { approve: "settled", escalate: "needs", ask: "waiting", wait: "waiting", deny: "stopped" };

export function Decision({ shown, bundle }: { shown: CaseShown; bundle: Bundle | undefined }) {
  // The rules' latest word; what agents did since stands on the timeline.
  const latest = bundle?.decisions.find((one) => Array.isArray(one["verdicts"]) && one["verdicts"].length > 0);
  const verdicts = (latest?.["verdicts"] ?? []) as Verdict[];
  const guards = shown.desk?.guards ?? [];
  return (
    <section class="card case-card" aria-labelledby="decision-title">
      <header>
        <h2 id="decision-title">Decision</h2>
        {typeof latest?.["at"] === "string" ? (
          <span class="quiet small push">
            <Moment at={latest["at"]} />
          </span>
        ) : null}
      </header>
      {shown.answers.length === 0 ? (
        <p>{shown.order === null ? "No rule has decided: the order is not known, or not proven to be theirs." : "No rule has decided yet."}</p>
      ) : (
        shown.answers.map((one) => <Answer key={one.rule ?? one.because} answer={one} ended={shown.ended_at !== null} />)
      )}
      {guards.length > 0 ? (
        <p class="decision-guard">
          <Icon name="people" />
          <span>Held back: {guards.map((one) => HOLDS[one] ?? spoken(one).toLowerCase()).join("; ")}.</span>
        </p>
      ) : null}
      {verdicts.length > 0 ? (
        <details class="more">
          <summary>Facts it stands on</summary>
          {verdicts.map((one, n) => (
            <Facts key={n} verdict={one} currency={currencyOf(bundle)} />
          ))}
        </details>
      ) : null}
    </section>
  );
}

interface Verdict {
  facts?: Record<string, unknown>;
  subject?: { kind?: string };
  verdict?: { rule?: string; pack?: string; unknown?: string[] };
}

// What was needed once is not needed any more when the case has ended.
const WAS: Readonly<Record<string, string>> = { escalate: "Went to a person", ask: "Asked the customer", wait: "Waited" };

function Answer({ answer, ended }: { answer: AnswerShown; ended: boolean }) {
  const past = ended ? WAS[answer.outcome] : undefined;
  return (
    <div class="decision">
      <p class="decision-because">
        <Tag hue={past ? "none" : (HUES[answer.outcome] ?? "none")}>{past ?? say("outcome", answer.outcome)}</Tag>
        <span dir="auto">{answer.because}</span>
      </p>
      {answer.would_change ? (
        <p class="small">
          <span class="strong">What would change it:</span> <bdi>{answer.would_change}</bdi>
        </p>
      ) : null}
      {answer.rule ? (
        <p class="quiet small">
          Rule: <a href={`/desk/policies/${encodeURIComponent(answer.rule.split("/")[0] ?? "")}`}>{spokenRule(answer.rule)}</a>
        </p>
      ) : null}
    </div>
  );
}

// Sums of money among the facts: they are minor units of the order's currency.
const SUMS = /(price|paid|left|refunded|total|captured|amount|awarded|given|elsewhere|under_way|reserved)$/;

function inWords(name: string, value: unknown, currency: string | null): string {
  if (value === null || value === undefined) return "not known";
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (typeof value === "number" && SUMS.test(name)) return money(value, currency);
  if (typeof value === "number" && name.includes("share")) return `${Math.round(value * 100)} %`;
  if (Array.isArray(value)) return value.length === 0 ? "none" : value.map((one) => inWords("", one, currency)).join(", ");
  return typeof value === "string" && /^[a-z_]+$/.test(value) ? spoken(value).toLowerCase() : String(value);
}

function Facts({ verdict, currency }: { verdict: Verdict; currency: string | null }) {
  const facts = Object.entries(verdict.facts ?? {}).sort(([one], [other]) => (one < other ? -1 : 1));
  const unknown = verdict.verdict?.unknown ?? [];
  return (
    <dl class="facts">
      {unknown.map((name) => (
        <div key={name} class="missing">
          <dt>{spoken(name)}</dt>
          <dd>not known</dd>
        </div>
      ))}
      {facts.map(([name, value]) => (
        <div key={name}>
          <dt>{spoken(name)}</dt>
          <dd>{inWords(name, value, currency)}</dd>
        </div>
      ))}
    </dl>
  );
}

function currencyOf(bundle: Bundle | undefined): string | null {
  const found = bundle?.order?.["currency"];
  return typeof found === "string" ? found : null;
}
