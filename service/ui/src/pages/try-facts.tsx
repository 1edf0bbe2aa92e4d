// The box to try facts: start from the ordinary situation or an example, change what you like, see which rule decides and what was asked before.
import { useId, useState } from "preact/hooks";
import { post } from "../api";
import { Tag, type Hue } from "../components/bits";
import { Button } from "../components/button";
import { number, plural, say, spoken } from "../words";
import { factName, inWords } from "./conditions";
import { sentence } from "./say";
import type { PackTable, Tried } from "../contract";

type Facts = Readonly<Record<string, unknown>>;

export function TryFacts({ pack }: { pack: PackTable }) {
  const starts = pack.rules.flatMap((rule) => rule.examples.map((one) => ({ rule: rule.id, ...one })));
  const ordinary: Facts = { problem: pack.usual["problem"] ?? pack.problems[0] };
  // What is set here; everything else is as usual.
  const [facts, setFacts] = useState<Facts>(ordinary);
  const [tried, setTried] = useState<Tried | null>(null);
  const usual = Object.keys(pack.facts).filter((name) => !(name in facts));

  const start = (at: string): void => {
    setFacts({ ...ordinary, ...starts[Number(at)]?.given });
    setTried(null);
  };
  const set = (name: string, value: unknown): void => setFacts({ ...facts, [name]: value });
  const drop = (name: string): void => setFacts(Object.fromEntries(Object.entries(facts).filter(([one]) => one !== name)));
  const ask = async (): Promise<void> => {
    setTried(null);
    // What is left out is as usual; an emptied field is a fact that is not known.
    const body = { facts: Object.fromEntries(Object.entries(facts).map(([name, value]) => [name, typed(value, pack.facts[name])])) };
    setTried(await post<Tried>(`/v1/policies/${encodeURIComponent(pack.name)}/try`, body, { intent: "try" }));
  };

  return (
    <section class="card stack" aria-label="Try facts">
      <h2>Try facts</h2>
      <p class="quiet">Nothing is decided or sent by this. Start from an example, change what you like, and see which rule would decide.</p>
      <div class="try">
        <form class="stack" onSubmit={(event) => event.preventDefault()}>
          <label class="field">
            <span class="label">Start from</span>
            <select class="input" onChange={(event) => start(event.currentTarget.value === "" ? "none" : event.currentTarget.value)}>
              <option value="">the ordinary situation</option>
              {starts.map((one, at) => (
                <option key={at} value={String(at)}>
                  {spoken(one.rule)}
                  {one.about ? `: ${one.about}` : ""}
                </option>
              ))}
            </select>
          </label>
          <fieldset class="try-facts">
            <legend class="unseen">What is different from it</legend>
            {Object.entries(facts).map(([name, value]) => (
              <Fact key={name} pack={pack} name={name} value={value} set={(to) => set(name, to)} drop={name === "problem" ? null : () => drop(name)} />
            ))}
          </fieldset>
          {usual.length > 0 ? <Usual pack={pack} names={usual} /> : null}
          <div class="row wrap">
            <select
              class="input try-add"
              aria-label="Change another fact"
              value=""
              onChange={(event) => {
                const name = event.currentTarget.value;
                event.currentTarget.value = "";
                set(name, pack.usual[name] ?? (pack.facts[name] === "bool" ? false : ""));
              }}
            >
              <option value="">Change another fact…</option>
              {usual.map((name) => (
                <option key={name} value={name}>
                  {capital(factName(name))}
                </option>
              ))}
            </select>
            <Button type="submit" kind="primary" action={ask}>
              Try these facts
            </Button>
          </div>
        </form>
        <div class="try-answer" role="status" aria-live="polite">
          {tried ? <Answer pack={pack} tried={tried} /> : <p class="quiet">The rule that decides shows here, with each rule that was asked before it.</p>}
        </div>
      </div>
    </section>
  );
}

/** What a field holds as what the fact is. What cannot be is sent as typed, and the service says what is wrong with it. */
function typed(value: unknown, kind: string | undefined): unknown {
  if (typeof value !== "string") return value;
  if (kind !== "string" && value.trim() === "") return null;
  if (kind === "bool") return value === "true";
  return (kind === "int" || kind === "double") && Number.isFinite(Number(value)) ? Number(value) : value;
}

function Usual({ pack, names }: { pack: PackTable; names: readonly string[] }) {
  return (
    <details class="try-usual">
      <summary>{plural(names.length, "other fact is", "other facts are")} as usual</summary>
      <dl>
        {names.map((name) => (
          <div key={name}>
            <dt>{capital(factName(name))}</dt>
            <dd>
              <code>{name in pack.usual ? shown(pack.usual[name]) : "not known"}</code>
            </dd>
          </div>
        ))}
      </dl>
    </details>
  );
}

function shown(value: unknown): string {
  return value === true ? "yes" : value === false ? "no" : value === "" ? "none" : String(value);
}

interface FactProps {
  pack: PackTable;
  name: string;
  value: unknown;
  set: (to: unknown) => void;
  drop: (() => void) | null;
}

