// Small parts that repeat: tags, notices, ids to copy, skeletons, empty states, fields, the live region.
import { useSignal, type ReadonlySignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useId } from "preact/hooks";
import { words } from "../api";
import { announce, announcement } from "../store/announce";
import { Button } from "./button";
import { Icon, type IconName } from "./icon";

export type Hue = "settled" | "waiting" | "needs" | "stopped" | "none";
const ICONS: Readonly<Record<Hue, IconName>> = { settled: "check", waiting: "clock", needs: "alert", stopped: "stop", none: "dot" };

/** A state: hue, icon and word together, never a colour alone. */
export function Tag({ hue, icon, children }: { hue: Hue; icon?: IconName | undefined; children: ComponentChildren }) {
  return (
    <span class={`tag hue-${hue}`}>
      <Icon name={icon ?? ICONS[hue]} />
      {children}
    </span>
  );
}

export function Notice({ hue, icon, children }: { hue: Hue; icon?: IconName; children: ComponentChildren }) {
  return (
    <div class={`notice hue-${hue}`}>
      <Icon name={icon ?? ICONS[hue]} />
      <div>{children}</div>
    </div>
  );
}

/** What went wrong, in words, and the way to try again. */
export function Failed({ error, again }: { error: unknown; again?: () => unknown }) {
  return (
    <div role="alert">
      <Notice hue="stopped">
        <div class="row wrap">
          <span>{words(error)}</span>
          {again ? <Button action={again}>Try again</Button> : null}
        </div>
      </Notice>
    </div>
  );
}

/** Something that belongs on the clipboard; `shown` is what is read, where the whole is too long. */
export function Copy({ text, shown, label }: { text: string; shown?: string; label: string }) {
  const copied = useSignal(false);
  const copy = async (): Promise<void> => {
    try {
      await navigator.clipboard.writeText(text);
      copied.value = true;
      announce(`${label} copied`);
      setTimeout(() => (copied.value = false), 1500);
    } catch {
      announce("The browser does not let this page copy");
    }
  };
  return (
    <button type="button" class="copy" title={`Copy ${label}: ${text}`} onClick={() => void copy()}>
      <bdi class="mono cut" dir="ltr">
        {shown ?? text}
      </bdi>
      <Icon name={copied.value ? "check" : "copy"} />
      <span class="unseen">Copy {label}</span>
    </button>
  );
}

/** `case_0192f1c2…5f` as its last letters, with the whole to copy */
export function Id({ id, label }: { id: string; label: string }) {
  return <Copy text={id} shown={`…${id.slice(-6)}`} label={label} />;
}

export function Skeleton({ lines = 4 }: { lines?: number }) {
  return (
    <div class="skeleton" role="status">
      <span class="unseen">Loading</span>
      {Array.from({ length: lines }, (_, n) => (
        <i key={n} />
      ))}
    </div>
  );
}

/** What will appear here, and how to make it. */
export function Empty({ title, children }: { title: string; children?: ComponentChildren }) {
  return (
    <div class="empty">
      <strong>{title}</strong>
      {children ? <p>{children}</p> : null}
    </div>
  );
}

interface FieldProps {
  label: string;
  hint?: ComponentChildren;
  error?: string;
  children: (ids: { id: string; "aria-describedby": string; "aria-invalid": "true" | undefined }) => ComponentChildren;
}

/** A field with its label, a hint, and what is wrong with it: `<Field label="Reason">{(ids) => <input {...ids} />}</Field>` */
export function Field({ label, hint, error, children }: FieldProps) {
  const id = useId();
  return (
    <div class="field">
      <label for={id}>{label}</label>
      {children({ id, "aria-describedby": `${id}-about`, "aria-invalid": error ? "true" : undefined })}
      <div id={`${id}-about`}>
        {error ? (
          <p class="failed">
            <Icon name="alert" />
            <span>{error}</span>
          </p>
        ) : hint ? (
          <p class="hint">{hint}</p>
        ) : null}
      </div>
    </div>
  );
}

/** The one region that speaks. */
export function LiveRegion() {
  return (
    <div class="unseen" role="status" aria-live="polite" aria-atomic="true">
      {announcement as ReadonlySignal<string>}
    </div>
  );
}
