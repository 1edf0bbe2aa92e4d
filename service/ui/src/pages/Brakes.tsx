// The brakes: what is paused, by whom and why; each way of payment as it does; and the one place to pause and to resume.
import { useSignal } from "@preact/signals";
import { ApiProblem, del, get, put, withQuery } from "../api";
import { Empty, Field, Notice, Tag } from "../components/bits";
import { Button } from "../components/button";
import { Dialog } from "../components/dialog";
import { Ago } from "../components/time";
import { announce } from "../store/announce";
import { isLead } from "../store/session";
import { actor, lasting, listed, number, say, spoken } from "../words";
import { Head, Read, usePolled } from "./frame";
import { OTHER_RAILS, RailMark, railName } from "./rail-mark";
import { sentence } from "./say";
import type { Brake, Rail } from "../contract";
import { TableCards } from "./table-cards";
import "./brakes.css";

// A brake holds within two seconds in every process; what others pause is seen here soon after.
const SECONDS = 5;

type Target = Pick<Brake, "scope" | "ref">;

export default function BrakesPage() {
  const brakes = usePolled("/v1/brakes", SECONDS, readBrakes);
  const rails = usePolled<{ rails: Rail[] }>("/v1/rails", SECONDS);
  const pausing = useSignal<Target | null | "choose">(null);
  const resuming = useSignal<Brake | null>(null);
  const changed = async (): Promise<void> => {
    await Promise.all([brakes.reload(), rails.reload()]);
  };
  return (
    <div class="page stack-l">
      <Head title="Brakes" about="Pausing stops what has not been sent. What was sent is followed up all the same, and nobody is paid twice.">
        {isLead.value ? (
          <Button kind="danger" icon="pause" action={() => (pausing.value = "choose")}>
            Pause something
          </Button>
        ) : null}
      </Head>
      <section class="stack" aria-labelledby="paused">
        <h2 id="paused">Paused now</h2>
        <Read from={brakes} lines={2}>
          {(shown) => (shown === null ? <OnlyLeads /> : <Paused brakes={shown} resume={(one) => (resuming.value = one)} />)}
        </Read>
      </section>
      <section class="stack" aria-labelledby="ways">
        <h2 id="ways">Ways of payment</h2>
        <Read from={rails} lines={4}>
          {(shown) => <Rails rails={shown.rails} brakes={brakes.data.value ?? []} pause={(ref) => (pausing.value = { scope: "rail", ref })} />}
        </Read>
      </section>
      {pausing.value === null ? null : (
        <Pause target={pausing.value} rails={rails.data.value?.rails ?? []} onClose={() => (pausing.value = null)} onDone={changed} />
      )}
      {resuming.value === null ? null : <Resume brake={resuming.value} onClose={() => (resuming.value = null)} onDone={changed} />}
    </div>
  );
}

/** null: this is for leads */
async function readBrakes(path: string, options: { signal: AbortSignal; byItself: boolean }): Promise<Brake[] | null> {
  try {
    return (await get<{ brakes: Brake[] }>(path, options)).brakes;
  } catch (error) {
    if (error instanceof ApiProblem && error.status === 403) return null;
    throw error;
  }
}

function OnlyLeads() {
  return (
    <Notice hue="none" icon="people">
      What is paused is for leads to see and to change. Ask one on your shift when something looks wrong: pausing takes two seconds.
    </Notice>
  );
}

// ---------------------------------------------------------------------------------------------------------------- what is paused

const WHOLE: Readonly<Record<Brake["scope"], string>> = { all: "Everything", action: "An action", rail: "A way of payment", show: "A show" };

function named({ scope, ref }: Target): string {
  if (scope === "all") return "Everything";
  return scope === "action" ? say("action", ref) : scope === "rail" ? railName(ref) : ref;
}

function Paused({ brakes, resume }: { brakes: readonly Brake[]; resume: (one: Brake) => void }) {
  if (brakes.length === 0)
    return (
      <div class="card">
        <Empty title="Nothing is paused">What a lead pauses shows here, with who, when and why. Press “Pause something” to hold back an action, a way of payment, a show or everything.</Empty>
      </div>
    );
  return (
    <ul class="brakes">
      {brakes.map((one) => (
        <li key={`${one.scope}/${one.ref}`} class="card brake">
          <div class="stack-s">
            <p class="row wrap">
              <Tag hue="stopped" icon="pause">
                paused
              </Tag>
              <strong>{named(one)}</strong>
              {one.scope === "all" ? null : <span class="quiet small">{WHOLE[one.scope].toLowerCase()}</span>}
            </p>
            <p>{sentence(one.reason)}</p>
            <p class="quiet small">
              {actor(one.actor)}, <Ago at={one.created_at} />
            </p>
          </div>
          <Button action={() => resume(one)}>Resume {lowered(named(one))}</Button>
        </li>
      ))}
    </ul>
  );
}

