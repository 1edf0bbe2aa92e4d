// Every enum in words, every amount, time and length as people read them. A code that is not listed is read out, never shown raw.

const LANGUAGE = navigator.language || "en";

// ------------------------------------------------------------------------------------------------------------------------ enums

const PROBLEMS: Readonly<Record<string, string>> = {
  pass_missing: "Ticket missing",
  pass_lost: "Ticket lost",
  pass_leaked: "Ticket leaked",
  link_dead: "Link dead",
  wrong_device: "Wrong device",
  too_many_devices: "Too many devices",
  cannot_sign_in: "Cannot sign in",
  will_not_play: "Stream will not play",
  buffering: "Stream buffers",
  device_unsupported: "Device not supported",
  stream_outage: "Stream was down",
  show_cancelled: "Show cancelled",
  show_postponed: "Show postponed",
  charged_twice: "Charged twice",
  charged_no_pass: "Charged, no ticket",
  payment_pending: "Payment pending",
  charged_after_cancelling: "Charged after cancelling",
  wants_refund: "Wants a refund",
  merch_wrong: "Wrong merchandise",
  merch_missing: "Merchandise missing",
  accessibility: "Accessibility",
  abuse: "Abuse",
  fraud: "Fraud",
  other: "Something else",
};

const SKILLS: Readonly<Record<string, string>> = {
  support: "Support",
  escalation: "Escalation",
  payments: "Payments",
  playback: "Playback",
  access: "Access",
  merchandise: "Merchandise",
  trust: "Trust",
  accessibility: "Accessibility",
  operations: "Operations",
};

const ROW_STATES: Readonly<Record<string, string>> = {
  waiting: "Waiting",
  taken: "Taken",
  hold: "On hold",
  waits_for_customer: "Waits for customer",
  referred: "With another team",
};

const ACTIONS: Readonly<Record<string, string>> = {
  refund: "Refund",
  reissue_access: "New stream link",
  resend_pass: "Send the ticket again",
  replace_pass: "Replace the ticket",
  void_pass: "Void the ticket",
  goodwill_credit: "Goodwill credit",
  cancel_payment: "Cancel the payment",
};

const OPERATION_STATES: Readonly<Record<string, string>> = {
  working: "On its way out",
  sent: "Sent",
  done: "Done",
  held: "Waits for a yes",
  choose: "Customer chooses where to",
  could_not: "Could not be done",
};

const CAUSES: Readonly<Record<string, string>> = {
  incident: "Trouble at the show",
  show_cancelled: "Show cancelled",
  show_postponed: "Show postponed",
  duplicate_charge: "Charged twice",
  no_pass: "Charged, no ticket",
  remorse: "Changed their mind",
  goodwill: "Goodwill",
};

const CLOCKS: Readonly<Record<string, string>> = { acknowledge: "First look", next_answer: "Next answer", resolve: "Solution" };

const PAUSES: Readonly<Record<string, string>> = {
  customer: "waits for the customer",
  referral: "another team has it",
  desk_closed: "desk is closed",
  hold: "on hold",
};

const IDENTITIES: Readonly<Record<string, string>> = {
  anonymous: "Nobody has said who they are",
  claimed: "Says who they are, not proven",
  verified: "Customer proven",
  strong: "Customer proven twice",
};

const OUTCOMES: Readonly<Record<string, string>> = {
  approve: "Approved",
  ask: "Asked the customer",
  wait: "Waits",
  deny: "Said no",
  escalate: "Needs a person",
  already_done: "Done already",
  unanswered: "Never answered",
};

const CASE_STATUSES: Readonly<Record<string, string>> = {
  working: "Being worked on",
  asked: "Customer was asked",
  waiting: "Waits",
  with_people: "With people",
  resolved: "Solved",
  denied: "Said no",
  closed: "Closed",
};

