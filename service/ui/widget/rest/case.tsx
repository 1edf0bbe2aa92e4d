// A case from its customer's side: confirmed, under way, asked, waiting, with people, and how it ended.
import { h, Fragment, type VNode } from "preact";
import type { App } from "../app";
import { title } from "../home";
import { icon } from "../icons";
import { button, row, screen, state } from "../parts";
import type { Case, Likely, Operation } from "../wire";
import type { Key } from "../words";
import { failed, field, form } from "./fields";
import { capital } from "./problem";
import { identity } from "./who";
import { again, agree, answer, back, copy, openCase, payOut, person, save, say as write, score, sendCode } from "./flow";
import { problem } from "./lines";
import { isNervous } from "./nervous";
import { lasting, number } from "./numbers";
import { prose } from "./prose";

// What cards take to show money that was sent: said by their issuers, and no promise of ours.
const BANK_DAYS = { low: 5, high: 10 };

function bankDays(a: App): string {
  const { say, intl } = a.text;
  return say("bank_days", { low: number(intl, BANK_DAYS.low), high: number(intl, BANK_DAYS.high) });
}

// ---------------------------------------------------------------------------------------------------------- before

export function confirm(a: App): VNode {
  const { say, money } = a.text;
  const { likely, order, problem: name, answer: answered } = a.intent!;
  const one = likely!;
  const amount = money(one.amount, one.currency);
  const action = one.actions.find((each) => a.text.has(`b_${each}`)) ?? "refund";
  return screen(
    a,
    "confirm",
    title(a, one, order),
    <p dir="auto">{one.because}</p>,
    amount && (
      <div class="sum">
        <b class="amount">{amount}</b>
        {one.to && <span class="quiet">{say("goes_to", { to: one.to })}</span>}
      </div>
    ),
    effect(a, one, name),
    failed(a),
    meant(button(a, "confirm", say(`b_${action}` as Key, { amount }), () => (answered === undefined ? openCase(a) : agree(a, answered)), "primary")),
    a.canGoBack && button(a, "not_now", say("not_now"), () => back(a), "plain"),
  );
}

/** A yes to what was read: not the second of two taps on what stood there before. */
function meant(yes: VNode): VNode {
  const onClickCapture = (event: MouseEvent): void => {
    if (isNervous(event)) event.stopImmediatePropagation();
  };
  Object.assign(yes.props, { onClickCapture });
  return yes;
}

function effect(a: App, one: Likely, name: string): VNode | null {
  const { say } = a.text;
  const texts: string[] = [];
  if (one.actions.includes("refund")) texts.push(bankDays(a));
  if (one.actions.includes("reissue_access") || one.actions.includes("replace_pass")) texts.push(say("old_stops"));
  if (one.held) texts.push(say("o_held"));
  if (name === "wants_refund") texts.push(say("then_stops"));
  return texts.length > 0 ? <p class="quiet">{prose(a, ...texts)}</p> : null;
}

// ---------------------------------------------------------------------------------------------------------- the case

export function caseScreen(a: App): VNode {
  const one = a.case!;
  const [head, ...content] = body(a, one);
  return screen(a, `case-${one.status}`, head as VNode, <p class="over">{one.show_name && [<bdi>{one.show_name}</bdi>, " · "]}
      <span class="quiet">{problem(a, one.problem)}</span></p>, content, one.question === null && conversation(a, one));
}

type Part = VNode | string | null | false;

function body(a: App, one: Case): (Part | Part[])[] {
  const { say } = a.text;
  switch (one.status) {
    case "working":
      return [say("working"), steps(a, one), <p class="quiet">{say("can_close")}</p>];
    case "asked":
      return asked(a, one);
    case "waiting":
      return [
        say("wait"),
        operations(a, one),
        state("waiting", "wait", because(one, "wait"), one.wait && <span class="quiet">{say("wait_until", { time: a.text.time(one.wait.until) })}</span>),
      ];
    case "with_people":
      return people(a, one);
    case "denied":
      return denied(a, one);
    case "closed":
      return [say("closed"), <p>{say("closed_why")}</p>];
    default:
      return done(a, one);
  }
}

function because(one: Case, outcome?: string): VNode[] {
  return one.answers.filter((each) => !outcome || each.outcome === outcome).map((each) => <p dir="auto">{each.because}</p>);
}

