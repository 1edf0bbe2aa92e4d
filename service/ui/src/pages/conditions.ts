// A rule's condition in words: `!order.known && order.paid <= 0` reads "we do not have the order, and what was paid: nothing".
// What this does not understand is shown as it was written, so that nothing is ever said wrongly.
import { say } from "../words";

/** A fact that is true or false: how it reads when it is, and when it is not. */
const YES_NO: Record<string, [string, string]> = {
  "order.known": ["we have the order", "we do not have the order"],
  "order.dispute_open": ["a bank disputes a payment of the order", "no bank disputes a payment"],
  "incident.applies": ["a reported outage touched this show", "no reported outage touched this show"],
  "incident.ended": ["the outage is over", "the outage goes on"],
  "position.canceled": ["this part of the order is cancelled", "this part of the order is not cancelled"],
  "position.checked_in": ["the ticket was used at the door", "the ticket was not used at the door"],
  "pass.checked_in": ["the ticket was used at the door", "the ticket was not used at the door"],
  "pass.refunded": ["the ticket was refunded", "the ticket was not refunded"],
  "pass.has_address": ["there is an address to write to", "there is no address to write to"],
  "payment.duplicate": ["the payment is a second charge", "the payment is no second charge"],
  "payment.after_cancelling": ["the payment came after the order was cancelled", "the payment did not come after a cancellation"],
  "show.new_date_known": ["the new date is known", "the new date is not known"],
  "case.returned": ["it had ended and came back", "it did not come back"],
  "show.rollback": ["the show gives failed sales back by itself", "the show does not give failed sales back by itself"],
};

/** Everything else: what the fact is called in a sentence. */
const NAMES: Record<string, string> = {
  problem: "the problem",
  skill: "its skill",
  channel: "the channel",
  language: "the language",
  identity: "the customer",
  "case.waited_minutes": "minutes the case has waited",
  "doors.minutes": "minutes until the doors open",
  "order.status": "the order",
  "order.paid": "what was paid",
  "order.total": "the order's total",
  "order.refunded": "what was sent back",
  "order.overpaid": "what was paid too much",
  "order.duplicates": "second charges",
  "order.confirmed_payments": "confirmed payments",
  "order.valid_passes": "valid tickets",
  "order.goods": "the ordered goods",
  "order.resends_24h": "tickets sent again in 24 hours",
  "order.minutes_since_purchase": "minutes since the purchase",
  "requester.role": "who asks",
  "requester.refunds_90d": "refunds in 90 days",
  "show.status": "the show",
  "show.phase": "the show",
  "show.minutes": "the show's minutes",
  "show.minutes_to_start": "minutes to the start",
  "show.minutes_since_end": "minutes since the end",
  "incident.minutes": "minutes of outage",
  "incident.share_missed": "the share that was missed",
  "pass.kind": "the ticket's kind",
  "pass.status": "the ticket",
  "pass.reissues_24h": "new links in 24 hours",
  "pass.resends_24h": "sent again in 24 hours",
  "pass.replacements": "replacements so far",
  "position.kind": "what was bought",
  "position.price": "its price",
  "position.left": "what is left of it to send back",
  "position.shows": "shows that it is for",
  "payment.status": "the payment",
  "payment.dispute": "the bank's dispute",
  "payment.left": "what is left of the payment",
  "payment.amount": "the payment's amount",
  "payment.minutes_since": "minutes since the payment",
  "answer.postponed": "the customer's answer about the new date",
  "answer.works_now": "the customer's answer whether it works now",
};

/** Words of the packs that do not read well as they are. */
const VALUES: Record<string, string> = {
  scheduled: "going ahead",
  before: "yet to start",
  live: "on now",
  stream: "a stream ticket",
  venue: "a ticket for the venue",
  merchandise: "merchandise",
  fee: "a fee",
  other: "something else",
  none: "none",
  holder: "the ticket's holder",
  buyer: "the buyer",
  refund: "money back",
};

