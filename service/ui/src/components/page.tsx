// What every page has: its title, and a word to screen readers when it opens.
import { useLayoutEffect } from "preact/hooks";
import { announce } from "../store/announce";

export function usePage(title: string): void {
  // With the drawing: who sees the page (or its tab) never reads another page's name on it.
  useLayoutEffect(() => {
    document.title = `${title} · Makegood`;
    announce(title);
  }, [title]);
}