// -------------------------------------------------------------------------------------------------------------------------- rails

function Rails({ rails, brakes, pause }: { rails: readonly Rail[]; brakes: readonly Brake[]; pause: (name: string) => void }) {
  const paused = new Set(brakes.filter((one) => one.scope === "rail").map((one) => one.ref));
  if (rails.length === 0)
    return (
      <div class="card">
        <Empty title="No way of payment is set up">Each one shows here with its state and what waits on it, once the installation has it.</Empty>
      </div>
    );
  return (
      <TableCards
        caption="Ways of payment"
        rows={rails}
        keyOf={(one) => one.name}
        columns={[
          {
            title: "Name",
            cell: (one) => (
              <>
                <strong>{railName(one.name)}</strong>
                <div class="quiet small">{one.pays === "back" ? "pays back where the money came from" : "pays out to where the customer chose"}</div>
              </>
            ),
          },
          {
            title: "State",
            cell: (one) => (
              <div class="stack-s">
                <span class="row wrap">
                  <RailMark state={one.state} />
                  {paused.has(one.name) ? (
                    <Tag hue="stopped" icon="pause">
                      paused by people
                    </Tag>
                  ) : null}
                </span>
                <span class="quiet small">{why(one)}</span>
                {one.since ? (
                  <span class="quiet small">
                    since <Ago at={one.since} />
                  </span>
                ) : null}
              </div>
            ),
          },
          { title: "Pace", number: true, cell: (one) => (one.pace_per_second === null ? <span class="quiet">as it comes</span> : `${number(one.pace_per_second)} a second`) },
          {
            title: "Waiting there",
            number: true,
            cell: (one) =>
              one.backlog.operations === 0 ? (
                <span class="quiet">nothing</span>
              ) : (
                <>
                  <strong>{number(one.backlog.operations)}</strong>
                  <div class="quiet small">oldest {lasting(one.backlog.oldest_seconds)}</div>
                </>
              ),
          },
          { title: "New payments", cell: (one) => (one.pays === "out" ? <span class="quiet">none, pays out only</span> : one.take_new_payments ? "take them" : "take them elsewhere") },
          ...(isLead.value
            ? [{ title: "Brake", number: true, cell: (one: Rail) => (paused.has(one.name) ? null : <Button action={() => pause(one.name)}>Pause {railName(one.name)}</Button>) }]
            : []),
        ]}
      />
  );
}

const WHYS: Readonly<Record<string, string>> = {
  authentication: "It refuses our key: give it a new one, then resume.",
  unreachable: "It gives no answer. What waits goes by itself once it does.",
};

function why(rail: Rail): string {
  if (rail.state === "closed") return rail.waits_until ? "It asked us to go slower for a moment." : "";
  return WHYS[rail.why] ?? (rail.why ? sentence(spoken(rail.why)) : "");
}

// -------------------------------------------------------------------------------------------------------- pausing and resuming

interface PauseProps {
  target: Target | "choose";
  rails: readonly Rail[];
  onClose: () => void;
  onDone: () => Promise<void>;
}

function Pause({ target, rails, onClose, onDone }: PauseProps) {
  const fixed = target === "choose" ? null : target;
  const scope = useSignal<Brake["scope"]>(fixed?.scope ?? "action");
  const ref = useSignal(fixed?.ref ?? "refund");
  const reason = useSignal("");
  const typed = useSignal("");
  const whole: Target = { scope: scope.value, ref: scope.value === "all" ? "-" : ref.value.trim() };
  const name = named(whole);
  const ready = reason.value.trim().length >= 3 && whole.ref !== "" && confirms(typed.value, name);
  const pause = async (): Promise<void> => {
    await put(`/v1/brakes/${whole.scope}/${encodeURIComponent(whole.ref)}`, { reason: reason.value.trim() });
    await onDone();
    announce(`${name} is paused`);
    onClose();
  };
  const choose = (chosen: Brake["scope"]): void => {
    scope.value = chosen;
    ref.value = chosen === "action" ? "refund" : chosen === "rail" ? (rails[0]?.name ?? "") : "";
  };
  return (
    <Dialog title={fixed ? `Pause ${lowered(name)}` : "Pause something"} onClose={onClose}>
      <form class="stack" onSubmit={(event) => event.preventDefault()}>
        {fixed ? null : (
          <fieldset class="brake-scopes">
            <legend class="label">What should stand still?</legend>
            {(["action", "rail", "show", "all"] as const).map((one) => (
              <label key={one} class="check">
                <input type="radio" name="scope" checked={scope.value === one} onChange={() => choose(one)} />
                <span>{WHOLE[one]}</span>
              </label>
            ))}
          </fieldset>
        )}
        {fixed || scope.value === "all" ? null : <Which scope={scope.value} value={ref.value} rails={rails} set={(to) => (ref.value = to)} />}
        <Field label="Why?" hint="Everyone at the desk reads this for as long as it is paused.">
          {(ids) => <input {...ids} class="input" maxLength={500} value={reason} onInput={(event) => (reason.value = event.currentTarget.value)} />}
        </Field>
        <TypedName name={name} value={typed.value} set={(to) => (typed.value = to)} />
        <p class="quiet">{effect(whole.scope)}</p>
        <div class="row wrap">
          <Button type="submit" kind="danger" icon="pause" action={pause} disabled={!ready} why="Give the reason and type the name first">
            Pause {lowered(name)}
          </Button>
          <Button kind="plain" action={onClose}>
            Leave it running
          </Button>
        </div>
      </form>
    </Dialog>
  );
}

