// Tabs (WAI-ARIA pattern): arrows move, the panel that is not shown keeps its place and what was typed in it.
import type { ComponentChildren } from "preact";
import { useId, useRef } from "preact/hooks";

export interface Tab {
  id: string;
  label: string;
  count?: number | null;
  content: () => ComponentChildren;
}

interface Props {
  label: string;
  tabs: readonly Tab[];
  chosen: string;
  onChoose: (id: string) => void;
}

export function Tabs({ label, tabs, chosen, onChoose }: Props) {
  const base = useId();
  const list = useRef<HTMLDivElement>(null);
  // A panel is made when it is first looked at, and stays from then on.
  const opened = useRef(new Set<string>());
  opened.current.add(chosen);

  const move = (event: KeyboardEvent): void => {
    const at = tabs.findIndex((one) => one.id === chosen);
    const steps: Readonly<Record<string, number>> = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: tabs.length - 1 };
    const to = steps[event.key];
    if (to === undefined) return;
    event.preventDefault();
    const next = tabs[(to + tabs.length) % tabs.length];
    if (!next) return;
    onChoose(next.id);
    list.current?.querySelector<HTMLElement>(`#${CSS.escape(`${base}-t-${next.id}`)}`)?.focus();
  };

  return (
    <>
      <div class="tabs" role="tablist" aria-label={label} ref={list} onKeyDown={move}>
        {tabs.map((one) => (
          <button
            key={one.id}
            type="button"
            role="tab"
            id={`${base}-t-${one.id}`}
            aria-selected={one.id === chosen}
            aria-controls={`${base}-p-${one.id}`}
            tabIndex={one.id === chosen ? 0 : -1}
            onClick={() => onChoose(one.id)}
          >
            {one.label}
            {one.count ? <span class="count"> {one.count}</span> : null}
          </button>
        ))}
      </div>
      {tabs.map((one) => (
        <div
          key={one.id}
          class="tab-panel"
          role="tabpanel"
          id={`${base}-p-${one.id}`}
          aria-labelledby={`${base}-t-${one.id}`}
          hidden={one.id !== chosen}
          tabIndex={0}
        >
          {opened.current.has(one.id) ? one.content() : null}
        </div>
      ))}
    </>
  );
}
