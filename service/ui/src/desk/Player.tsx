// What the customer's own player and device told, for whoever finds out why it does not play: their words, checked by nobody.
import type { CaseShown } from "../contract";

const NAMES = [
  ["error", "Error"],
  ["device", "Device"],
  ["system", "System"],
  ["app_version", "App"],
  ["browser", "Browser"],
  ["network", "Network"],
] as const;

export function Player({ shown }: { shown: CaseShown }) {
  const told = NAMES.flatMap(([key, label]) => {
    const said = shown.player?.[key];
    return said ? [{ label, said }] : [];
  });
  if (told.length === 0) return null;
  return (
    <section class="card case-card" aria-labelledby="player-title">
      <header>
        <h2 id="player-title">Their player says</h2>
      </header>
      <dl class="facts">
        {told.map((one) => (
          <div key={one.label}>
            <dt>{one.label}</dt>
            <dd>
              <bdi>{one.said}</bdi>
            </dd>
          </div>
        ))}
      </dl>
    </section>
  );
}
