// Who looks first, and what leads an agent, as people read them: the rules of routing, and the playbooks.
import { Tag } from "../components/bits";
import { Button } from "../components/button";
import { lasting, plural, say, spoken } from "../words";
import { useSignal } from "@preact/signals";
import { inWords } from "./conditions";
import { sentence } from "./say";
import type { PlaybookLine, Policies, RouteLine } from "../contract";
import { TableCards } from "./table-cards";

type Texts = Readonly<Record<string, string>>;

/** What the console speaks, else whatever there is. */
function inEnglish(texts: Texts | string): string {
  return typeof texts === "string" ? texts : (texts["en"] ?? Object.values(texts)[0] ?? "");
}

export function Routing({ routing }: { routing: Policies["routing"] }) {
  // They were tried when the file was loaded: one that fails does not load.
  const examples = routing.rules.flatMap((one) => one.examples);
  return (
    <div class="stack-l">
      <div class="stack">
        <p class="policy-about">By when somebody should look at a case. The earliest time is first in the queue, so nobody waits forever.</p>
        <p class="row wrap quiet small">
          <span>{plural(routing.rules.length, "rule", "rules")}, the first that fits decides</span>
          <Tag hue="settled">{plural(examples.length, "example holds", "examples hold")}</Tag>
        </p>
      </div>
      <TableCards
        caption="Rules of who looks first"
        rows={routing.rules}
        keyOf={(one) => one.id}
        columns={[
          { title: "Rule", cell: (one) => <strong>{spoken(one.id)}</strong> },
          { title: "When", cell: when },
          {
            title: "Look within",
            cell: (route) => (
              <>
                <strong>{lasting(route.within_seconds)}</strong>
                {route.lead_seconds ? <div class="quiet small">or {lasting(route.lead_seconds)} before the doors</div> : null}
              </>
            ),
          },
          { title: "Goes to", cell: (route) => [route.skill ? say("skill", route.skill) : "", route.playbook ? `playbook “${spoken(route.playbook).toLowerCase()}”` : ""].filter(Boolean).join(", ") || <span class="quiet">as the rules said</span> },
          {
            title: "Promised",
            cell: (route) => {
              const said = Object.entries(route.targets).map(([kind, seconds]) => `${say("clock", kind).toLowerCase()} in ${lasting(seconds)}`);
              return said.length ? said.join(", ") : <span class="quiet">by its urgency</span>;
            },
          },
        ]}
      />
    </div>
  );
}

function when(one: RouteLine) {
  const said = inWords(one.when);
  return said === null ? <code>{one.when}</code> : sentence(said === "" ? "nothing above decided" : said);
}

export function Playbooks({ playbooks }: { playbooks: readonly PlaybookLine[] }) {
  return (
    <div class="stack-l">
      <p class="policy-about">What leads an agent through a kind of case: steps, words, and who gets it next when a promise of time is broken. Nothing in them happens by itself.</p>
      <ul class="stack">
        {playbooks.map((one) => (
          <li key={one.id} class="card">
            <Playbook playbook={one} />
          </li>
        ))}
      </ul>
    </div>
  );
}

function Playbook({ playbook: one }: { playbook: PlaybookLine }) {
  const open = useSignal(false);
  return (
    <div class="stack">
      <div class="playbook-head">
        <div class="stack-s">
          <h2>{inEnglish(one.title)}</h2>
          <p>{inEnglish(one.why)}</p>
          <p class="quiet small">
            {triggers(one)} · {one.chain.map((skill) => say("skill", skill)).join(" → ")}
          </p>
        </div>
        <Button action={() => (open.value = !open.value)} expanded={open.value}>
          {open.value ? "Close" : plural(one.steps.length, "step", "steps")}
        </Button>
      </div>
      {open.value ? (
        <div class="policy-details playbook-more">
          <div class="stack">
            <h3>Steps</h3>
            <ol class="playbook-steps">
              {one.steps.map((step, at) => (
                <li key={at}>{inEnglish(step.text)}</li>
              ))}
            </ol>
          </div>
          <div class="stack">
            <h3>Words to say</h3>
            {(one.scripts ?? []).length === 0 ? <p class="quiet">None of its own.</p> : null}
            {(one.scripts ?? []).map((script, at) => (
              <div key={at}>
                <p class="strong">{inEnglish(script.title)}</p>
                <p>{inEnglish(script.text)}</p>
              </div>
            ))}
          </div>
        </div>
      ) : null}
    </div>
  );
}

function triggers(one: PlaybookLine): string {
  const said = one.on.map((trigger) =>
    Object.entries(trigger)
      .filter((one): one is [string, string] => one[1] !== null)
      .map(([kind, value]) => (kind === "problem" ? `“${say("problem", value).toLowerCase()}”` : kind === "skill" ? say("skill", value) : `rule ${spoken(value.split("/").pop() ?? value).toLowerCase()}`))
      .join(" and "),
  );
  return said.some((text) => text === "") || said.length === 0 ? "for whatever no other fits" : `for ${said.join(", ")}`;
}
