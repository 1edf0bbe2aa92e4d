// What every page has: its title, and a word to screen readers when it opens.
import { useEffect } from "preact/hooks";
import { announce } from "../store/announce";

export function usePage(title: string): void {
  useEffect(() => {
    document.title = `${title} · Makegood`;
    announce(title);
  }, [title]);
}
