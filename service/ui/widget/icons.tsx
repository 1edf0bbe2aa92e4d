// The few marks of the widget, each drawn in one line.
import { h, type VNode } from "preact";
import type { MORE } from "./rest/icons";

export const PATHS = {
  back: "M15 5l-7 7 7 7",
  close: "M6 6l12 12M18 6L6 18",
  next: "M9 5l7 7-7 7",
  check: "M5 13l4.5 4.5L19 7",
  help: "M4 5h16v11H11l-4 4v-4H4zM9 9.5h6M9 12.5h4",
  person: "M12 12a4 4 0 100-8 4 4 0 000 8M5 20c.6-3.6 3.4-5 7-5s6.4 1.4 7 5",
  info: "M12 11v5M12 8v.01M12 3a9 9 0 100 18 9 9 0 000-18",
};
export type IconName = keyof typeof PATHS | keyof typeof MORE;

export function icon(name: IconName): VNode {
  return (
    <svg class={`i i-${name}`} viewBox="0 0 24 24" aria-hidden="true">
      <path d={PATHS[name as keyof typeof PATHS]} />
    </svg>
  );
}
