// Acting: what would happen is shown in place, a yes needs a reason, and is bound to the facts that were seen. The result lands on the timeline.
import { useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { ApiProblem, get, post } from "../api";
import { Failed, Field, Notice, Skeleton, Tag } from "../components/bits";
import { Button } from "../components/button";
import { Icon } from "../components/icon";
import { Moment } from "../components/time";
import { ReasonField } from "../components/reason";
import type { ApprovedShown, CaseShown, HeldPreview, NewAction, PreviewShown } from "../contract";
import { useKeys } from "../keys";
import { announce } from "../store/announce";
import { isLead } from "../store/session";
import { money, say } from "../words";
import { ChooseAction } from "./ChooseAction";
import { factValue } from "../pages/say";
import type { OrderMoney } from "./open-case";

export type Doing =
  | { kind: "preview"; action: NewAction }
  | { kind: "held"; operation: string }
  | { kind: "choose"; order: Record<string, unknown> | null; money: OrderMoney | undefined };

interface Props {
  id: string;
  doing: Doing;
  canTake: boolean;
  onTake: () => Promise<void>;
  onDone: (shown?: CaseShown) => void;
  onClose: () => void;
}

interface Inside extends Props {
  whileSent: <T>(act: () => Promise<T>) => Promise<T>;
}

export function ActionPanel(props: Props) {
  const { doing } = props;
  const panel = useRef<HTMLElement>(null);
  // Focus goes to what is asked, and comes back to where it was.
  useLayoutEffect(() => {
    const before = document.activeElement;
    const here = panel.current;
    here?.focus();
    here?.scrollIntoView({ block: "nearest" });
    return () => {
      const away = document.activeElement !== document.body && !here?.contains(document.activeElement);
      if (!away && before instanceof HTMLElement && before.isConnected) before.focus({ preventScroll: true });
    };
  }, []);
  // While it is open, letters are for its fields: none of them acts on the case behind it.
  // Once somebody has said yes, the keys are the case's again: the answer may take a moment.
  const sent = useSignal(false);
  useKeys([{ key: "Escape", label: "Close, do nothing", group: "What would happen", run: props.onClose }], { modal: !sent.value });
  const whileSent = async <T,>(act: () => Promise<T>): Promise<T> => {
    const field = document.activeElement;
    sent.value = true;
    if (field instanceof HTMLElement && panel.current?.contains(field)) field.blur();
    try {
      return await act();
    } finally {
      sent.value = false;
    }
  };
  const close = (event: KeyboardEvent): void => {
    if (event.key !== "Escape") return;
    event.stopPropagation();
    props.onClose();
  };
  const title = doing.kind === "held" ? "Waits for a yes" : doing.kind === "choose" ? "What to do" : "What would happen";
  return (
    <section class="card case-card acting" ref={panel} tabIndex={-1} aria-labelledby="acting-title" onKeyDown={close}>
      <header>
        <h2 id="acting-title">{title}</h2>
        <span class="push">
          <Button kind="plain" icon="close" iconOnly action={props.onClose}>
            Close, do nothing
          </Button>
        </span>
      </header>
      {doing.kind === "preview" ? <Preview {...props} whileSent={whileSent} action={doing.action} /> : null}
      {doing.kind === "held" ? <HeldOperation {...props} whileSent={whileSent} operation={doing.operation} /> : null}
      {doing.kind === "choose" ? <Chosen {...props} whileSent={whileSent} order={doing.order} money={doing.money} /> : null}
    </section>
  );
}

/** First what, then what would happen. */
function Chosen(props: Inside & { order: Record<string, unknown> | null; money: OrderMoney | undefined }) {
  const action = useSignal<NewAction | null>(null);
  if (action.value === null) return <ChooseAction order={props.order} money={props.money} onChosen={(chosen) => (action.value = chosen)} />;
  return (
    <>
      <p>
        <Button kind="plain" icon="back" action={() => (action.value = null)}>
          Choose again
        </Button>
      </p>
      <Preview {...props} action={action.value} />
    </>
  );
}

// ---------------------------------------------------------------------------------------------------------------------- preview

function Preview({ id, action, canTake, onTake, onDone, whileSent }: Inside & { action: NewAction }) {
  const shown = useSignal<PreviewShown | null>(null);
  const before = useSignal<PreviewShown | null>(null);
  const error = useSignal<unknown>(undefined);
  const reason = useSignal("");
  const look = async (): Promise<void> => {
    error.value = undefined;
    try {
      shown.value = await post<PreviewShown>(`/v1/cases/${id}/previews`, action, { intent: "preview" });
      announce(shown.value.sentence);
    } catch (failure) {
      error.value = failure;
    }
  };
  useEffect(() => void look(), []);

  const now = shown.value;
  if (error.value !== undefined) return <Failed error={error.value} again={look} />;
  if (!now) return <Skeleton lines={4} />;

  const confirm = async (): Promise<void> => {
    try {
      onDone(await whileSent(() => post<CaseShown>(`/v1/cases/${id}/actions`, { preview: now.id, reason: reason.value.trim() }, { intent: "act" })));
      announce(`${now.sentence} Done; it stands on the timeline.`);
    } catch (failure) {
      const next = movedTo(failure);
      if (next) {
        before.value = now;
        shown.value = next;
        announce("Nothing was done: the facts have moved. Look again.");
      } else if (failure instanceof ApiProblem && /expired|used|over/.test(failure.code)) {
        await look();
        throw new ApiProblem(failure.status, { ...failure.body, title: "What you saw was too old, so nothing was done", detail: "It is shown anew: look again, then confirm." });
      } else throw failure;
    }
  };
  const alone = now.people_needed <= 1;
  return (
    <>
      {before.value ? <Moved was={before.value} now={now} /> : null}
      <What preview={now} />
      {now.can_confirm && now.id !== null ? (
        <ReasonForm reason={reason} label="Why, in your words" hint="It stands on the timeline, for everyone who looks at this case.">
          <Button type="submit" kind="primary" action={confirm} disabled={reason.value.trim().length < 3} why="Say why first">
            {alone ? verb(now) : `Propose: ${verb(now).charAt(0).toLowerCase()}${verb(now).slice(1)}`}
          </Button>
          {alone ? null : <p class="quiet small">A second person sees what you see now, and agrees or not.</p>}
        </ReasonForm>
      ) : canTake ? (
        <div class="row wrap">
          <Button kind="primary" action={() => onTake().then(look)}>
            Take the case, then look again
          </Button>
        </div>
      ) : null}
    </>
  );
}

function movedTo(failure: unknown): PreviewShown | null {
  if (!(failure instanceof ApiProblem) || failure.code !== "facts_moved") return null;
  const found: unknown = failure.body["preview"];
  return typeof found === "object" && found !== null ? (found as PreviewShown) : null;
}

/** The verb of a button, with its object and amount. */
function verb(preview: PreviewShown): string {
  if (preview.action.action === "refund") return `Send back ${money(preview.amount ?? 0, preview.currency)}`;
  const words: Readonly<Record<string, string>> = { reissue_access: "Make the new link", resend_pass: "Send the ticket again", replace_pass: "Replace the ticket", void_pass: "Void the ticket" };
  return words[preview.action.action] ?? say("action", preview.action.action);
}

function What({ preview }: { preview: PreviewShown }) {
  return (
    <div class="what">
      <p class="what-sentence">{preview.sentence}</p>
      {preview.effects.length > 0 ? (
        <ul class="what-list">
          {preview.effects.map((one) => (
            <li key={one}>
              <Icon name="right" />
              <span>{one}</span>
            </li>
          ))}
        </ul>
      ) : null}
      {preview.guards.map((one) => (
        <Notice key={one.id} hue={preview.can_confirm ? "needs" : "stopped"} icon={preview.can_confirm ? "people" : "stop"}>
          {one.text}
        </Notice>
      ))}
      {preview.guards.length === 0 && !preview.can_confirm ? <Notice hue="stopped">This cannot be done now.</Notice> : null}
      <details class="more">
        <summary>Facts it stands on</summary>
        <FactList preview={preview} moved={[]} />
      </details>
    </div>
  );
}

function FactList({ preview, moved }: { preview: PreviewShown; moved: readonly string[] }) {
  return (
    <dl class="facts">
      {preview.facts.map((one) => (
        <div key={one.name} class={moved.includes(one.name) ? "moved" : undefined}>
          <dt>{one.label}</dt>
          <dd>
            {factValue(one, preview.currency)}
            {moved.includes(one.name) ? <Tag hue="needs">moved</Tag> : null}
          </dd>
        </div>
      ))}
    </dl>
  );
}

function Moved({ was, now }: { was: PreviewShown; now: PreviewShown }) {
  const old = new Map(was.facts.map((one) => [one.name, one]));
  const changed = now.facts.filter((one) => old.get(one.name)?.value !== one.value);
  return (
    <div role="alert">
      <Notice hue="needs">
        <p class="strong">Nothing was done: the facts moved while you looked.</p>
        <ul>
          {changed.map((one) => (
            <li key={one.name}>
              {one.label}: was {factValue(old.get(one.name), was.currency)}, is {factValue(one, now.currency)}
            </li>
          ))}
        </ul>
        <p>Below is what it would do now.</p>
      </Notice>
    </div>
  );
}

interface ReasonProps {
  reason: { value: string };
  label: string;
  hint?: string;
  children: ComponentChildren;
}

function ReasonForm({ reason, label, hint, children }: ReasonProps) {
  const form = useRef<HTMLFormElement>(null);
  // The reason is the one thing that is asked: the caret waits there, unless somebody has gone elsewhere.
  useLayoutEffect(() => {
    if (document.activeElement?.classList.contains("acting")) form.current?.querySelector("textarea")?.focus();
  }, []);
  return (
    <form class="stack" ref={form} onSubmit={(event) => event.preventDefault()}>
      <ReasonField reason={reason} label={label} hint={hint} />
      <div class="row wrap acting-foot">{children}</div>
    </form>
  );
}

// ------------------------------------------------------------------------------------------------------- the second person's page

function HeldOperation({ operation, onDone, whileSent }: Inside & { operation: string }) {
  const shown = useSignal<HeldPreview | null>(null);
  const error = useSignal<unknown>(undefined);
  const moved = useSignal(false);
  const reason = useSignal("");
  const look = async (): Promise<void> => {
    error.value = undefined;
    try {
      shown.value = await get<HeldPreview>(`/v1/operations/${operation}/preview`);
    } catch (failure) {
      error.value = failure;
    }
  };
  useEffect(() => void look(), []);

  const held = shown.value;
  if (error.value !== undefined) return <Failed error={error.value} again={look} />;
  if (!held) return <Skeleton lines={5} />;

  const agree = async (): Promise<void> => {
    try {
      const agreed = { reason: reason.value.trim(), facts_hash: held.now.facts_hash };
      const answer = await whileSent(() => post<ApprovedShown>(`/v1/operations/${operation}/approve`, agreed, { intent: "approve" }));
      announce(answer.status === "released" ? "Agreed; it goes out now." : `Agreed: ${answer.given} of ${answer.needed}.`);
      onDone();
    } catch (failure) {
      if (!(failure instanceof ApiProblem) || failure.code !== "facts_moved") throw failure;
      moved.value = true;
      await look();
      announce("Nothing was done: the facts have moved. Look again.");
    }
  };
  const refuse = async (): Promise<void> => {
    await post(`/v1/operations/${operation}/refuse`, { reason: reason.value.trim() }, { intent: "refuse" });
    announce("Said no; what it had reserved is free again.");
    onDone();
  };
  const noReason = reason.value.trim().length < 3;
  const outside = held.now.guards.some((one) => one.id === "outside");
  const unsure = held.now.facts.some((one) => one.name === "operation.state" && one.value === "NEEDS_REVIEW");
  return (
    <>
      {moved.value ? (
        <div role="alert">
          <Notice hue="needs">Nothing was done: the facts moved while you looked. This is how it stands now.</Notice>
        </div>
      ) : null}
      {held.proposed ? (
        <p class="proposed">
          <Icon name="people" />
          <span>
            <span class="strong">{held.proposed.by.replace(/^agent:/, "")}</span> proposed this <Moment at={held.proposed.at} />: “{held.proposed.reason}”
          </span>
        </p>
      ) : (
        <p class="quiet">The rules decided this; people have to agree before it goes out.</p>
      )}
      <What preview={held.now} />
      {held.proposed && held.moved.length > 0 ? (
        <div class="stack">
          <Notice hue="needs">
            <p class="strong">Since then, {held.moved.length === 1 ? "one fact has" : `${held.moved.length} facts have`} moved.</p>
            <ul>
              {held.moved.map((name) => {
                const was = held.proposed?.preview.facts.find((one) => one.name === name);
                const is = held.now.facts.find((one) => one.name === name);
                return (
                  <li key={name}>
                    {is?.label ?? was?.label ?? name}: was {factValue(was, held.now.currency)}, is {factValue(is, held.now.currency)}
                  </li>
                );
              })}
            </ul>
          </Notice>
          <details class="more">
            <summary>What {held.proposed.by.replace(/^agent:/, "")} saw</summary>
            <p>{held.proposed.preview.sentence}</p>
            <FactList preview={held.proposed.preview} moved={held.moved} />
          </details>
        </div>
      ) : held.proposed ? (
        <p class="quiet small">Everything {held.proposed.by.replace(/^agent:/, "")} saw is still so.</p>
      ) : null}
      <ReasonForm reason={reason} label="Why you agree, or not">
        <Button type="submit" kind="primary" action={agree} disabled={noReason || !held.now.can_confirm} why={noReason ? "Say why first" : "It cannot go out now"}>
          {held.now.action.action === "refund" ? `Agree to ${money(held.now.amount ?? 0, held.now.currency)}` : `Agree: ${verb(held.now).toLowerCase()}`}
        </Button>
        <Button kind="danger" action={refuse} disabled={noReason} why="Say why first">
          Say no
        </Button>
      </ReasonForm>
      {outside ? <Settle operation={operation} onDone={onDone} /> : null}
      {unsure && isLead.value ? <Judge operation={operation} onDone={onDone} /> : null}
    </>
  );
}

/** People sent it by themselves: its reference ends it. */
function Settle({ operation, onDone }: { operation: string; onDone: () => void }) {
  const reference = useSignal("");
  const settle = async (): Promise<void> => {
    await post(`/v1/operations/${operation}/settle`, { reference: reference.value.trim() }, { intent: "settle" });
    onDone();
  };
  return (
    <form class="stack" onSubmit={(event) => event.preventDefault()}>
      <Field label="Reference of the transfer" hint="As your bank shows it, once the money was sent by hand.">
        {(ids) => <input {...ids} class="input" maxLength={100} value={reference.value} onInput={(event) => (reference.value = event.currentTarget.value)} />}
      </Field>
      <div>
        <Button type="submit" action={settle} disabled={reference.value.trim() === ""} why="Type the reference first">
          Record the transfer
        </Button>
      </div>
    </form>
  );
}

/** Nobody could be sure: what a lead found at the processor ends it. */
function Judge({ operation, onDone }: { operation: string; onDone: () => void }) {
  const reference = useSignal("");
  const judge = async (found: boolean): Promise<void> => {
    const typed = reference.value.trim();
    await post(`/v1/operations/${operation}/judge`, typed === "" ? { moved: found } : { moved: found, reference: typed }, { intent: `judge:${String(found)}` });
    onDone();
  };
  return (
    <form class="stack" onSubmit={(event) => event.preventDefault()}>
      <Notice hue="needs">Nobody could be sure whether this happened. Look at the processor, then say what its records show.</Notice>
      <Field label="Reference at the processor" hint="Needed when it did happen.">
        {(ids) => <input {...ids} class="input" maxLength={100} value={reference.value} onInput={(event) => (reference.value = event.currentTarget.value)} />}
      </Field>
      <div class="row wrap">
        <Button action={() => judge(true)}>It did happen</Button>
        <Button action={() => judge(false)}>It did not happen</Button>
      </div>
    </form>
  );
}
