// What a customer does from the first tap on: says what is wrong, agrees, shows who they are, answers, writes, and is told.
import { Refused } from "../api";
import type { App, Intent } from "../app";
import type { Case, Likely, Notice } from "../wire";
import type { Key } from "../words";
import { hint } from "./hint";
import { lookAgain } from "./look";
import { lasting } from "./numbers";
import { once } from "./once";
import { follow } from "./stream";

// Nobody need prove an order for these; for all others we look at one.
const WITHOUT_ORDER = new Set(["other", "abuse", "fraud", "accessibility", "cannot_sign_in", "will_not_play", "buffering", "device_unsupported"]);
// Only words can say what these are about.
const IN_WORDS = new Set(["other", "abuse", "fraud", "accessibility", "merch_wrong", "merch_missing"]);
// What a player knows helps with these.
const PLAYBACK = new Set(["will_not_play", "buffering", "device_unsupported", "cannot_sign_in", "stream_outage", "link_dead"]);
// How an address looks; whether there is one, the mail shows.
export const ADDRESS = /^[^\s@<>,;"]+@[^\s@<>,;"]+\.[^\s@<>,;"]+$/;
// A code that has not come by then may not come.
export const CODE_MS = 60_000;

/** Says what is missing in a field. */
export function refuse(a: App, field: string, key: Key): void {
  a.refuse(field, a.text.say(key));
}

/** The field that an error is about, and the error in words. */
export function explain(a: App, error: unknown): [string | null, string] {
  const { say, intl } = a.text;
  if (!(error instanceof Refused)) return [null, say("e_failed")];
  if (error.code === "code_refused" || error.fields.includes("code")) return ["code", say("e_code")];
  if (error.fields.includes("email")) return ["email", say("e_email")];
  if (error.status === 429) return [null, say("e_many", { time: lasting(intl, error.retryAfter || 60) })];
  return [null, say(error.code === "offer_moved" ? "e_moved" : error.status === 404 ? "e_gone" : "e_failed")];
}

export async function back(a: App): Promise<void> {
  if (a.screen === "topics" && a.topic !== null) return a.set({ topic: null });
  // Whoever goes back from the code means another address.
  if (a.screen === "code") a.codeAt = 0;
  const screen = a.trail.pop();
  if (screen === "case" && a.case) return a.set({ screen, intent: null, error: null, field: null });
  if (screen !== undefined && screen !== "loading" && screen !== "case") return a.set({ screen, error: null, field: null });
  a.forget();
  await a.arrive();
}

/** The proof has run out, and the host has no new one. */
export function expire(a: App): void {
  a.api.token = null;
  if (!a.api.isGuest) hint(a, "refused");
  // The host's own is refused: what comes now is a session of ours.
  a.api.isGuest = true;
  askAgain(a);
}

function askAgain(a: App): void {
  // Who has only just opened it, and written nothing, has shown nothing yet that they would have to show again.
  const isNew = a.screen === "loading" && !Object.values(a.typed).some(Boolean);
  a.isProven = false;
  a.isFollowing = null;
  a.codeAt = 0;
  a.go("who", true);
  if (!isNew) a.refuse(null, a.text.say("who_again"));
}

// ------------------------------------------------------------------------------------------------------ who asks

async function session(a: App): Promise<void> {
  if (a.api.token !== null) return;
  a.api.token = (await a.api.send<{ token: string }>("POST", "/v1/sessions")).token;
  a.api.isGuest = true;
}

export async function sendCode(a: App, by: "email" | "text"): Promise<void> {
  const email = (a.typed["email"] ?? "").trim();
  const order = (a.typed["order"] ?? "").trim();
  if (!ADDRESS.test(email)) return refuse(a, "email", "e_email");
  await session(a);
  const body = { email, ...(order && { order }), locale: a.text.locale, ...(by === "text" && { by }) };
  const sent = await a.api.send<{ valid_minutes: number }>("POST", "/v1/sessions/codes", { body });
  a.typed["code"] = "";
  setTimeout(() => a.host.draw(), CODE_MS);
  a.go("code");
  a.set({ codeAt: Date.now(), codeUntil: Date.now() + sent.valid_minutes * 60_000, codeBy: by });
}

/** Back to the code that is on its way: on a phone one closes this to read the mail, and asking for another would end the first. */
export function awaitCode(a: App): void {
  if (a.codeAt > 0 && Date.now() < a.codeUntil && (!a.isProven || a.needs === "strong")) {
    a.typed["code"] = "";
    a.go("code");
  }
}

export async function verify(a: App): Promise<void> {
  // Arabic and full-width digits are digits.
  const typed = (a.typed["code"] ?? "").replace(/[٠-٩۰-۹]/g, (one) => String(one.charCodeAt(0) & 15));
  const code = typed.normalize("NFKC").replace(/\D/g, "");
  if (code.length !== 6) return refuse(a, "code", "e_code");
  await a.api.send("POST", "/v1/sessions/verify", { body: { code } });
  a.typed["code"] = "";
  a.isProven = true;
  askFollowing(a, a.notice);
  if (a.needs === "strong" && a.case) {
    a.needs = null;
    return a.go("case", true);
  }
  if (a.case?.question?.fact === "identity") return identify(a, null);
  await a.arrive();
}

/** Takes the case up for an order that is now known to be theirs; of several, for the one they name. */
export async function identify(a: App, order: string | null): Promise<void> {
  try {
    show(a, await a.api.send<Case>("POST", `/v1/cases/${a.case?.id}/identify`, { body: order === null ? {} : { order } }));
    a.go("case", true);
  } catch (error) {
    if (!(error instanceof Refused) || error.code !== "not_proven") throw error;
    a.orders = await a.readOrders();
    if (a.orders.orders.length > 0) return a.go("which");
    a.go("case", true);
    refuse(a, "email", "none");
  }
}

// ------------------------------------------------------------------------------------------------------ what is wrong

/** From a problem to its case: for which order, in which words, and with what the rules would do agreed to first. */
export async function pick(a: App, intent: Intent): Promise<void> {
  a.intent = intent;
  const { problem, person } = intent;
  if (!a.isProven && !WITHOUT_ORDER.has(problem) && !person) return a.go("who");
  if (!intent.order && a.isProven && problem !== "other") {
    const all = a.orders?.orders ?? [];
    const named = all.find((one) => one.order === a.host.at("order")) ?? (all.length === 1 ? all[0] : undefined);
    if (named) intent.order = named;
    else if (all.length > 0) return a.go("which");
  }
  if (IN_WORDS.has(problem) || person) return a.go("tell");
  await decide(a);
}

export async function decide(a: App): Promise<void> {
  const { intent } = a;
  if (intent?.order && !intent.likely && !intent.person) intent.likely = await preview(a, intent);
  const { likely } = intent ?? {};
  if (likely?.outcome === "approve" && likely.actions.length > 0) return a.go("confirm");
  await openCase(a);
}

function preview(a: App, { problem, order }: Intent): Promise<Likely> {
  const body = { problem, order: order?.order, ...(order?.show && { show: order.show.ref }), locale: a.text.locale };
  return a.api.send<Likely>("POST", "/v1/help/preview", { body });
}

/** What was agreed to or said becomes a case, once: the same tap again, or a reload, sends the same again. */
export async function openCase(a: App, more: Record<string, unknown> = {}): Promise<void> {
  const { intent, player } = a;
  if (!intent) return;
  const { problem, order, likely } = intent;
  const message = a.typed["message"]?.trim();
  const ref = order?.show?.ref ?? a.help?.show?.ref;
  const body = {
    problem,
    channel: "widget",
    locale: a.text.locale,
    ...(ref && { show: ref }),
    ...(order && { order: order.order }),
    ...(likely?.incident && { incident: likely.incident }),
    ...(message && { message }),
    ...(likely?.outcome === "approve" && likely.actions.length > 0 && offer(likely)),
    ...(player && PLAYBACK.has(problem) && { player: playerOf({ ...player }) }),
    ...more,
  };
  await session(a);
  // An address is in `purchase`, and goes into no storage.
  if (!more["purchase"]) a.kept.set("pending", JSON.stringify([body, intent.person === true]));
  try {
    await post(a, body, intent.person === true);
  } catch (error) {
    if (!(error instanceof Refused) || error.code !== "offer_moved") throw error;
    intent.likely = (error.body["likely"] as Likely | undefined) ?? (await preview(a, intent));
    a.go("confirm");
    throw error;
  }
}

/** What the screen before the yes has said. */
function offer({ amount, currency, to }: Likely): object {
  return amount === null ? {} : { offered: { amount, currency, to } };
}

/** Each text as the service takes it: printable, and at most 100 characters. */
function playerOf(given: Record<string, unknown>): Record<string, string> {
  const names = { error: "error", device: "device", system: "system", appVersion: "app_version", network: "network", browser: "browser" };
  const found: Record<string, string> = {};
  for (const [from, to] of Object.entries(names)) {
    const text = String(given[from] ?? "").replace(/[^\x20-\x7e\xa0-\uffff]/g, " ").trim().slice(0, 100);
    if (text) found[to] = text;
  }
  return found;
}

async function post(a: App, body: unknown, person: boolean): Promise<void> {
  let found: Case;
  try {
    found = await once<Case>(a, "/v1/cases", body);
  } finally {
    a.kept.set("pending", null);
  }
  if (person && found.status !== "with_people" && found.can_ask_a_person) found = await once<Case>(a, `/v1/cases/${found.id}/person`, {});
  a.write("message", "");
  if (found.status === "resolved") a.host.tell("resolved");
  show(a, found);
}

/** What was under way before a reload, or what a letter's link names. False: there is nothing, or it is not theirs. */
export async function resume(a: App): Promise<boolean> {
  const pending = a.kept.get("pending");
  // Only who had sent it sends it again: a host's customer. A guest's order shows what became of it.
  if (pending !== null && a.isProven && !a.api.isGuest) {
    const [body, person] = JSON.parse(pending) as [unknown, boolean];
    await post(a, body, person);
    return true;
  }
  a.kept.set("pending", null);
  const id = a.caseAtHand;
  if (id === null) return false;
  try {
    show(a, await a.api.get<Case>(`/v1/cases/${id}`));
    awaitCode(a);
    return true;
  } catch (error) {
    if (!(error instanceof Refused) || error.status !== 404) throw error;
    // Not theirs as far as this proof goes. A guest may prove more; for who is signed in it is gone.
    if (a.isProven) a.forget();
    return false;
  }
}

export async function person(a: App): Promise<void> {
  if (a.case && (a.screen === "case" || a.intent?.answer !== undefined)) {
    const message = a.typed["message"]?.trim();
    const found = await once<Case>(a, `/v1/cases/${a.case.id}/person`, message ? { message } : {});
    a.write("message", "");
    return show(a, found);
  }
  a.intent = { problem: "other", order: null, likely: null, ...a.intent, person: true };
  a.go("tell");
}

// ------------------------------------------------------------------------------------------------------ a case

export async function showById(a: App, id: string): Promise<void> {
  show(a, await a.api.get<Case>(`/v1/cases/${id}`));
}

export function show(a: App, found: Case): void {
  update(a, found);
  if (a.screen !== "case") {
    const { said } = a;
    a.go("case", true);
    a.said = said;
  }
}

/** What became of it; whoever looks at something else just now goes on doing so. */
function update(a: App, found: Case): void {
  const before = a.case?.id === found.id ? a.case : null;
  a.case = found;
  a.kept.set("case", found.id);
  const status = `st_${found.status}`;
  if (before?.status !== found.status && a.text.has(status)) a.said = a.text.say(status);
  if (before && before.messages.length < found.messages.length) a.said = found.messages.at(-1)?.body ?? "";
  if (before && before.status !== "resolved" && found.status === "resolved") a.host.tell("resolved");
  a.host.draw();
  if (!found.ended_at) followCase(a, found.id);
}

const followed = new WeakMap<App, string>();

function followCase(a: App, id: string): void {
  if (followed.get(a) === id) return;
  followed.set(a, id);
  const isIt = (): boolean => a.case?.id === id;
  const on = (found: Case): void => {
    if (isIt() && found.version >= (a.case?.version ?? 0)) update(a, found);
  };
  const poll = async (): Promise<void> => on(await a.api.get<Case>(`/v1/cases/${id}`));
  const heard = (event: string, data: string): void => {
    if (event === "case") on(JSON.parse(data) as Case);
  };
  void follow(a, `/v1/cases/${id}/progress`, { on: heard, poll, goesOn: () => isIt() && !a.case?.ended_at }, a.watching.signal).finally(() => {
    if (followed.get(a) === id) followed.delete(a);
  });
}

/** Whom a letter about it has led here can end those letters; to whom nobody can write is offered none. */
function askFollowing(a: App, notice: Notice | null): void {
  if (!a.isProven || !notice || notice.over) return;
  const asked = a.api.get<{ following: boolean; possible: boolean }>(`/v1/help/follow?show=${encodeURIComponent(notice.show)}`);
  void asked.then(({ following, possible }) => a.set({ isFollowing: following || possible ? following : null })).catch(() => undefined);
}

/** The notice of the show and the customer's orders as they are, for as long as somebody looks. */
export function watch(a: App): void {
  if (!a.isOpen) return;
  const soon = lookAgain(a);
  const ref = a.help?.show?.ref;
  if (ref === undefined) return;
  const on = (event: string, data: string): void => {
    const notice = event === "notice" ? (JSON.parse(data) as Notice | null) : a.notice;
    if (notice?.updated_at === a.notice?.updated_at && notice?.over === a.notice?.over) return;
    if (notice?.since !== a.notice?.since) askFollowing(a, notice);
    a.set({ notice, said: notice ? a.text.of(notice.text) : "" });
    soon();
  };
  const poll = async (): Promise<void> => {
    await a.look();
    a.host.draw();
  };
  askFollowing(a, a.notice);
  void follow(a, `/v1/help/live?show=${encodeURIComponent(ref)}`, { on, poll, goesOn: () => a.isOpen }, a.watching.signal);
}

/** An answer that moves money is agreed to first, with the amount; any other is given at once. */
export async function answer(a: App, value: string): Promise<void> {
  if (!value.trim()) return refuse(a, "answer", "e_field");
  let likely: Likely | null;
  try {
    likely = await previewAnswer(a, value);
  } catch (error) {
    // A guest's proof holds for so long; a code gives another, and the question still stands then.
    if (error instanceof Refused && error.code === "not_proven" && a.api.isGuest) return askAgain(a);
    throw error;
  }
  if (likely?.outcome !== "approve" || likely.amount === null) return give(a, value, {});
  a.intent = { problem: a.case?.problem ?? "other", order: null, likely, answer: value };
  a.go("confirm");
}

/** Null of a service that is older than this widget. */
async function previewAnswer(a: App, value: string): Promise<Likely | null> {
  try {
    return await a.api.send<Likely>("POST", `/v1/cases/${a.case?.id}/preview`, { body: { fact: a.case?.question?.fact, value } });
  } catch (error) {
    if (error instanceof Refused && (error.status === 404 || error.status === 405)) return null;
    throw error;
  }
}

async function give(a: App, value: string, more: object): Promise<void> {
  const found = await once<Case>(a, `/v1/cases/${a.case?.id}/answers`, { fact: a.case?.question?.fact, value, ...more });
  a.intent = null;
  show(a, found);
}

/** The yes to what the confirm screen says of an answer. */
export async function agree(a: App, value: string): Promise<void> {
  const { intent } = a;
  try {
    await give(a, value, intent?.likely ? offer(intent.likely) : {});
  } catch (error) {
    if (!(error instanceof Refused) || error.code !== "offer_moved" || !intent) throw error;
    const likely = (error.body["likely"] as Likely | undefined) ?? (await previewAnswer(a, value));
    // Nothing to agree to any more: the question stands.
    if (likely?.outcome !== "approve" || likely.amount === null) await back(a);
    else intent.likely = likely;
    throw error;
  }
}

/** Sends money that cannot go back the chosen way. */
export async function payOut(a: App): Promise<void> {
  const operation = a.case?.operations.find((one) => one.status === "choose");
  const address = a.typed["account"]?.trim() ?? "";
  if (!operation) return;
  if (a.needs === "address" && !ADDRESS.test(address)) return refuse(a, "account", "e_email");
  try {
    const body = { operation: operation.id, to: a.way, ...(address && { address }) };
    const found = await once<Case>(a, `/v1/cases/${a.case?.id}/payout`, body);
    a.set({ way: null, needs: null });
    show(a, found);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    if (error.code === "not_strong") return a.set({ needs: "strong" });
    if (error.fields.includes("address") && a.needs === null) return a.set({ needs: "address" });
    throw error;
  }
}

/** A new token of the host, which may now prove more. */
export async function again(a: App): Promise<void> {
  await a.api.meet();
  a.needs = null;
  await payOut(a);
}

export async function say(a: App): Promise<void> {
  const message = a.typed["message"]?.trim();
  if (!message) return refuse(a, "message", "e_field");
  const found = await once<Case>(a, `/v1/cases/${a.case?.id}/messages`, { message });
  a.write("message", "");
  show(a, found);
}

export async function score(a: App, given: number): Promise<void> {
  // Told before, in another tab or by a letter: the first tap stands, and this one is thanked for too.
  await a.api.send("POST", `/v1/cases/${a.case?.id}/satisfaction`, { body: { score: given } }).catch(() => undefined);
  a.set({ scored: true, said: a.text.say("thanks") });
}

export async function followNotice(a: App): Promise<void> {
  const ref = a.notice?.show ?? "";
  if (a.isFollowing) await a.api.send("DELETE", `/v1/help/follow?show=${encodeURIComponent(ref)}`);
  else await a.api.send("POST", "/v1/help/follow", { body: { show: ref, locale: a.text.locale } });
  a.set({ isFollowing: !a.isFollowing });
}

export async function save(a: App, id: string, name: string): Promise<void> {
  const answer = await a.api.insist("GET", `/v1/attachments/${id}`);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await answer.blob());
  link.download = name;
  link.click();
  // Long enough for a slow phone to begin with it.
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

export async function copy(a: App, text: string): Promise<void> {
  await navigator.clipboard.writeText(text);
  a.set({ copied: text, said: a.text.say("copied") });
}