/** A fact that is a number: how it reads with an amount, with none, and with some. `{}` is the amount: "less than 60", "at least 3". */
const MEASURES: Record<string, [amount: string, none?: string, some?: string]> = {
  "article.key": ["a help article fits", "no help article fits", "a help article fits"],
  "case.waited_minutes": ["the case has waited {} minutes"],
  "case.contacts": ["they have been in touch {} times"],
  "case.suggestions": ["{} things are suggested", "nothing is suggested", "something is suggested"],
  "customer.of_limit": ["the customer's orders are worth {} times what may be sent without a person"],
  "customer.value": ["the customer's orders are worth {}"],
  "doors.minutes": ["the doors open in {} minutes", "the doors are open", "the doors are not open yet"],
  "incident.minutes": ["the outage lasted {} minutes", "the outage lasted less than a minute"],
  "incident.share_missed": ["the share of the show that was missed is {}"],
  "money.at_stake": ["{} waits for a person's yes", "no money waits for a person's yes", "money waits for a person's yes"],
  "money.of_limit": ["what waits for a yes is {} times what may be sent without a person"],
  "order.confirmed_payments": ["{} payments are confirmed", "no payment is confirmed"],
  "order.duplicates": ["the order has {} second charges", "the order has no second charge", "the order has a second charge"],
  "order.goods": ["goods were ordered", "no goods were ordered", "goods were ordered"],
  "order.minutes_since_purchase": ["it was bought {} minutes ago"],
  "order.overpaid": ["{} was paid too much", "nothing was paid too much", "something was paid too much"],
  "order.paid": ["{} was paid", "nothing was paid", "something was paid"],
  "order.refunded": ["{} was sent back", "nothing was sent back", "something was sent back"],
  "order.resends_24h": ["the tickets were sent again {} times in 24 hours"],
  "order.valid_passes": ["the order has {} valid tickets", "the order has no valid ticket", "the order has a valid ticket"],
  "order.value": ["the order is worth {}"],
  "pass.reissues_24h": ["the ticket had {} new links in 24 hours"],
  "pass.replacements": ["the ticket was replaced {} times"],
  "pass.resends_24h": ["the ticket was sent again {} times in 24 hours"],
  "payment.left": ["{} is left of the payment", "nothing is left of the payment", "something is left of the payment"],
  "payment.minutes_since": ["the payment was made {} minutes ago"],
  "position.left": ["{} of it is left to send back", "nothing of it is left to send back", "something of it is left to send back"],
  "position.price": ["it cost {}", "it was free", "it cost something"],
  "position.shows": ["it is for {} shows"],
  priority: ["the priority is {}"],
  "requester.refunds_90d": ["they had {} refunds in 90 days"],
  "show.minutes": ["the show lasts {} minutes", "the show's length is not known", "the show's length is known"],
  "show.minutes_since_end": ["the show ended {} minutes ago", "the show has not ended", "the show has ended"],
  "show.minutes_to_start": ["the show starts in {} minutes", "the show has started", "the show has not started"],
};

const CROSSES_ZERO: ReadonlySet<string> = new Set(["doors.minutes", "show.minutes_since_end", "show.minutes_to_start"]);

type Node =
  | { is: "text" | "number"; value: string }
  | { is: "name"; value: string }
  | { is: "list"; items: Node[] }
  | { is: "not"; of: Node }
  | { is: "pair"; word: string; left: Node; right: Node };

const TOKEN = /\s*(&&|\|\||==|!=|<=|>=|[<>!()[\],*/+-]|"(?:[^"\\]|\\.)*"|\d+(?:\.\d+)?|[a-zA-Z_][\w.]*)/y;
// Longer than any condition of a pack (they are limited to 2,000 characters when they are loaded).
const TOKENS_MAX = 600;

function tokens(text: string): string[] | null {
  const found: string[] = [];
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < text.trimEnd().length) {
    const match = TOKEN.exec(text);
    if (!match?.[1] || found.length >= TOKENS_MAX) return null;
    found.push(match[1]);
  }
  return found;
}

