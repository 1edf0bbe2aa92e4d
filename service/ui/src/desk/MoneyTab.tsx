// The money of the order: what was paid, what goes back for what, and how far each movement is.
import { Copy, Empty, Skeleton, Tag, type Hue } from "../components/bits";
import { Table } from "../components/table";
import { Moment } from "../components/time";
import { money as sum, say, spoken } from "../words";
import type { OrderMoney } from "./open-case";

type Paid = OrderMoney["payments"][number];
const STATES: Readonly<Record<string, [string, Hue]>> = {
  with_people: ["Waits for a person", "needs"],
  choice_needed: ["Customer chooses where to", "waiting"],
  working: ["On its way out", "waiting"],
  sent: ["Sent", "settled"],
  arrived: ["Arrived", "settled"],
  could_not: ["Could not be paid", "stopped"],
  credited: ["Credited", "settled"],
  released: ["Released", "none"],
};
const DISPUTES: Readonly<Record<string, [string, Hue]>> = { open: ["Dispute open", "stopped"], won: ["Dispute won", "settled"], lost: ["Dispute lost", "stopped"] };

export function MoneyTab({ money, hasOrder }: { money: OrderMoney | undefined; hasOrder: boolean }) {
  if (!hasOrder) return <Empty title="No order yet">When the customer has proven whose order it is, its money is here.</Empty>;
  if (!money) return <Skeleton lines={6} />;
  const as = (minor: number): string => sum(minor, money.currency);
  return (
    <div class="stack-l tab-text">
      <Table
        caption="Charges"
        rows={money.payments}
        keyOf={(one) => one.ref}
        empty={<Empty title="Nothing was charged">A free order, or one that is still to be paid.</Empty>}
        columns={[
          {
            title: "Charge",
            cell: (one) => (
              <>
                <span class="strong">{one.method || one.ref}</span>
                <br />
                <span class="quiet small">
                  {one.paid_at ? <Moment at={one.paid_at} /> : spoken(one.status)}
                  {one.desk?.provider_ref ? (
                    <>
                      {" "}
                      <Copy text={one.desk.provider_ref} label="reference at the processor" />
                    </>
                  ) : null}
                </span>
                {DISPUTES[one.dispute] ? <Tag hue={DISPUTES[one.dispute]?.[1] ?? "none"}>{DISPUTES[one.dispute]?.[0]}</Tag> : null}
              </>
            ),
          },
          { title: "Paid", number: true, cell: (one) => as(one.captured) },
          { title: "To be sent", number: true, cell: (one) => blank(one.promised, as) },
          { title: "Sent", number: true, cell: (one) => blank(one.on_its_way + one.refunded, as) },
          // Rare, and the column that long amounts have no room for.
          ...(money.payments.some((one) => one.refunded_elsewhere > 0) ? [{ title: "Elsewhere", number: true, cell: (one: Paid) => blank(one.refunded_elsewhere, as) }] : []),
        ]}
      />
      <Table
        caption="What was bought"
        rows={money.lines}
        keyOf={(one) => one.ref}
        columns={[
          {
            title: "Item",
            cell: (one) => (
              <>
                <bdi>{one.name}</bdi>
                {one.canceled ? <span class="quiet"> (cancelled)</span> : null}
                {one.awards.map((award) => (
                  <span key={award.cause} class="quiet small block">
                    {award.told}
                  </span>
                ))}
              </>
            ),
          },
          { title: "Price", number: true, cell: (one) => as(one.price) },
          { title: "Goes back", number: true, cell: (one) => blank(one.awarded, as) },
        ]}
      />
      <section>
        <h3>Movements</h3>
        {money.operations.length === 0 ? (
          <p class="quiet">No money has moved back yet.</p>
        ) : (
          <ul class="moves">
            {money.operations.map((one) => {
              const [words, hue] = STATES[one.state] ?? [spoken(one.state), "none" as const];
              return (
                <li key={one.id}>
                  <div class="row wrap">
                    <Tag hue={hue}>{words}</Tag>
                    <span class="strong">{as(one.amount)}</span>
                    <span class="quiet">{say("action", one.action)}</span>
                    <span class="quiet small push">
                      <Moment at={one.created_at} />
                    </span>
                  </div>
                  <p class="quiet small">{one.told}</p>
                  {one.attempts.map((attempt) => (
                    <p key={attempt.key ?? attempt.rail} class="quiet small">
                      {spoken(attempt.rail)}: {STATES[attempt.state]?.[0].toLowerCase() ?? spoken(attempt.state)}
                      {attempt.failure ? `, ${spoken(attempt.failure).toLowerCase()}` : ""}
                      {attempt.provider_ref ? (
                        <>
                          {" "}
                          <Copy text={attempt.provider_ref} label="reference of the refund" />
                        </>
                      ) : null}
                    </p>
                  ))}
                </li>
              );
            })}
          </ul>
        )}
      </section>
      {money.balanced === false ? <Tag hue="stopped">The books do not agree with what came in: a lead has to look</Tag> : null}
    </div>
  );
}

function blank(minor: number, as: (minor: number) => string): string {
  return minor === 0 ? "–" : as(minor);
}
