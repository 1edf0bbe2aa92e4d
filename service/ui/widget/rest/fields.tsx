// What is typed and sent: a form, its fields, and what was wrong with one.
import { h, type ComponentChildren, type VNode } from "preact";
import type { App } from "../app";
import { icon } from "../icons";
import type { Key } from "../words";

type Child = ComponentChildren;

/** A form with one thing to send. Its fields are the screen's; what is wrong with one stands below it. */
export function form(a: App, name: string, label: Child, action: () => Promise<void>, ...fields: Child[]): VNode {
  const send = (event: Event): void => {
    event.preventDefault();
    void a.run(name, action);
  };
  return (
    <form noValidate onSubmit={send}>
      {fields}
      {a.field === null && failed(a)}
      <button class="b primary" aria-disabled={a.busy !== null} aria-busy={a.busy === name}>
        {label}
      </button>
    </form>
  );
}

export function field(a: App, name: string, label: Key, more: Record<string, unknown> = {}): VNode {
  const wrong = a.field === name;
  return (
    <div class="field">
      <label>
        <span>{a.text.say(label)}</span>
        {h(more["rows"] ? "textarea" : "input", {
          name,
          value: a.typed[name] ?? "",
          maxLength: 254,
          onInput: (event: Event) => a.write(name, (event.target as HTMLInputElement).value),
          "aria-invalid": wrong,
          "aria-describedby": wrong ? "wrong" : undefined,
          dir: "auto",
          ...more,
        })}
      </label>
      {wrong && failed(a)}
    </div>
  );
}

export function failed(a: App): Child {
  return (
    a.error && (
      <span class="wrong" id="wrong">
        {icon("info")}
        <span>{a.error}</span>
      </span>
    )
  );
}
