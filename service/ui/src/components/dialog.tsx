// A dialog over the page: focus goes in, stays in, and comes back to where it was; Escape closes it unless it has to be answered.
// One that comes unasked takes no letter from who is typing: it stands beside the page until the caret leaves the field.
import type { ComponentChildren } from "preact";
import { useId, useLayoutEffect, useRef } from "preact/hooks";
import { isTyping, useModalKeys } from "../keys";
import { announce } from "../store/announce";
import { Button } from "./button";

interface Props {
  title: string;
  children: ComponentChildren;
  /** none: it cannot be closed without an answer */
  onClose?: () => void;
  large?: boolean;
  /** it comes unasked, perhaps in the middle of a word */
  unasked?: boolean;
}

export function Dialog({ title, children, onClose, large, unasked }: Props) {
  const element = useRef<HTMLDialogElement>(null);
  const id = useId();
  useModalKeys();
  // With the drawing, not after it: no key between the two is the page's.
  useLayoutEffect(() => {
    const before = document.activeElement;
    const dialog = element.current;
    const over = (): void => {
      if (!dialog?.isConnected || dialog.matches(":modal")) return;
      const inside = dialog.contains(document.activeElement) ? document.activeElement : null;
      dialog.removeAttribute("open");
      dialog.showModal();
      (inside instanceof HTMLElement ? inside : dialog.querySelector<HTMLElement>("[data-focus]"))?.focus();
    };
    const moved = (): void => {
      const at = document.activeElement;
      if (dialog?.contains(at) || !isTyping(at)) over();
    };
    // In a turn of its own: where the caret goes to is known only after it has left.
    const watch = (): void => void setTimeout(moved);
    if (unasked && isTyping(before)) {
      // Not show(): that would take the caret.
      dialog?.setAttribute("open", "");
      announce(title);
      document.addEventListener("focusout", watch);
      document.addEventListener("focusin", watch);
    } else over();
    return () => {
      document.removeEventListener("focusout", watch);
      document.removeEventListener("focusin", watch);
      dialog?.close();
      // Unless what closed it has already led somewhere else.
      const away = document.activeElement !== document.body && !dialog?.contains(document.activeElement);
      if (!away && before instanceof HTMLElement && before.isConnected) before.focus({ preventScroll: true });
    };
  }, []);
  return (
    <dialog
      ref={element}
      class={large ? "dialog large" : "dialog"}
      aria-labelledby={id}
      onKeyDown={(event) => {
        // At once, and not when the browser gets round to `cancel`: the next key is for the page again.
        if (event.key !== "Escape" || event.defaultPrevented) return;
        event.preventDefault();
        event.stopPropagation();
        onClose?.();
      }}
      onCancel={(event) => {
        event.preventDefault();
        onClose?.();
      }}
    >
      <header>
        <h2 id={id}>{title}</h2>
        {onClose ? (
          <Button kind="plain" icon="close" iconOnly action={onClose}>
            Close
          </Button>
        ) : null}
      </header>
      <div class="inside">{children}</div>
    </dialog>
  );
}
