// What the customer has in front of them: the words that the service says to them, in their language; no notes, rules or names of the desk.
import { Icon } from "../components/icon";
import { Moment } from "../components/time";
import type { CaseShown, OperationShown } from "../contract";
import { language, lasting, money } from "../words";
import type { OrderMoney } from "./open-case";

interface Props {
  shown: CaseShown;
  /** what the service says of each movement of money, in the order's language */
  told: OrderMoney["operations"];
}

// Scripts that run from right to left, by the language they are written for.
const TO_THE_LEFT = /^(ar|arc|ckb|dv|fa|he|iw|ku|ps|sd|ug|ur|yi)\b/i;

export function CustomerView({ shown, told }: Props) {
  const messages = shown.messages.filter((one) => one.kind !== "note");
  return (
    <div class="customer tab-text">
      <p class="quiet small">This is what the customer reads; their language is {language(shown.locale)}. Notes and rules never leave the desk.</p>
      <div class="phone" dir={TO_THE_LEFT.test(shown.locale) ? "rtl" : "ltr"}>
        {shown.answers.map((one) => (
          <p key={one.because} class="phone-answer" dir="auto">
            {one.because}
            {one.would_change ? <span class="block quiet small">{one.would_change}</span> : null}
          </p>
        ))}
        {shown.operations.map((one) => (
          <p key={one.id} class="phone-move">
            <Icon name={one.status === "sent" || one.status === "done" ? "check" : "clock"} />
            <span dir="auto">{told.find((each) => each.id === one.id)?.told ?? moved(one)}</span>
          </p>
        ))}
        {shown.question ? (
          <div class="phone-answer">
            <p dir="auto">{shown.question.prompt}</p>
            <ul class="row wrap">
              {(shown.question.options ?? []).map((one) => (
                <li key={one.value} class="phone-option" dir="auto">
                  {one.text}
                </li>
              ))}
            </ul>
          </div>
        ) : null}
        {messages.map((one) => (
          <div key={one.id} class={one.kind === "customer" ? "phone-said own" : "phone-said"}>
            <p class="quiet small">
              {one.kind === "customer" ? null : (
                <>
                  <bdi>{one.author.replace(/^agent:/, "")}</bdi>,{" "}
                </>
              )}
              <Moment at={one.created_at} />
            </p>
            <p dir="auto">{one.body}</p>
          </div>
        ))}
      </div>
      <Besides shown={shown} />
    </div>
  );
}

/** What else their screen says, in words of its own. */
function Besides({ shown }: { shown: CaseShown }) {
  const quote = shown.wait_quote;
  const withPeople = shown.status === "with_people";
  if (!withPeople && !shown.can_ask_a_person) return null;
  return (
    <p class="quiet small">
      {withPeople ? `It also says that our team has this, knows what they told us, and looks${quote ? ` ${within(quote.low_seconds, quote.high_seconds)}` : " soon"}. ` : ""}
      {shown.can_ask_a_person ? "They can ask for a person from there." : ""}
    </p>
  );
}

function within(low: number, high: number): string {
  return low < 60 ? `within ${lasting(high)}` : `within ${lasting(low)} to ${lasting(high)}`;
}

/** For what the service has no sentence of: its state, to the desk. */
function moved(one: OperationShown): string {
  const sum = one.amount == null ? "" : money(one.amount, one.currency);
  const to = one.to ? ` to your ${one.to}` : "";
  if (one.action === "refund") {
    if (one.status === "sent") return `${sum} sent back${to}.${one.chosen ? "" : " Banks take 5 to 10 days to show it."}`;
    if (one.status === "held") return `${sum} is being looked at before it is sent.`;
    if (one.status === "choose") return `${sum}: where should it go?`;
    if (one.status === "could_not") return `${sum} could not be sent back; our team looks at it.`;
    return `${sum} is on its way${to}.`;
  }
  const names: Readonly<Record<string, string>> = { reissue_access: "A new stream link", resend_pass: "The ticket, once more", replace_pass: "A new ticket", void_pass: "The old ticket is stopped", goodwill_credit: `${sum} credit` };
  return `${names[one.action] ?? "Something"}${one.status === "done" ? "" : one.status === "held" ? ", being looked at" : ", under way"}`;
}
