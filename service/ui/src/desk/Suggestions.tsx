// What might be done next, each with its key; looking at one does nothing yet.
import { Button, Key } from "../components/button";
import { Icon } from "../components/icon";
import type { Suggestion } from "../contract";

// Keys that mean the same on every case.
const TAKEN = new Set("jkcnhwtfevb/?".split(""));
const SPARE = "asdgqxzuyrm";

/** Each suggestion with a key that nothing else has: money back is `r`, a text is `m`, writing is `c` as everywhere; the service's letter else. */
export function withKeys(suggestions: readonly Suggestion[]): Suggestion[] {
  const used = new Set<string>();
  const own = suggestions.map((one) => {
    const key = meant(one);
    if (key === "" || used.has(key)) return { ...one, key: "" };
    used.add(key);
    return { ...one, key };
  });
  return own.map((one, n) => {
    if (one.key !== "") return one;
    const given = suggestions[n]?.key ?? "";
    const key = given !== "" && !TAKEN.has(given) && !used.has(given) ? given : (SPARE.split("").find((letter) => !used.has(letter)) ?? "");
    used.add(key);
    return { ...one, key };
  });
}

function meant(one: Suggestion): string {
  if (one.action?.action === "refund") return "r";
  return one.reply ? WRITE : "";
}

/** The key of writing to the customer, which a suggestion to write has, too. */
export const WRITE = "c";

interface Props {
  suggestions: readonly Suggestion[];
  onRun: (one: Suggestion) => void;
  onOther: () => void;
}

export function Suggestions({ suggestions, onRun, onOther }: Props) {
  return (
    <section class="card case-card" aria-labelledby="suggested-title">
      <header>
        <h2 id="suggested-title">Suggested</h2>
        <span class="push">
          <Button kind="plain" action={onOther}>
            Something else…
          </Button>
        </span>
      </header>
      {suggestions.length === 0 ? <p class="quiet">Nothing stands out. Look at the timeline, then write to the customer or do something else.</p> : null}
      <ul class="suggestions">
        {suggestions.map((one) => (
          <li key={one.label}>
            <button type="button" class="suggestion" aria-keyshortcuts={one.key} onClick={() => onRun(one)}>
              <Key name={one.key} />
              <span>
                <span class="strong">{one.label}</span>
                <span class="quiet small">{one.why}</span>
              </span>
              {(one.people_needed ?? 1) > 1 ? (
                <span class="suggestion-people">
                  <Icon name="people" />
                  {one.people_needed} people
                </span>
              ) : null}
            </button>
          </li>
        ))}
      </ul>
    </section>
  );
}