function Fact({ pack, name, value, set, drop }: FactProps) {
  const id = useId();
  const kind = pack.facts[name];
  return (
    <div class="try-fact">
      <label for={id}>
        <span>{name === "problem" ? "The problem" : capital(factName(name))}</span>
        <code class="quiet small">{name}</code>
      </label>
      {name === "problem" ? (
        <select id={id} class="input" value={String(value)} onChange={(event) => set(event.currentTarget.value)}>
          {pack.problems.map((one) => (
            <option key={one} value={one}>
              {say("problem", one)}
            </option>
          ))}
        </select>
      ) : kind === "bool" || typeof value === "boolean" ? (
        <select id={id} class="input" value={String(value)} onChange={(event) => set(event.currentTarget.value === "true")}>
          <option value="true">yes</option>
          <option value="false">no</option>
        </select>
      ) : (
        <>
          <input
            id={id}
            class="input"
            value={String(value)}
            inputMode={kind === "int" ? "numeric" : kind === "double" ? "decimal" : "text"}
            list={kind === "string" ? `${id}-known` : undefined}
            autoComplete="off"
            spellcheck={false}
            onInput={(event) => set(event.currentTarget.value)}
          />
          {kind === "string" ? (
            <datalist id={`${id}-known`}>
              {known(pack, name).map((one) => (
                <option key={one} value={one} />
              ))}
            </datalist>
          ) : null}
        </>
      )}
      {drop ? (
        <Button kind="plain" icon="close" iconOnly action={drop}>
          As usual: {name}
        </Button>
      ) : (
        <span />
      )}
    </div>
  );
}

/** What the rules and examples compare a fact with. */
function known(pack: PackTable, name: string): readonly string[] {
  const found = new Set<string>();
  const named = new RegExp(`${name.replaceAll(".", "\\.")} (?:==|!=|in) (\\[[^\\]]*\\]|"[^"]*")`, "g");
  for (const rule of pack.rules) {
    for (const match of rule.when.matchAll(named)) for (const word of match[1]?.matchAll(/"([^"]*)"/g) ?? []) found.add(word[1] ?? "");
    for (const one of rule.examples) if (typeof one.given[name] === "string") found.add(one.given[name]);
  }
  return [...found].filter((one) => one !== "").sort();
}

function Answer({ pack, tried }: { pack: PackTable; tried: Tried }) {
  const because = tried.because["en"] ?? Object.values(tried.because)[0];
  const rule = pack.rules.find((one) => one.id === tried.rule);
  // A rule that is neither true nor false for want of a fact: people decide, whatever it would have said.
  const stuck = tried.trace.some((one) => one.decides && one.value === "unknown");
  return (
    <div class="stack">
      <p class="try-outcome">
        <strong>{spoken(tried.rule)}</strong> {stuck ? "cannot be answered" : "decides"}: {say("outcome", tried.outcome).toLowerCase()}
      </p>
      {tried.actions.length > 0 ? (
        <ul class="dotted">
          {tried.actions.map((one, at) => (
            <li key={at}>
              {say("action", one.action)}
              {one.amount === null ? "" : `, ${number(one.amount)} in the currency's smallest unit`}
            </li>
          ))}
        </ul>
      ) : rule && !stuck ? (
        <p>{inNames(rule.then)}</p>
      ) : null}
      {because ? <p class="quiet">The customer reads: {because}</p> : null}
      <h3>What was asked, in order</h3>
      <ol class="try-trace">
        {tried.trace.map((one) => (
          <Asked key={one.rule} pack={pack} asked={one} />
        ))}
      </ol>
    </div>
  );
}

const VALUES: Readonly<Record<string, readonly [Hue, string]>> = { true: ["waiting", "fits"], false: ["none", "does not fit"], unknown: ["needs", "not known"] };

function Asked({ pack, asked }: { pack: PackTable; asked: Tried["trace"][number] }) {
  const [hue, word] = asked.decides && asked.value !== "unknown" ? (["settled", "decides"] as const) : (VALUES[asked.value] ?? (["needs", "not known"] as const));
  const said = inWords(pack.rules.find((rule) => rule.id === asked.rule)?.when ?? "", pack.parameters);
  const more = asked.answered ? "it asks what is known already" : asked.missing.length > 0 ? `not known: ${asked.missing.map(factName).join(", ")}` : asked.value === "false" ? "" : (said ?? "");
  return (
    <li>
      <Tag hue={hue}>{word}</Tag>
      <div>
        <p class={asked.decides ? "strong" : ""}>{spoken(asked.rule)}</p>
        {more === "" ? null : <p class="quiet small">{sentence(more)}</p>}
      </div>
    </li>
  );
}

const WAITS: Readonly<Record<string, string>> = {
  "order arrives": "the order to arrive",
  "incident end": "the outage to end",
  "payment settles": "the payment to settle",
  "show date": "the new date",
};

/** A rule's answer with facts and causes by their names. */
export function inNames(text: string): string {
  return text
    .replace(/\bparameters\.(\w+)/g, (_, name: string) => `the setting “${name.replaceAll("_", " ")}”`)
    .replace(/\b[a-z]+\.[a-z0-9_]+(?:\.[a-z0-9_]+)*\b/g, (name) => factName(name))
    .replace(/\b(reissue access|(?:resend|replace|void) pass)\b/g, (action) => say("action", action.replace(" ", "_")).toLowerCase())
    .replace(/^Wait for ([a-z ]+),/, (whole, what: string) => (WAITS[what] ? `Wait for ${WAITS[what]},` : whole))
    .replace(/ for ([a-z_]+)$/, (_, cause: string) => ` (${say("cause", cause).toLowerCase()})`)
    .replaceAll(" * ", " × ")
    .replaceAll(" / ", " ÷ ")
    .replaceAll(" - ", " − ");
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
