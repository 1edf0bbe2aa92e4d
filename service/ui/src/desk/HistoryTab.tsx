// What came before on this order: earlier cases, and every decision of this one.
import { Empty, Skeleton, Tag } from "../components/bits";
import { Moment } from "../components/time";
import type { Bundle } from "../contract";
import { say, spoken } from "../words";
import { spokenRule } from "./timeline-words";

export function HistoryTab({ bundle }: { bundle: Bundle | undefined }) {
  if (!bundle) return <Skeleton lines={4} />;
  return (
    <div class="stack-l tab-text">
      <section class="stack">
        <h3>Other cases of this order</h3>
        {bundle.history.length === 0 ? (
          <Empty title="This is the first">Earlier and later problems with the same order are listed here.</Empty>
        ) : (
          <ul class="moves">
            {bundle.history.map((one) => (
              <li key={String(one["case"])}>
                <a href={`/desk/cases/${wire(String(one["case"]))}`}>{say("problem", String(one["problem"]))}</a>
                <span class="quiet">
                  {" "}
                  {spoken(String(one["state"])).toLowerCase()}, {typeof one["at"] === "string" ? <Moment at={one["at"]} /> : null}
                </span>
              </li>
            ))}
          </ul>
        )}
      </section>
      <section class="stack">
        <h3>Decisions of this case</h3>
        {bundle.decisions.length === 0 ? <p class="quiet">None yet.</p> : null}
        <ul class="moves">
          {bundle.decisions.map((one) => {
            const verdicts = Array.isArray(one["verdicts"]) ? (one["verdicts"] as { verdict?: { pack?: string; rule?: string } }[]) : [];
            const rules = new Set(verdicts.map((each) => spokenRule(`${each.verdict?.pack ?? ""}/${each.verdict?.rule ?? ""}`)));
            return (
              <li key={String(one["id"])} class="row wrap">
                <Tag hue="none" icon="rule">
                  {say("outcome", String(one["outcome"]))}
                </Tag>
                <span>{[...rules].join(", ")}</span>
                <span class="quiet small push">{typeof one["at"] === "string" ? <Moment at={one["at"]} /> : null}</span>
              </li>
            );
          })}
        </ul>
      </section>
    </div>
  );
}

/** An id of the database as the wire writes it. */
function wire(id: string): string {
  return id.startsWith("case_") ? id : `case_${id.replace(/-/g, "")}`;
}