const CHANNELS: Readonly<Record<string, string>> = {
  widget: "help widget",
  email: "e-mail",
  mail: "e-mail",
  chat: "chat",
  phone: "phone",
  social: "social media",
  api: "the platform's own screens",
};

const TEAMS: Readonly<Record<string, string>> = { moderation: "Moderation", fraud: "Fraud" };

const REFERRAL_STATES: Readonly<Record<string, string>> = {
  open: "Waiting for their answer",
  cleared: "Cleared",
  confirmed: "Confirmed",
  need_more: "They need to know more",
  withdrawn: "Withdrawn",
};

const TABLES = {
  problem: PROBLEMS,
  skill: SKILLS,
  row_state: ROW_STATES,
  action: ACTIONS,
  operation: OPERATION_STATES,
  cause: CAUSES,
  clock: CLOCKS,
  pause: PAUSES,
  identity: IDENTITIES,
  outcome: OUTCOMES,
  case_status: CASE_STATUSES,
  channel: CHANNELS,
  team: TEAMS,
  referral: REFERRAL_STATES,
} as const;

/** The words for a code: `say("problem", "charged_twice")`. One that is not listed reads as its own words. */
export function say(kind: keyof typeof TABLES, code: string | null | undefined): string {
  if (code === null || code === undefined || code === "") return "";
  return TABLES[kind][code] ?? spoken(code);
}

export function listed(kind: keyof typeof TABLES): readonly [string, string][] {
  return Object.entries(TABLES[kind]);
}

