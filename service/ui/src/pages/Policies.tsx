// The rules as people read them: each pack as a table with its examples and what it decided today, and a box to try facts.
import { useLocation, useRoute } from "preact-iso";
import { useEffect, useRef, useState } from "preact/hooks";
import { Tag } from "../components/bits";
import { Tabs } from "../components/tabs";
import { money, number, plural, say, spoken } from "../words";
import { inWords } from "./conditions";
import { Head, Read, usePolled } from "./frame";
import { Playbooks, Routing } from "./policy-tables";
import { sentence } from "./say";
import type { PackTable, Policies, RuleLine } from "../contract";
import { inNames, TryFacts } from "./try-facts";
import "./policies.css";

// What was decided today moves slowly; the rules themselves change by a deploy.
const SECONDS = 30;

export default function PoliciesPage() {
  const policies = usePolled<Policies>("/v1/policies", SECONDS);
  return (
    <div class="page stack-l">
      <Head title="Policies" about="What is decided without a person, by which rule, and what each rule decided today." />
      <Read from={policies} lines={10}>
        {(shown) => <Packs shown={shown} />}
      </Read>
    </div>
  );
}

function Packs({ shown }: { shown: Policies }) {
  const { params } = useRoute();
  const { route } = useLocation();
  const tabs = [
    ...shown.packs.map((pack) => ({ id: pack.name, label: packName(pack.name), content: () => <Pack pack={pack} /> })),
    { id: "routing", label: packName("routing"), content: () => <Routing routing={shown.routing} /> },
    { id: "playbooks", label: packName("playbooks"), content: () => <Playbooks playbooks={shown.playbooks.playbooks} /> },
  ];
  const chosen = tabs.find((one) => one.id === params["pack"])?.id ?? tabs[0]?.id ?? "routing";
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => box.current?.querySelector("[role=tab][aria-selected=true]")?.scrollIntoView({ block: "nearest", inline: "nearest" }), [chosen]);
  return (
    <div class="stack" ref={box}>
      <Tabs label="Rules about" tabs={tabs} chosen={chosen} onChoose={(name) => route(`/desk/policies/${name}`, true)} />
    </div>
  );
}

const PACKS: Readonly<Record<string, string>> = { refund: "Money back", access: "Stream access", charges: "Charges", passes: "Tickets", support: "Everything else", routing: "Who looks first", playbooks: "Playbooks" };

function packName(name: string): string {
  return PACKS[name] ?? spoken(name);
}

function Pack({ pack }: { pack: PackTable }) {
  const [problem, setProblem] = useState("");
  const decided = pack.rules.reduce((sum, one) => sum + one.today.decided, 0);
  const examples = pack.rules.flatMap((one) => one.examples);
  const broken = examples.filter((one) => one.holds === false).length;
  // A rule that names no problem is asked for each.
  const rules = pack.rules.filter((one) => problem === "" || !one.when.includes("problem ") || one.when.includes(`"${problem}"`));
  return (
    <div class="stack-l">
      <div class="stack">
        <p class="policy-about">{pack.about}</p>
        <p class="row wrap quiet small">
          <span>{plural(pack.rules.length, "rule", "rules")}, the first that fits decides</span>
          <span aria-hidden="true">·</span>
          <Examples count={examples.length} broken={broken} />
          <span aria-hidden="true">·</span>
          <span>{decided ? `decided ${plural(decided, "time", "times")} today` : "nothing decided today yet"}</span>
          <span aria-hidden="true">·</span>
          <span title={pack.hash}>
            version <code>{pack.hash.slice(0, 8)}</code>
          </span>
        </p>
      </div>
      {pack.problems.length > 1 && (
        <label class="policy-filter">
          <span class="label">Show the rules for</span>
          <select class="input" value={problem} onChange={(event) => setProblem(event.currentTarget.value)}>
            <option value="">every problem</option>
            {pack.problems.map((one) => (
              <option key={one} value={one}>
                {say("problem", one)}
              </option>
            ))}
          </select>
        </label>
      )}
      <h2 class="unseen">The rules</h2>
      <table class="policy" role="table">
        <caption class="unseen">Rules of {packName(pack.name)}, in the order in which they are asked</caption>
        <thead role="rowgroup">
          <tr role="row">
            <th role="columnheader" scope="col">Rule</th>
            <th role="columnheader" scope="col">When</th>
            <th role="columnheader" scope="col">Then</th>
            <th role="columnheader" scope="col" class="num">
              Decided today
            </th>
            <th role="columnheader" scope="col" class="num">
              Money today
            </th>
          </tr>
        </thead>
        {rules.map((one) => (
          <Rule key={one.id} rule={one} at={pack.rules.indexOf(one) + 1} parameters={pack.parameters} />
        ))}
      </table>
      <TryFacts pack={pack} />
    </div>
  );
}