const STRENGTH: Record<string, number> = {
  "||": 1, "&&": 2, "==": 3, "!=": 3, "<": 3, "<=": 3, ">": 3, ">=": 3, in: 3, "+": 4, "-": 4, "*": 5, "/": 5,
};

class Unreadable extends Error {}

class Reader {
  private at = 0;
  constructor(private readonly words: string[]) {}

  whole(): Node {
    const node = this.pair(1);
    if (this.at < this.words.length) throw new Unreadable();
    return node;
  }

  private pair(weakest: number): Node {
    let left = this.single();
    for (;;) {
      const word = this.words[this.at];
      const strength = word === undefined ? undefined : STRENGTH[word];
      if (word === undefined || strength === undefined || strength < weakest) return left;
      this.at += 1;
      left = { is: "pair", word, left, right: this.pair(strength + 1) };
    }
  }

  private single(): Node {
    const word = this.words[this.at++];
    if (word === undefined) throw new Unreadable();
    if (word === "!") return { is: "not", of: this.single() };
    if (word === "(") return this.until(this.pair(1), ")");
    if (word === "[") return this.list();
    if (word.startsWith('"')) return { is: "text", value: word.slice(1, -1) };
    if (/^\d/.test(word)) return { is: "number", value: word };
    // A function's call, and what else stands in front of a bracket: not ours to put in words.
    if (!/^[a-zA-Z_]/.test(word) || this.words[this.at] === "(") throw new Unreadable();
    return { is: "name", value: word };
  }

  private list(): Node {
    const items: Node[] = [];
    while (this.words[this.at] !== "]") {
      items.push(this.single());
      if (this.words[this.at] === ",") this.at += 1;
    }
    return this.until({ is: "list", items }, "]");
  }

  private until(node: Node, word: string): Node {
    if (this.words[this.at++] !== word) throw new Unreadable();
    return node;
  }
}

/**
 * The condition in words, or null where it cannot be put so: then show it as it is written. `""` for a rule that always fits.
 * `parameters`: what the platform has set, by name; one that is not there is called by its name.
 */
export function inWords(condition: string, parameters: Readonly<Record<string, unknown>> = {}): string | null {
  const text = condition.trim().replace(/\bparameters\.(\w+)/g, (whole, name: string) => (typeof parameters[name] === "number" ? String(parameters[name]) : whole));
  if (text === "" || text === "true" || text === "always") return "";
  const words = tokens(text);
  if (words === null) return null;
  try {
    return said(new Reader(words).whole(), "nothing");
  } catch (error) {
    if (error instanceof Unreadable) return null;
    throw error;
  }
}

/** `fact` as it is called in a sentence: also for the box that tries facts. */
export function factName(fact: string): string {
  return NAMES[fact] ?? YES_NO[fact]?.[0] ?? MEASURES[fact]?.[2] ?? plain(fact);
}

function plain(name: string): string {
  return name.replace(/^parameters\./, "").replace(/[._]/g, " ");
}

function said(node: Node, inside: "nothing" | "and" | "or"): string {
  if (node.is === "not") return denied(node.of);
  if (node.is === "name") {
    const known = YES_NO[node.value];
    return known ? known[0] : node.value === "true" ? "always" : `${plain(node.value)}: yes`;
  }
  if (node.is !== "pair") throw new Unreadable();
  if (node.word === "&&") {
    // Inside an "or" it is one of several: said so that nobody reads it as standing alone.
    const all = parts(node, "&&").map((part) => said(part, "and"));
    return inside === "or" ? `both ${all.join(" and ")}` : all.join(", and ");
  }
  if (node.word === "||") {
    const any = parts(node, "||").map((part) => said(part, "or")).join(", or ");
    return inside === "and" ? `either ${any}` : any;
  }
  return compared(node.word, node.left, node.right);
}

/** `a && b && c` as its three parts. */
function parts(node: Node, word: string): Node[] {
  return node.is === "pair" && node.word === word ? [...parts(node.left, word), ...parts(node.right, word)] : [node];
}

function denied(of: Node): string {
  if (of.is === "name") return YES_NO[of.value]?.[1] ?? `${plain(of.value)}: no`;
  return `not (${said(of, "nothing")})`;
}

