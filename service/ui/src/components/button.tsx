// A button that shows how its action fares: pending, failed with words and a way on. What is done shows where it lands, not on the button.
import { useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useRef } from "preact/hooks";
import { words } from "../api";
import { announce } from "../store/announce";
import { Icon, type IconName } from "./icon";

interface Props {
  children: ComponentChildren;
  /** a promise makes the button pending until it ends; a rejected one is said in words below it */
  action?: () => unknown;
  kind?: "primary" | "danger" | "plain";
  icon?: IconName;
  iconOnly?: boolean;
  wide?: boolean;
  /** the key that does the same, shown on it */
  shortcut?: string;
  disabled?: boolean;
  /** why it is disabled, for everyone */
  why?: string | undefined;
  type?: "button" | "submit";
  expanded?: boolean;
  id?: string;
}

export function Button(props: Props) {
  const state = useSignal<"ready" | "pending">("ready");
  const failure = useSignal("");
  const busy = useRef(false);
  const off = props.disabled ?? false;

  const press = async (event: MouseEvent): Promise<void> => {
    if (off || busy.current) {
      event.preventDefault();
      return;
    }
    failure.value = "";
    const result = props.action?.();
    if (!(result instanceof Promise)) return;
    busy.current = true;
    state.value = "pending";
    try {
      await result;
    } catch (error) {
      failure.value = words(error);
      announce(failure.value);
    } finally {
      busy.current = false;
      state.value = "ready";
    }
  };

  const classes = ["button", props.kind ?? "", props.iconOnly ? "icon-only" : "", props.wide ? "wide" : ""].filter(Boolean).join(" ");
  return (
    <>
      <button
        type={props.type ?? "button"}
        class={classes}
        id={props.id}
        data-state={state.value}
        aria-disabled={off || state.value === "pending" ? "true" : undefined}
        aria-busy={state.value === "pending" ? "true" : undefined}
        aria-expanded={props.expanded}
        aria-keyshortcuts={props.shortcut}
        title={off ? props.why : undefined}
        onClick={(event) => void press(event)}
      >
        {state.value === "pending" ? <Turning /> : props.icon ? <Icon name={props.icon} /> : null}
        {props.iconOnly ? <span class="unseen">{props.children}</span> : <span>{props.children}</span>}
        {props.shortcut ? <Key name={props.shortcut} /> : null}
      </button>
      {failure.value === "" ? null : (
        <p class="failed">
          <Icon name="alert" />
          <span>{failure.value}</span>
        </p>
      )}
    </>
  );
}

function Turning() {
  return (
    <svg class="icon turns" viewBox="0 0 16 16" width="16" height="16" aria-hidden="true">
      <path d="M14 8a6 6 0 1 1-6-6" />
    </svg>
  );
}

/** A key as it is drawn on a keyboard. Hidden from screen readers: `aria-keyshortcuts` says it. */
export function Key({ name }: { name: string }) {
  const drawn: Readonly<Record<string, string>> = { Enter: "⏎", Escape: "esc", ArrowDown: "↓", ArrowUp: "↑" };
  return <kbd aria-hidden="true">{drawn[name] ?? name}</kbd>;
}
