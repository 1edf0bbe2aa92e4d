// The playbook of a case: steps in order, words for the agent's own voice, and the promises of time. Nothing of it acts by itself.
import { useSignal } from "@preact/signals";
import { Tag } from "../components/bits";
import { Button } from "../components/button";
import { Left } from "../components/time";
import type { Guide as GuideShown, GuideClock, NewAction } from "../contract";
import { lasting, say } from "../words";

interface Props {
  guide: GuideShown | undefined;
  onAction: (action: NewAction) => void;
  onMacro: (macro: string) => void;
  onScript: (text: string) => void;
}

export function Guide({ guide, onAction, onMacro, onScript }: Props) {
  // Which steps one has done is for oneself, while the case is open.
  const done = useSignal<ReadonlySet<number>>(new Set());
  if (!guide) return null;
  const mark = (n: number): void => {
    const next = new Set(done.value);
    if (!next.delete(n)) next.add(n);
    done.value = next;
  };
  return (
    <section class="card case-card" aria-labelledby="guide-title">
      <header>
        <h2 id="guide-title">{guide.playbook.title}</h2>
        {guide.escalates_to ? <span class="quiet small push">then {say("skill", guide.escalates_to)}</span> : null}
      </header>
      <p class="quiet">{guide.playbook.why}</p>
      {guide.steps.length > 0 ? (
        <ol class="steps">
          {guide.steps.map((one, n) => (
            <li key={one.text} class={done.value.has(n) ? "done" : undefined}>
              <label class="check">
                <input type="checkbox" checked={done.value.has(n)} onChange={() => mark(n)} />
                <span>{one.text}</span>
              </label>
              {one.action || one.macro ? (
                <div class="row wrap step-acts">
                  <StepAction step={one.action} onAction={onAction} />
                  {one.macro ? <Button action={() => one.macro && onMacro(one.macro)}>Use the text</Button> : null}
                </div>
              ) : null}
            </li>
          ))}
        </ol>
      ) : null}
      {guide.scripts.length > 0 ? (
        <details class="more">
          <summary>Words to use</summary>
          <ul class="stack">
            {guide.scripts.map((one) => (
              <li key={one.title} class="script">
                <h3>{one.title}</h3>
                <p>{one.text}</p>
                <Button action={() => onScript(one.text)}>Put into the reply</Button>
              </li>
            ))}
          </ul>
        </details>
      ) : null}
      {guide.clocks.length > 0 ? (
        <ul class="clocks">
          {guide.clocks.map((one) => (
            <li key={`${one.kind}${one.started_at}`}>
              <Clock clock={one} />
            </li>
          ))}
        </ul>
      ) : null}
    </section>
  );
}

/** A playbook says what kind of thing to do; which charge or ticket it is for, the case knows. */
function StepAction({ step, onAction }: { step: Readonly<Record<string, unknown>> | null; onAction: (action: NewAction) => void }) {
  const kind = step?.["action"];
  if (step === null || typeof kind !== "string") return null;
  return <Button action={() => onAction({ ...(step as Partial<NewAction>), action: kind })}>{say("action", kind)}: see what it would do</Button>;
}

function Clock({ clock }: { clock: GuideClock }) {
  const name = say("clock", clock.kind);
  if (clock.ended_at)
    return (
      <Tag hue={clock.met ? "settled" : "stopped"}>
        {name}: {clock.met ? "in time" : "late"}
      </Tag>
    );
  if (clock.due_at === null)
    return (
      <Tag hue="none" icon="pause">
        {name}: {lasting(clock.left_seconds ?? 0)} left, {say("pause", clock.paused_for)}
      </Tag>
    );
  return (
    <Tag hue={clock.breached_at ? "stopped" : clock.warned_at ? "needs" : "none"} icon={clock.breached_at ? "alert" : "clock"}>
      {name}: <Left key={clock.due_at} at={clock.due_at} />
    </Tag>
  );
}