/** `dispute_open` as "Dispute open" */
export function spoken(code: string): string {
  const text = code.replace(/[_.-]+/g, " ").trim();
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** `agent:Mira` as "Mira"; the product's own actors in words */
export function actor(name: string): string {
  const plain = name.replace(/^(agent|key|machine|customer):/, "");
  const known: Readonly<Record<string, string>> = { customer: "Customer", policy: "Rules", makegood: "Makegood", service: "Makegood", system: "Makegood" };
  return known[plain] ?? plain;
}

// ------------------------------------------------------------------------------------------------------------------------ money

const monies = new Map<string, Intl.NumberFormat>();

function formatOf(currency: string): Intl.NumberFormat {
  let found = monies.get(currency);
  if (!found) {
    found = new Intl.NumberFormat(LANGUAGE, { style: "currency", currency });
    monies.set(currency, found);
  }
  return found;
}

/** Minor units as money: `money(694, "EUR")` is "€6.94". */
export function money(minor: number, currency: string | null | undefined): string {
  if (!currency) return number(minor);
  const format = formatOf(currency);
  return format.format(minor / 10 ** (format.resolvedOptions().maximumFractionDigits ?? 2));
}

/** What was typed as minor units, or null when it is no amount: "45", "45.00", "45,00". */
export function minorUnits(typed: string, currency: string): number | null {
  const digits = formatOf(currency).resolvedOptions().maximumFractionDigits ?? 2;
  const found = /^(\d{1,10})(?:[.,](\d+))?$/.exec(typed.trim().replace(/[\s']/g, ""));
  if (!found || (found[2]?.length ?? 0) > digits) return null;
  return Number((found[1] ?? "0") + (found[2] ?? "").padEnd(digits, "0"));
}

const plain = new Intl.NumberFormat(LANGUAGE);
export function number(value: number): string {
  return plain.format(value);
}

/** 0.873 as "87 %" in the reader's language */
export function share(value: number): string {
  return new Intl.NumberFormat(LANGUAGE, { style: "percent", maximumFractionDigits: 0 }).format(value);
}

export function bytes(count: number): string {
  return count < 1_000_000 ? `${number(Math.max(1, Math.round(count / 1000)))} kB` : `${number(Math.round(count / 100_000) / 10)} MB`;
}

export function plural(count: number, one: string, many: string): string {
  return `${number(count)} ${count === 1 ? one : many}`;
}

// ------------------------------------------------------------------------------------------------------------------------- time

/** Seconds as a clock: "0:38", "12:05", "3:04:10"; negative with a minus. */
export function clock(seconds: number): string {
  // Rounded down, also below zero: 0.4 s late is not late by a second yet.
  const whole = Math.floor(Math.abs(seconds));
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor((whole % 3600) / 60), whole % 60];
  const tail = `${String(minutes).padStart(hours > 0 ? 2 : 1, "0")}:${String(rest).padStart(2, "0")}`;
  return `${seconds < 0 && whole > 0 ? "−" : ""}${hours > 0 ? `${hours}:` : ""}${tail}`;
}

/** Seconds in words, coarse: "38 s", "12 min", "3 h 4 min", "2 days". */
export function lasting(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.round(whole / 60)} min`;
  const hours = Math.floor(whole / 3600);
  const minutes = Math.round((whole % 3600) / 60);
  if (whole < 86_400) return minutes === 0 ? `${hours} h` : `${hours} h ${minutes} min`;
  return plural(Math.round(whole / 86_400), "day", "days");
}

const TIME = new Intl.DateTimeFormat(LANGUAGE, { hour: "2-digit", minute: "2-digit" });
const TIME_EXACT = new Intl.DateTimeFormat(LANGUAGE, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const DAY = new Intl.DateTimeFormat(LANGUAGE, { day: "numeric", month: "short" });
const DAY_OF_WEEK = new Intl.DateTimeFormat(LANGUAGE, { weekday: "long", day: "numeric", month: "long" });
const FULL = new Intl.DateTimeFormat(LANGUAGE, { dateStyle: "full", timeStyle: "long" });

/** "21:04" today, "20 Nov 21:04" on other days; in the reader's zone */
export function when(at: string): string {
  const date = new Date(at);
  return date.toDateString() === new Date().toDateString() ? TIME.format(date) : `${DAY.format(date)} ${TIME.format(date)}`;
}

export function timeOfDay(at: string): string {
  return TIME.format(new Date(at));
}

export function exactTime(at: string): string {
  return TIME_EXACT.format(new Date(at));
}

/** "Friday 20 November" */
export function dayOf(at: string): string {
  return DAY_OF_WEEK.format(new Date(at));
}

/** Everything about a moment, with the show's place beside it where clocks differ there: for titles. */
export function fullTime(at: string, zone?: string): string {
  const date = new Date(at);
  const there = zone ? inZone(at, zone) : null;
  return there === null ? FULL.format(date) : `${FULL.format(date)} (${there})`;
}

/** "20:04 in Berlin", or null where the clock shows the same as the reader's */
export function inZone(at: string, zone: string): string | null {
  try {
    const date = new Date(at);
    const format = new Intl.DateTimeFormat(LANGUAGE, { hour: "2-digit", minute: "2-digit", timeZone: zone });
    const there = format.format(date);
    return there === TIME.format(date) ? null : `${there} in ${zone.split("/").pop()?.replace(/_/g, " ") ?? zone}`;
  } catch {
    return null;
  }
}

const SPAN = new Intl.RelativeTimeFormat(LANGUAGE, { numeric: "auto" });
/** "2 minutes ago", "yesterday" */
export function ago(at: string, now: number): string {
  const seconds = (Date.parse(at) - now) / 1000;
  const steps: readonly [Intl.RelativeTimeFormatUnit, number][] = [
    ["day", 86_400],
    ["hour", 3600],
    ["minute", 60],
  ];
  for (const [unit, length] of steps) if (Math.abs(seconds) >= length) return SPAN.format(Math.trunc(seconds / length), unit);
  return Math.abs(seconds) < 5 ? "now" : SPAN.format(Math.trunc(seconds), "second");
}

/** "en" as "English", in the reader's language */
export function language(tag: string): string {
  try {
    return new Intl.DisplayNames([LANGUAGE], { type: "language" }).of(tag) ?? tag;
  } catch {
    return tag;
  }
}
