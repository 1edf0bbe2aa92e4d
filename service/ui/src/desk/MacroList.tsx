// Texts at hand: found by typing, filled in with what the case knows, what is missing said.
import { useSignal } from "@preact/signals";
import { useId, useLayoutEffect, useRef } from "preact/hooks";
import { Icon } from "../components/icon";
import type { Macro } from "../contract";

interface Props {
  macros: readonly Macro[];
  onChoose: (macro: Macro) => void;
  onClose: () => void;
}

export function MacroList({ macros, onChoose, onClose }: Props) {
  const typed = useSignal("");
  const at = useSignal(0);
  const field = useRef<HTMLInputElement>(null);
  const list = useRef<HTMLUListElement>(null);
  const id = useId();
  useLayoutEffect(() => field.current?.focus(), []);
  const wanted = typed.value.toLowerCase();
  const found = macros.filter((one) => `${one.title} ${one.body}`.toLowerCase().includes(wanted));
  const move = (to: number): void => {
    at.value = Math.max(0, Math.min(to, found.length - 1));
    list.current?.children[at.value]?.scrollIntoView({ block: "nearest" });
  };
  return (
    <div class="macros">
      <input
        ref={field}
        class="input"
        type="text"
        role="combobox"
        aria-expanded="true"
        aria-controls={id}
        aria-activedescendant={found[at.value] ? `${id}-${at.value}` : undefined}
        aria-label="Find a text"
        placeholder="Find a text"
        onInput={(event) => {
          typed.value = event.currentTarget.value;
          at.value = 0;
        }}
        onKeyDown={(event) => {
          if (event.key === "ArrowDown" || event.key === "ArrowUp") {
            event.preventDefault();
            move(at.value + (event.key === "ArrowDown" ? 1 : -1));
          } else if (event.key === "Enter") {
            event.preventDefault();
            const one = found[at.value];
            if (one) onChoose(one);
          } else if (event.key === "Escape") {
            event.stopPropagation();
            onClose();
          }
        }}
      />
      <ul id={id} role="listbox" aria-label="Texts" ref={list}>
        {found.map((one, n) => (
          <li key={one.id} id={`${id}-${n}`} role="option" aria-selected={n === at.value} onClick={() => onChoose(one)} onPointerMove={() => (at.value = n)}>
            <span class="strong">
              {one.fits ? <Icon name="check" /> : null} {one.title}
            </span>
            <span class="quiet small cut" dir="auto">
              {one.body}
            </span>
            {one.missing.length > 0 ? <span class="small macros-missing">You fill in: {one.missing.join(", ")}</span> : null}
          </li>
        ))}
      </ul>
      {found.length === 0 ? <p class="quiet small">No text says that. Write your own.</p> : null}
    </div>
  );
}
