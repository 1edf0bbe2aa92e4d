// An entry of the timeline as one sentence, with what kind of thing it is.
import type { CaseShown, EntryShown } from "../contract";
import type { IconName } from "../components/icon";
import type { Hue } from "../components/bits";
import { actor, lasting, money, say, spoken } from "../words";

export interface Told {
  icon: IconName;
  hue: Hue;
  title: string;
  /** what was said or why, below the title */
  detail?: string;
}

type Data = Readonly<Record<string, unknown>>;

function text(data: Data, name: string): string {
  const value = data[name];
  return typeof value === "string" ? value : typeof value === "number" ? String(value) : "";
}

function amount(data: Data, currency: string): string {
  const value = data["amount"];
  return typeof value === "number" ? money(value, text(data, "currency") || currency) : "";
}

function list(data: Data, name: string): string[] {
  const value = data[name];
  return Array.isArray(value) ? value.filter((one): one is string => typeof one === "string") : [];
}

const REASON = ["reason", "why", "words", "failure"] as const;
function reason(data: Data): string | undefined {
  for (const name of REASON) {
    const found = text(data, name);
    if (found !== "") return /^[a-z_]+$/.test(found) ? spoken(found) : found;
  }
  return undefined;
}

type Teller = (data: Data, about: { who: string; currency: string; shown: CaseShown | undefined; entry: EntryShown }) => Omit<Told, "detail"> & { detail?: string | undefined };

const plain = (icon: IconName, hue: Hue, title: string): Teller => (data) => ({ icon, hue, title, detail: reason(data) });

