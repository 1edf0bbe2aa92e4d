// Why somebody does something, in their own words. Ctrl+Enter sends the form that it stands in.
import { Field } from "./bits";

interface Props {
  reason: { value: string };
  label: string;
  hint?: string | undefined;
  /** the caret waits here when its dialog opens */
  waitsHere?: boolean;
}

export function ReasonField({ reason, label, hint, waitsHere }: Props) {
  return (
    <Field label={label} hint={hint}>
      {(ids) => (
        <textarea
          {...ids}
          data-focus={waitsHere ? true : undefined}
          class="input"
          rows={2}
          maxLength={500}
          value={reason.value}
          onInput={(event) => (reason.value = event.currentTarget.value)}
          onKeyDown={(event) => {
            if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) event.currentTarget.form?.querySelector<HTMLButtonElement>("button[type=submit]")?.click();
          }}
        />
      )}
    </Field>
  );
}
