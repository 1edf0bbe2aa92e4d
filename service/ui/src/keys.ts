// The keyboard: one listener, bindings by page, never while typing, all of them listed under `?`, and one switch that turns them off.
import { signal } from "@preact/signals";
import { useLayoutEffect, useRef } from "preact/hooks";

export interface Binding {
  /** as `KeyboardEvent.key` names it: "j", "?", "Enter" */
  key: string;
  label: string;
  group?: string;
  /** not now: the key does nothing and is not listed */
  off?: boolean;
  run: () => void;
}

/** Single letters can be turned off (WCAG 2.2, 2.1.4): people who speak to their computer type them by accident. */
export const keysOn = signal(localStorage.getItem("makegood:keys") !== "off");
export function setKeys(on: boolean): void {
  keysOn.value = on;
  localStorage.setItem("makegood:keys", on ? "on" : "off");
}

// The newest layer is asked first; a dialog is a layer that hides the ones under it.
interface Layer {
  bindings: readonly Binding[];
  modal: boolean;
}
const layers: Layer[] = [];
/** grows whenever what is listed may have changed */
export const keysChanged = signal(0);

/** Binds keys while the component is there: from when it is drawn until it is gone, not a moment later, as effects after the paint are. */
export function useKeys(bindings: readonly Binding[], options: { modal?: boolean } = {}): void {
  const layer = useRef<Layer>({ bindings: [], modal: options.modal ?? false });
  layer.current.bindings = bindings;
  layer.current.modal = options.modal ?? false;
  useLayoutEffect(() => {
    const mine = layer.current;
    layers.push(mine);
    keysChanged.value += 1;
    return () => {
      layers.splice(layers.indexOf(mine), 1);
      keysChanged.value += 1;
    };
  }, []);
}

/** Hides every binding of the page while the component is there. */
export function useModalKeys(): void {
  useKeys([], { modal: true });
}

/** What can be pressed now, by group, for the help sheet (which is itself a modal layer and looks below itself). */
export function listedKeys(): Map<string, Binding[]> {
  const found = new Map<string, Binding[]>();
  const seen = new Set<string>();
  for (const layer of [...layers].reverse())
    for (const one of layer.bindings) {
      if (one.off || seen.has(one.key)) continue;
      seen.add(one.key);
      const group = one.group ?? "This page";
      found.set(group, [...(found.get(group) ?? []), one]);
    }
  return found;
}

export function isTyping(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  if (target.isContentEditable) return true;
  if (target instanceof HTMLInputElement) return !["checkbox", "radio", "button", "submit", "range", "file"].includes(target.type);
  return target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement;
}

document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.isComposing || event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
  // Enter on a button or a link is that button's, not ours.
  const pressed = event.target instanceof HTMLElement && event.target.closest("button, a, summary, [role=tab], [role=checkbox]");
  if ((event.key === "Enter" || event.key === " ") && pressed) return;
  if (!keysOn.value && event.key.length === 1 && event.key !== "?") return;
  for (const layer of [...layers].reverse()) {
    const found = layer.bindings.find((one) => one.key === event.key && !one.off);
    if (found) {
      // A key held down moves through a list; it does not act twice.
      if (event.repeat && !["j", "k", "ArrowDown", "ArrowUp"].includes(event.key)) return;
      event.preventDefault();
      found.run();
      return;
    }
    if (layer.modal) return;
  }
});