const TELLERS: Readonly<Record<string, Teller>> = {
  order_received: (data, { currency }) => ({ icon: "ticket", hue: "none", title: `Order received${typeof data["total"] === "number" ? `, ${money(data["total"], currency)}` : ""}` }),
  order_changed: plain("ticket", "none", "Order changed"),
  order_updated: plain("ticket", "none", "Order changed"),
  order_cancelled: plain("ticket", "stopped", "Order cancelled"),
  payment_captured: (data, { currency }) => ({ icon: "money", hue: "none", title: `Payment of ${amount(data, currency)} taken`, detail: text(data, "ref") && `Charge ${text(data, "ref")}` }),
  payment_pending: (data, { currency }) => ({ icon: "money", hue: "waiting", title: `Payment of ${amount(data, currency)} pending` }),
  payment_failed: (data, { currency }) => ({ icon: "money", hue: "stopped", title: `Payment of ${amount(data, currency)} failed` }),
  dispute_opened: plain("alert", "stopped", "Dispute opened at the bank"),
  dispute_closed: plain("check", "none", "Dispute closed"),
  refund_seen_elsewhere: (data, { currency }) => ({ icon: "money", hue: "needs", title: `A refund of ${amount(data, currency)} was made elsewhere`, detail: text(data, "ref") && `Reference ${text(data, "ref")}` }),
  contact_received: (data, { shown }) => ({ icon: "customer", hue: "waiting", title: `Customer: ${say("problem", text(data, "problem")).toLowerCase()}`, detail: bodyOf(data, shown) }),
  contact_joined: (data, { shown }) => ({ icon: "customer", hue: "waiting", title: "Customer asked again", detail: bodyOf(data, shown) }),
  joined: plain("customer", "none", "Joined with another contact of this order"),
  said_more: (data, { shown }) => ({ icon: "customer", hue: "waiting", title: "Customer wrote", detail: bodyOf(data, shown) }),
  answered: (data, { shown }) => ({ icon: "customer", hue: "waiting", title: "Customer answered", detail: bodyOf(data, shown) }),
  asked_for_a_person: (data, { shown }) => ({ icon: "customer", hue: "waiting", title: "Customer asked for a person", detail: bodyOf(data, shown) }),
  identified: plain("customer", "settled", "Customer proved who they are"),
  decided: (data) => ({
    icon: "rule",
    hue: text(data, "outcome") === "approve" ? "settled" : text(data, "outcome") === "deny" ? "stopped" : "needs",
    title: `Rules: ${say("outcome", text(data, "outcome")).toLowerCase()}`,
    detail: list(data, "rules").map(spokenRule).join(", "),
  }),
  already_done: plain("check", "settled", "Nothing to do: it was done already"),
  operation_held: (data, { currency }) => ({
    icon: "pause",
    hue: "needs",
    title: `${say("action", text(data, "action"))}${amount(data, currency) && ` of ${amount(data, currency)}`} waits for a yes`,
    detail: list(data, "holds").map((one) => HOLDS[one] ?? spoken(one)).join(", "),
  }),
  operation_approved: (data, { who, currency }) => ({ icon: "check", hue: "settled", title: `${who} agreed${amount(data, currency) && ` to ${amount(data, currency)}`}`, detail: reason(data) }),
  operation_refused: (data, { who, currency }) => ({ icon: "stop", hue: "stopped", title: `${who} said no${amount(data, currency) && ` to ${amount(data, currency)}`}`, detail: reason(data) }),
  operation_judged: (data, { who }) => ({ icon: "check", hue: "none", title: `${who} settled what was unsure`, detail: reason(data) }),
  operation_settled: (data, { who, currency }) => ({ icon: "money", hue: "settled", title: `${who} recorded a transfer${amount(data, currency) && ` of ${amount(data, currency)}`}`, detail: text(data, "reference") }),
  acted: (data, { who, currency }) => ({ icon: "people", hue: "none", title: `${who}: ${say("action", text(data, "action")).toLowerCase()}${amount(data, currency) && `, ${amount(data, currency)}`}`, detail: reason(data) }),
  taken: (_, { who }) => ({ icon: "people", hue: "none", title: `${who} took the case` }),
  claim_ended: plain("people", "needs", "The claim ran out; back to the queue"),
  given_back: (data, { who }) => ({ icon: "people", hue: "none", title: `${who} gave the case back${text(data, "skill") && ` to ${say("skill", text(data, "skill"))}`}`, detail: reason(data) }),
  transferred: (data, { who }) => ({ icon: "people", hue: "none", title: `${who} passed the case on`, detail: reason(data) }),
  parked: (data, { who }) => ({ icon: "pause", hue: "waiting", title: text(data, "for") === "customer" || text(data, "wait_for") === "customer" ? `${who} waits for the customer` : `${who} put the case on hold`, detail: reason(data) }),
  unparked: (_, { who }) => ({ icon: "people", hue: "none", title: `${who} took the case up again` }),
  came_back: (data) => ({ icon: "people", hue: "needs", title: "The case came back", detail: CAME_BACK[text(data, "why")] ?? reason(data) }),
  woken: plain("clock", "needs", "The time it waited for has come"),
  queued: (data) => ({ icon: "people", hue: "needs", title: `To the queue${text(data, "skill") && `: ${say("skill", text(data, "skill"))}`}`, detail: reason(data) }),
  escalated: (data) => ({ icon: "people", hue: "needs", title: `Passed up${text(data, "skill") && ` to ${say("skill", text(data, "skill"))}`}`, detail: reason(data) }),
  sla_warned: (data) => ({ icon: "clock", hue: "needs", title: `Soon late: ${say("clock", text(data, "kind") || text(data, "clock")).toLowerCase()}` }),
  sla_breached: (data) => ({ icon: "alert", hue: "stopped", title: `Late: ${say("clock", text(data, "kind") || text(data, "clock")).toLowerCase()}` }),
  replied: (data, { who, shown }) => ({ icon: "reply", hue: "none", title: `${who} wrote to the customer`, detail: bodyOf(data, shown) }),
  noted: (data, { who, shown }) => ({ icon: "note", hue: "needs", title: `${who} left a note`, detail: bodyOf(data, shown) }),
  customer_told: (data) => ({ icon: "reply", hue: "none", title: `Customer was told${LETTERS[text(data, "letter")] ? `: ${LETTERS[text(data, "letter")]}` : ""}` }),
  resolved_by_person: (data, { who }) => ({ icon: "check", hue: "settled", title: `${who} solved the case`, detail: reason(data) }),
  denied_by_person: (data, { who }) => ({ icon: "stop", hue: "stopped", title: `${who} closed the case with a no`, detail: reason(data) }),
  resolved: (data, { who }) => ({ icon: "check", hue: "settled", title: `${who} solved the case`, detail: reason(data) }),
  denied: (data, { who }) => ({ icon: "stop", hue: "stopped", title: `${who} closed the case with a no`, detail: reason(data) }),
  ended: (data, { who }) => ({ icon: text(data, "outcome") === "denied" ? "stop" : "check", hue: text(data, "outcome") === "denied" ? "stopped" : "settled", title: `${who} ${text(data, "outcome") === "denied" ? "closed the case with a no" : "solved the case"}`, detail: reason(data) }),
  referral_opened: (data, { who }) => ({ icon: "external", hue: "waiting", title: `${who} asked ${say("team", text(data, "team")) || "another team"}`, detail: text(data, "question") || reason(data) }),
  referral_answered: (data) => ({ icon: "external", hue: "settled", title: `${say("team", text(data, "team")) || "The team"} answered: ${say("referral", text(data, "answer") || text(data, "state")).toLowerCase()}`, detail: reason(data) }),
  referral_withdrawn: (data, { who }) => ({ icon: "external", hue: "none", title: `${who} took the question back`, detail: reason(data) }),
  referral_overdue: plain("external", "needs", "The other team did not answer in time"),
  rail_stopped: (data) => ({ icon: "stop", hue: "stopped", title: `Rail ${text(data, "rail")} stopped`, detail: reason(data) }),
  satisfaction: (data) => ({ icon: "customer", hue: "none", title: `Customer gave ${text(data, "score")} of 5` }),
};

