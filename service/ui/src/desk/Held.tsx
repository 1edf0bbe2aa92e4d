// What waits for a yes on this case; looking at it opens what the first person saw and what is so now.
import { Tag } from "../components/bits";
import { Button } from "../components/button";
import type { OperationShown } from "../contract";
import { money, say } from "../words";

export function HeldPanel({ operations, onLook }: { operations: readonly OperationShown[]; onLook: (operation: string) => void }) {
  return (
    <section class="card case-card" aria-labelledby="held-title">
      <header>
        <h2 id="held-title">Waits for a yes</h2>
      </header>
      <ul class="stack">
        {operations.map((one) => (
          <li key={one.id} class="row wrap">
            <Tag hue="needs" icon="people">
              {one.approvals ?? 0} of {Math.max(one.approvals_needed ?? 1, 1)} agreed
            </Tag>
            <span class="strong">
              {say("action", one.action)}
              {one.amount == null ? "" : ` of ${money(one.amount, one.currency)}`}
            </span>
            {one.to ? <span class="quiet">to {one.to}</span> : null}
            <span class="push">
              <Button action={() => onLook(one.id)}>Look and decide</Button>
            </span>
          </li>
        ))}
      </ul>
    </section>
  );
}