function Examples({ count, broken }: { count: number; broken: number }) {
  return broken ? <Tag hue="stopped">{plural(broken, "example fails", "examples fail")}</Tag> : <Tag hue="settled">{plural(count, "example holds", "examples hold")}</Tag>;
}

function Rule({ rule, at, parameters }: { rule: RuleLine; at: number; parameters: PackTable["parameters"] }) {
  const [open, setOpen] = useState(false);
  const said = inWords(rule.when, parameters);
  const sums = Object.entries(rule.today.money);
  return (
    <tbody role="rowgroup" class={open ? "policy-rule open" : "policy-rule"}>
      <tr role="row">
        <th role="rowheader" scope="row">
          <button type="button" class="policy-open" aria-expanded={open} onClick={() => setOpen(!open)}>
            <span class="policy-at">{at}</span>
            <span>{spoken(rule.id)}</span>
          </button>
        </th>
        <td role="cell" data-head="When">{said === null ? <code>{rule.when}</code> : sentence(said === "" ? "nothing above decided" : said)}</td>
        <td role="cell" data-head="Then">{inNames(rule.then)}</td>
        <td role="cell" class="num" data-head="Decided today">
          {rule.today.decided ? number(rule.today.decided) : <span class="quiet">0</span>}
        </td>
        <td role="cell" class="num" data-head="Money today">
          {sums.length ? sums.map(([currency, minor]) => <div key={currency}>{money(minor, currency)}</div>) : <span class="quiet">–</span>}
        </td>
      </tr>
      {open && (
        <tr role="row" class="policy-more">
          <td role="cell" colSpan={5}>
            <More rule={rule} />
          </td>
        </tr>
      )}
    </tbody>
  );
}

function More({ rule }: { rule: RuleLine }) {
  return (
    <div class="policy-details">
      <div class="stack">
        {rule.about ? <p>{sentence(rule.about)}</p> : null}
        <h3>What the customer reads</h3>
        {Object.entries(rule.because).map(([language, text]) => (
          <p key={language} lang={language}>
            {text}
          </p>
        ))}
        <h3>The condition as written</h3>
        <pre class="policy-code" tabIndex={0}>
          <code>{rule.when || "always"}</code>
        </pre>
      </div>
      <div class="stack">
        <h3>
          <Examples count={rule.examples.length} broken={rule.examples.filter((one) => one.holds === false).length} />
        </h3>
        <ul class="policy-examples">
          {rule.examples.map((one, at) => (
            <li key={at}>
              <Tag hue={one.holds !== false ? "settled" : "stopped"}>{one.holds === false ? "fails" : "holds"}</Tag>
              <div>
                <p>{one.about ? sentence(one.about) : Object.keys(one.given).length ? "When this is different from usual:" : "In the ordinary situation."}</p>
                <p class="quiet small">
                  {Object.entries(one.given).map(([fact, value]) => (
                    <code key={fact} class="policy-fact">
                      {fact} = {String(value)}
                    </code>
                  ))}
                </p>
              </div>
            </li>
          ))}
        </ul>
        {rule.examples.length === 0 && <p class="quiet">No example of its own.</p>}
      </div>
    </div>
  );
}