const LETTERS: Readonly<Record<string, string>> = { case_reply: "the reply, by e-mail", case_resolved: "how it ended", case_denied: "why not", refund_sent: "the refund is on its way" };

/** Why a case is with people again. */
const CAME_BACK: Readonly<Record<string, string>> = {
  customer_wrote: "the customer wrote",
  referral_answered: "the other team answered",
  referral_withdrawn: "the question was taken back",
  referral_overdue: "the other team did not answer in time",
  time_came: "its time has come",
};

/** What holds something back, in words. */
export const HOLDS: Readonly<Record<string, string>> = {
  mode: "a person has to agree",
  amount: "more than goes out without a person",
  second_person: "a second person has to agree",
  machine: "a program asked for it",
  outside: "people send it: no rail took this payment",
  recovered: "a restored backup forgot a refund of this order",
  referral: "another team judges it first",
  dispute: "a dispute is open",
  purchase_told: "who asks told of the purchase, and has proven nothing",
  cap_customer_day: "the customer's most for a day is reached",
  cap_rail_day: "the rail's most for a day is reached",
  cap_show_hour: "the show's most for an hour is reached",
};

/** `charges/dispute-open` as "Dispute open (charges)" */
export function spokenRule(rule: string): string {
  const [pack, name] = rule.split("/");
  return name === undefined ? spoken(rule) : `${spoken(name)} (${spoken(pack ?? "").toLowerCase()})`;
}

function bodyOf(data: Data, shown: CaseShown | undefined): string | undefined {
  const id = text(data, "message") || text(data, "id");
  const found = shown?.messages.find((one) => one.id.replace(/^msg_/, "") === id.replace(/-/g, "").replace(/^msg_/, ""));
  return found?.body ?? (text(data, "words") || undefined);
}

const STEPS: Readonly<Record<string, [string, Hue, IconName]>> = {
  ready: ["may go out", "none", "check"],
  held: ["waits for a yes", "needs", "pause"],
  released: ["may go", "none", "check"],
  started: ["on its way out", "waiting", "money"],
  sent: ["sent", "settled", "check"],
  accepted: ["sent", "settled", "check"],
  done: ["done", "settled", "check"],
  succeeded: ["arrived", "settled", "check"],
  refused: ["refused", "stopped", "stop"],
  failed: ["failed", "stopped", "stop"],
  rejected: ["not taken by the bank", "stopped", "stop"],
  unsure: ["nobody is sure yet", "needs", "alert"],
  unknown: ["nobody is sure yet", "needs", "alert"],
  recovered: ["found again after a restore", "needs", "alert"],
  choice_offered: ["customer chooses where to", "waiting", "customer"],
  choice_made: ["customer chose where to", "none", "customer"],
};

/** Any entry, in words. */
export function tell(entry: EntryShown, shown: CaseShown | undefined, currency: string): Told {
  const about = { who: actor(entry.actor), currency, shown, entry };
  const teller = TELLERS[entry.kind];
  const told = teller ? teller(entry.data, about) : stepOrSpoken(entry, currency);
  const { detail, ...rest } = told;
  return detail === undefined || detail === "" ? rest : { ...rest, detail };
}

/** `refund_sent` and its like: an action and how far it is. */
function stepOrSpoken(entry: EntryShown, currency: string): ReturnType<Teller> {
  const found = /^(refund|reissue_access|resend_pass|replace_pass|void_pass|goodwill_credit|operation)_(.+)$/.exec(entry.kind);
  const step = found ? STEPS[found[2] ?? ""] : undefined;
  if (!found || !step) return { icon: "dot", hue: "none", title: spoken(entry.kind), detail: reason(entry.data) };
  const action = found[1] === "operation" ? text(entry.data, "action") || "refund" : (found[1] ?? "");
  const sum = amount(entry.data, currency);
  // Money is sent when its processor took it; that it has arrived is said with proof only.
  const [words, hue, icon] = action === "refund" && step[0] === "done" ? (["sent", "settled", "check"] as const) : step;
  const seconds = entry.data["retry_after"];
  return {
    icon,
    hue,
    title: `${say("action", action)}${sum && ` of ${sum}`} ${words}`,
    detail: typeof seconds === "number" ? `Tried again in ${lasting(seconds)}` : reason(entry.data),
  };
}

export const SOURCES: Readonly<Record<string, string>> = { policy: "rules", operation: "money", makegood: "Makegood", agent: "desk", queue: "queue", widget: "widget", api: "platform" };
export function source(entry: EntryShown): string {
  return SOURCES[entry.source] ?? actor(entry.source);
}