const THAN: Record<string, string> = { "<": "less than", "<=": "at most", ">": "more than", ">=": "at least", "==": "exactly", "!=": "not exactly" };

function compared(word: string, left: Node, right: Node): string {
  const measure = left.is === "name" ? MEASURES[left.value] : undefined;
  if (measure) {
    const than = THAN[word];
    if (!than) throw new Unreadable();
    const zero = (right.is === "number" && right.value === "0") || (right.is === "text" && right.value === "");
    // Time runs below zero, too: "0 minutes" is the moment itself, and either side of it has its words.
    const side = zero && left.is === "name" && CROSSES_ZERO.has(left.value) ? (word.startsWith("<") ? 1 : word.startsWith(">") ? 2 : 0) : 0;
    if (side > 0) return measure[side] ?? limited(measure[0], than, right);
    if (zero && ["<=", "=="].includes(word) && measure[1]) return measure[1];
    if (zero && [">", "!="].includes(word)) return measure[2] ?? measure[0].replace("{}", "more than 0");
    if (zero && ["<=", "=="].includes(word)) return measure[0].replace("{}", "no");
    return limited(measure[0], than, right);
  }
  if (word === "in") {
    if (right.is !== "list") throw new Unreadable();
    return `${value(left)} is ${or(right.items.map((item) => value(item, left)))}`;
  }
  if (word === "==" || word === "!=") {
    const not = word === "!=" ? "not " : "";
    if (right.is === "text" && right.value === "") return not ? `there is ${value(left)}` : `there is no ${value(left).replace(/^the /, "")}`;
    return `${value(left)} is ${not}${value(right, left)}`;
  }
  const than = THAN[word];
  if (!than) throw new Unreadable();
  return `${value(left)} is ${than} ${value(right)}`;
}

// What a setting's name ends in, and how many minutes that is.
const UNITS: Record<string, string> = { "60": "hours", "1440": "days" };

/** "it was bought more than 48 hours ago": a setting in days or hours keeps its own unit. */
function limited(measure: string, than: string, right: Node): string {
  if (right.is === "pair" && right.word === "*" && right.right.is === "number") {
    const unit = UNITS[right.right.value];
    const many = right.left.is === "number" ? `${right.left.value} ${unit}` : `as many ${unit} as ${value(right.left)} says`;
    if (unit && measure.includes("{} minutes")) return measure.replace("{} minutes", `${than} ${many}`);
  }
  // "the priority is 1", but "there are exactly 2"
  const amount = than === "exactly" && measure.endsWith(" is {}") ? value(right) : `${than} ${value(right)}`;
  return measure.replace("{}", amount).replace(/\b1 (minutes|times|shows|payments|valid tickets|second charges|refunds|new links)\b/, (_, many: string) => `1 ${many.replace(/s$/, "")}`);
}

function or(words: readonly string[]): string {
  return words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} or ${words.at(-1)}`;
}

function value(node: Node, of?: Node): string {
  if (node.is === "number") return node.value;
  if (node.is === "text") {
    const name = of?.is === "name" ? of.value : "";
    if (name === "problem") return `“${say("problem", node.value).toLowerCase()}”`;
    if (name === "skill") return say("skill", node.value);
    // "the order is none" says little; a status that there is none of is "missing".
    const aboutKind = /kind|role|phase|show\.status|answer/.test(name);
    if (node.value === "none") return aboutKind ? "nothing" : "missing";
    return (aboutKind && VALUES[node.value]) || plain(node.value);
  }
  if (node.is === "name") return node.value.startsWith("parameters.") ? `the setting “${plain(node.value)}”` : (NAMES[node.value] ?? plain(node.value));
  if (node.is === "pair" && ["+", "-", "*", "/"].includes(node.word)) {
    const sign: Record<string, string> = { "*": "×", "/": "÷", "+": "+", "-": "−" };
    return `${value(node.left)} ${sign[node.word]} ${value(node.right)}`;
  }
  throw new Unreadable();
}