function effect(scope: Brake["scope"]): string {
  const what = scope === "all" ? "Nothing" : "None of it";
  return `${what} is sent from two seconds after you press. Customers are told that it is being worked on; cases and answers go on.`;
}

function Which({ scope, value, rails, set }: { scope: Brake["scope"]; value: string; rails: readonly Rail[]; set: (to: string) => void }) {
  if (scope === "show")
    return (
      <Field label="Which show?" hint="Its reference, as your platform writes it.">
        {(ids) => <input {...ids} class="input" maxLength={100} autoComplete="off" value={value} onInput={(event) => set(event.currentTarget.value)} />}
      </Field>
    );
  const names: readonly (readonly [string, string])[] =
    scope === "action" ? listed("action").filter(([one]) => one !== "cancel_payment") : [...rails.map((one) => one.name), ...OTHER_RAILS].map((one) => [one, railName(one)]);
  return (
    <Field label={scope === "action" ? "Which action?" : "Which way?"}>
      {(ids) => (
        <select {...ids} class="input" value={value} onChange={(event) => set(event.currentTarget.value)}>
          {names.map(([code, name]) => (
            <option key={code} value={code}>
              {name}
            </option>
          ))}
        </select>
      )}
    </Field>
  );
}

interface ResumeProps {
  brake: Brake;
  onClose: () => void;
  onDone: () => Promise<void>;
}

function Resume({ brake, onClose, onDone }: ResumeProps) {
  const reason = useSignal("");
  const typed = useSignal("");
  const name = named(brake);
  const ready = reason.value.trim() !== "" && confirms(typed.value, name);
  const resume = async (): Promise<void> => {
    await del(withQuery(`/v1/brakes/${brake.scope}/${encodeURIComponent(brake.ref)}`, { reason: reason.value.trim() }));
    await onDone();
    announce(`${name} goes on`);
    onClose();
  };
  return (
    <Dialog title={`Resume ${lowered(name)}`} onClose={onClose}>
      <form class="stack" onSubmit={(event) => event.preventDefault()}>
        <p>
          {actor(brake.actor)} paused this <Ago at={brake.created_at} />: {sentence(brake.reason)}
        </p>
        <p>What was held back goes out at once, unless something else that is paused holds it too.</p>
        <Field label="Why can it go on?">
          {(ids) => <input {...ids} class="input" maxLength={500} value={reason} onInput={(event) => (reason.value = event.currentTarget.value)} />}
        </Field>
        <TypedName name={name} value={typed.value} set={(to) => (typed.value = to)} />
        <div class="row wrap">
          <Button type="submit" kind="primary" action={resume} disabled={!ready} why="Give the reason and type the name first">
            Resume {lowered(name)}
          </Button>
          <Button kind="plain" action={onClose}>
            Leave it paused
          </Button>
        </div>
      </form>
    </Dialog>
  );
}

function TypedName({ name, value, set }: { name: string; value: string; set: (to: string) => void }) {
  return (
    <Field label={`Type “${name}” to confirm`} hint="So that nothing stands still, or starts, by one wrong key.">
      {(ids) => <input {...ids} class="input" autoComplete="off" spellcheck={false} value={value} onInput={(event) => set(event.currentTarget.value)} />}
    </Field>
  );
}

function confirms(typed: string, name: string): boolean {
  return typed.trim().toLowerCase() === name.toLowerCase();
}

/** In the middle of a sentence only what we name ourselves loses its capital; names keep theirs. */
function lowered(name: string): string {
  const ours = name === "Everything" || listed("action").some(([, words]) => words === name) || OTHER_RAILS.map(railName).includes(name);
  return ours && name !== "E-mail" ? name.charAt(0).toLowerCase() + name.slice(1) : name;
}
