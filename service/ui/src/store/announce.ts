// What a screen reader is told: one polite region for the whole console.
import { signal } from "@preact/signals";

export const announcement = signal("");

export function announce(text: string): void {
  // The same words twice in a row are said twice.
  announcement.value = announcement.value === text ? `${text}\u00a0` : text;
}
