// Light, dark, or as the system has it; the reader's choice is kept in this browser.
import { signal } from "@preact/signals";

export type Theme = "system" | "light" | "dark";
const PLACE = "makegood:theme";
export const theme = signal<Theme>("system");

export function startTheme(): void {
  const kept = localStorage.getItem(PLACE);
  setTheme(kept === "light" || kept === "dark" ? kept : "system");
}

export function setTheme(chosen: Theme): void {
  theme.value = chosen;
  if (chosen === "system") {
    delete document.documentElement.dataset["theme"];
    localStorage.removeItem(PLACE);
  } else {
    document.documentElement.dataset["theme"] = chosen;
    localStorage.setItem(PLACE, chosen);
  }
}
