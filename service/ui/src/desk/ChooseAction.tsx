// Something that was not suggested: what, for which item or charge, why money is owed, how much.
import { useSignal } from "@preact/signals";
import { Field, Notice } from "../components/bits";
import { Button } from "../components/button";
import type { NewAction } from "../contract";
import { listed, minorUnits, money as sum } from "../words";
import type { OrderMoney } from "./open-case";

interface Props {
  order: Record<string, unknown> | null;
  money: OrderMoney | undefined;
  onChosen: (action: NewAction) => void;
}

// A second charge, and a charge without a ticket, belong to a payment; everything else to what was bought.
const OF_PAYMENT = new Set<string>(["duplicate_charge", "no_pass"]);

export function ChooseAction({ order, money, onChosen }: Props) {
  const cause = useSignal("goodwill");
  const of = useSignal("");
  const typed = useSignal("");
  const incident = useSignal("");
  if (!order || !money) return <Notice hue="waiting">The case has no order yet. When the customer has proven whose order it is, money and tickets can be acted on.</Notice>;
  const byPayment = OF_PAYMENT.has(cause.value);
  const things = byPayment
    ? money.payments.map((one) => ({ ref: one.ref, name: `${one.method || one.ref}, ${sum(one.captured, money.currency)}` }))
    : money.lines.map((one) => ({ ref: one.ref, name: `${one.name}, ${sum(one.price, money.currency)}` }));
  const chosen = things.some((one) => one.ref === of.value) ? of.value : (things[0]?.ref ?? "");
  const amount = typed.value.trim() === "" ? null : minorUnits(typed.value, money.currency);
  const wrong = typed.value.trim() !== "" && (amount === null || amount === 0);
  const go = (): void => {
    const action: NewAction = { action: "refund", cause: cause.value, [byPayment ? "payment" : "position"]: chosen };
    if (amount !== null) action.amount = amount;
    if (cause.value === "incident") action.incident = incident.value.trim();
    onChosen(action);
  };
  const lacking = chosen === "" || wrong || (cause.value === "incident" && incident.value.trim() === "");
  return (
    <form class="stack" onSubmit={(event) => event.preventDefault()}>
      <p class="quiet">Send money back. For tickets and links, use the Tickets tab.</p>
      <Field label="Why it is owed">
        {(ids) => (
          <select {...ids} class="input" value={cause.value} onChange={(event) => (cause.value = event.currentTarget.value)}>
            {listed("cause").map(([value, name]) => (
              <option key={value} value={value}>
                {name}
              </option>
            ))}
          </select>
        )}
      </Field>
      {cause.value === "incident" ? (
        <Field label="Incident" hint="Its reference, as on the timeline or the show.">
          {(ids) => <input {...ids} class="input" value={incident.value} onInput={(event) => (incident.value = event.currentTarget.value)} />}
        </Field>
      ) : null}
      <Field label={byPayment ? "Which charge" : "For what"}>
        {(ids) => (
          <select {...ids} class="input" value={chosen} onChange={(event) => (of.value = event.currentTarget.value)}>
            {things.map((one) => (
              <option key={one.ref} value={one.ref}>
                {one.name}
              </option>
            ))}
          </select>
        )}
      </Field>
      <Field label={`Amount in ${money.currency}`} hint="Empty: all that is left of it." error={wrong ? "Type an amount, like 12.50." : ""}>
        {(ids) => <input {...ids} class="input" inputMode="decimal" autoComplete="off" value={typed.value} onInput={(event) => (typed.value = event.currentTarget.value)} />}
      </Field>
      <div>
        <Button type="submit" kind="primary" action={go} disabled={lacking} why="Fill in what is missing first">
          See what it would do
        </Button>
      </div>
    </form>
  );
}
