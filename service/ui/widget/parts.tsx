// Parts that screens are made of.
import { h, type ComponentChildren, type VNode } from "preact";
import type { App } from "./app";
import { icon, type IconName } from "./icons";

type Child = ComponentChildren;

/** One screen: its heading takes the focus when it comes. */
export function screen(a: App, name: string, title: Child, ...content: Child[]): VNode {
  const tag = a.mode === "page" ? "h1" : "h2";
  return (
    <div class="screen" key={name} data-screen={name}>
      {h(tag, { tabIndex: -1, class: "title" }, title)}
      {content}
    </div>
  );
}

export function button(a: App, name: string, label: Child, action: () => Promise<void> | void, kind = ""): VNode {
  return (
    <button type="button" class={`b ${kind}`} aria-disabled={a.busy !== null} aria-busy={a.busy === name} onClick={() => void a.run(name, action)}>
      {label}
    </button>
  );
}

/** A line that leads somewhere: what it is, and what comes of it. */
export function row(a: App, name: string, title: Child, more: Child, action: () => Promise<void> | void): VNode {
  return button(
    a,
    name,
    [
      <span class="row-text">
        <span>{title}</span>
        {more && <span class="quiet">{more}</span>}
      </span>,
      icon("next"),
    ],
    action,
    "row",
  );
}

type Tone = "waiting" | "needs";

/** What stands: a mark, a word, and what it means. State is never told by its colour alone. */
export function state(tone: Tone, mark: IconName, ...content: Child[]): VNode {
  return (
    <div class={`state ${tone}`}>
      {icon(mark)}
      <div class="stack">{content}</div>
    </div>
  );
}