/** What is done and what is being done, in order. */
function steps(a: App, one: Case): VNode {
  const { say } = a.text;
  const decided = one.answers.length > 0;
  return (
    <ol class="steps">
      {step("check", say("w_here"))}
      {step(decided ? "check" : null, say(decided ? "w_checked" : "w_checking"))}
      {one.operations.map((each) => operation(a, each))}
    </ol>
  );
}

function step(mark: "check" | "wait" | "info" | null, text: string, more?: string | null): VNode {
  return (
    <li class={mark === "check" ? "settled" : mark === "info" ? "stopped" : mark === "wait" ? "needs" : ""}>
      {mark ? icon(mark) : <span class="ring" />}
      <span>
        {text}
        {more && <span class="quiet"> <bdi>{more}</bdi></span>}
      </span>
    </li>
  );
}

function operation(a: App, one: Operation): VNode {
  const mark = { working: null, sent: "check", done: "check", held: "wait", choose: "wait", could_not: "info" } as const;
  return step(mark[one.status], did(a, one), one.action === "refund" && one.status !== "choose" ? one.to : null);
}

/** One thing that is done for the customer, in a sentence. */
function did(a: App, one: Operation): string {
  const { say, has, money } = a.text;
  const values = { amount: money(one.amount, one.currency) };
  if (one.status === "held") return say("o_held");
  if (one.status === "choose") return say("o_choose");
  if (one.status === "could_not") return say(one.amount === null ? "o_could_not" : "o_could_not_pay", values);
  const key = `o_${one.action}_${one.status === "working" ? "working" : "sent"}`;
  return has(key) ? say(key, values) : say("w_checked");
}

function operations(a: App, one: Case): VNode | null {
  return one.operations.length > 0 ? <ol class="steps">{one.operations.map((each) => operation(a, each))}</ol> : null;
}

function asked(a: App, one: Case): (Part | Part[])[] {
  const { say, money } = a.text;
  const question = one.question!;
  if (question.fact === "identity") return [say("who"), <p class="quiet" dir="auto">{question.prompt}</p>, identity(a)];
  const operationChosen = one.operations.find((each) => each.status === "choose");
  if (a.way !== null && operationChosen) {
    const amount = money(operationChosen.amount, operationChosen.currency);
    const found = question.options.find((each) => each.value === a.way);
    const way = capital(a, found?.text ?? "");
    // The service's word for it, should the question be older than what it says now.
    const isAddressed = found?.needs_address === true || a.needs === "address";
    const send = (): Promise<void> => {
      if (isAddressed) a.needs = "address";
      else a.typed["account"] = "";
      return payOut(a);
    };
    if (a.needs === "strong") return [<span dir="auto">{way}</span>, <p>{say("strong")}</p>, strong(a)];
    return [
      <span dir="auto">{way}</span>,
      form(a, "payout", say("send_there", { amount }), send, isAddressed && field(a, "account", "where_account", { type: "email", inputMode: "email", dir: "ltr" })),
      button(a, "not_now", say("not_now"), () => a.set({ way: null, needs: null }), "plain"),
    ];
  }
  const choose = (value: string): Promise<void> | void => (operationChosen ? a.set({ way: value }) : answer(a, value));
  return [
    say(one.article ? "article" : "ask"),
    operations(a, one),
    because(one, "ask"),
    one.article ? (
      <a class="b row" href={one.article.url} target="_blank" rel="noopener noreferrer">
        <span class="row-text" dir="auto">{one.article.title}</span>
        {icon("next")}
      </a>
    ) : null,
    <p class="question" dir="auto">{question.prompt}</p>,
    failed(a) as VNode,
    question.options.length > 0 ? (
      <div class="rows">{question.options.map((each) => row(a, each.value, <bdi>{capital(a, each.text)}</bdi>, null, () => choose(each.value)))}</div>
    ) : (
      form(a, "answer", say("send"), () => answer(a, a.typed["answer"] ?? ""), field(a, "answer", "message", { maxLength: 200 }))
    ),
  ];
}

function strong(a: App): VNode {
  const { say } = a.text;
  return (
    <>
      {!a.api.isGuest && <p class="quiet">{say("strong_host")}</p>}
      {a.api.isGuest && a.help?.codes_by_text && button(a, "text", say("by_text"), () => sendCode(a, "text"), "primary")}
      {!a.api.isGuest && button(a, "strong", say("retry"), () => again(a), "primary")}
    </>
  );
}

function people(a: App, one: Case): (Part | Part[])[] {
  const { say, intl, time } = a.text;
  const agent = one.handoff?.agent;
  const quote = one.wait_quote;
  const isClosed = one.handoff ? !one.handoff.desk_open : a.help?.desk.open === false;
  const opens = one.handoff?.opens_at ?? a.help?.desk.opens_at;
  const when = isClosed && opens ? say("t_opens", { time: time(opens) }) : say("t_soon");
  const said = one.messages.some((each) => each.kind === "customer");
  return [
    agent ? say("t_has", { agent }) : say("t_team"),
    state(
      "waiting",
      "person",
      <p>{when}</p>,
      !isClosed && quote && !agent ? <p class="quiet">{say("t_quote", { low: lasting(intl, quote.low_seconds), high: lasting(intl, quote.high_seconds) })}</p> : null,
    ),
    operations(a, one),
    <section aria-label={say("t_know")}>
      <p class="over">{say("t_know")}</p>
      <ul class="known">
        <li>{problem(a, one.problem)}</li>
        {one.order && <li><bdi>{say("order", { order: one.order })}</bdi></li>}
        {because(one).map((each) => <li>{each}</li>)}
        {said && <li>{say("t_wrote")}</li>}
      </ul>
    </section>,
  ];
}

function denied(a: App, one: Case): (Part | Part[])[] {
  const { say } = a.text;
  const changes = [...new Set(one.answers.map((each) => each.would_change).filter(Boolean))];
  return [
    say("denied"),
    because(one),
    changes.length > 0 && (
      <section aria-label={say("change")}>
        <p class="over">{say("change")}</p>
        {changes.map((each) => <p dir="auto">{each}</p>)}
      </section>
    ),
    button(a, "person", say("again"), () => person(a), "primary"),
  ];
}

function done(a: App, one: Case): (Part | Part[])[] {
  const { say } = a.text;
  const settled = one.operations.filter((each) => each.status !== "could_not");
  const first = settled[0] ?? one.operations[0];
  const money = one.operations.find((each) => each.action === "refund" && each.status === "sent");
  return [
    <span class="done">
      {icon("check")}
      {first ? did(a, first) : say("done")}
    </span>,
    money?.to ? <p>{prose(a, say("goes_to", { to: money.to }), ...(money.chosen ? [] : [bankDays(a)]))}</p> : null,
    one.operations.length > 1 && operations(a, one),
    because(one),
    one.operations.length > 0 && proof(a, one),
    needed(a),
  ];
}

function proof(a: App, one: Case): VNode {
  const { say, time } = a.text;
  return (
    <details>
      <summary>{say("proof")}</summary>
      <dl>
        {one.operations.map((each) => (
          <>
            <dt>{did(a, each)}</dt>
            <dd>{each.sent_at && time(each.sent_at)} <bdi>{each.to}</bdi></dd>
            {each.reference && id(a, say("bank_ref"), each.reference)}
            {id(a, say("our_ref"), each.id)}
          </>
        ))}
      </dl>
    </details>
  );
}

function id(a: App, label: string, value: string): VNode {
  const { say } = a.text;
  return (
    <>
      <dt>{label}</dt>
      <dd class="id">
        <code>{value}</code>
        {button(a, value, say(a.copied === value ? "copied" : "copy"), () => copy(a, value), "link")}
      </dd>
    </>
  );
}

function needed(a: App): VNode {
  const { say } = a.text;
  if (a.scored) return <p class="needed">{say("thanks")}</p>;
  return (
    <div class="needed" role="group" aria-label={say("needed")}>
      <span>{say("needed")}</span>
      {button(a, "yes", say("yes"), () => score(a, 5))}
      {button(a, "no", say("no"), () => score(a, 1))}
    </div>
  );
}

// ---------------------------------------------------------------------------------------------------------- words to and fro

function conversation(a: App, one: Case): VNode | null {
  const { say, time } = a.text;
  const isOpen = one.status === "with_people" || one.status === "closed" || one.messages.some((each) => each.kind === "reply");
  if (one.messages.length === 0 && !isOpen) return null;
  return (
    <>
      <ul class="messages">
        {one.messages.map((each) => (
          <li key={each.id} class={each.kind}>
            <span class="quiet">
              <bdi>{each.kind === "customer" ? say("you") : each.author}</bdi> · {time(each.created_at)}
            </span>
            <p dir="auto">{each.body}</p>
            {each.attachments.map((file) => button(a, file.id, [icon("file"), <bdi>{file.name}</bdi>], () => save(a, file.id, file.name), "link"))}
          </li>
        ))}
      </ul>
      {isOpen && form(a, "say", say("send"), () => write(a), field(a, "message", "message", { rows: 2, maxLength: 5000 }))}
    </>
  );
}
