// Writing: a reply or a note, with texts at hand and files. What is typed is kept with every letter; nothing that arrives moves the caret.
import { useSignal } from "@preact/signals";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { get, post, upload, withQuery, words } from "../api";
import { Button } from "../components/button";
import { Icon } from "../components/icon";
import { Ago } from "../components/time";
import type { AttachmentShown, CaseShown, DraftShown, Macro } from "../contract";
import { announce } from "../store/announce";
import { drop, keep, local, newer, stored, type Kind } from "../store/drafts";
import { bytes, language } from "../words";
import { MacroList } from "./MacroList";

export interface ComposerHandle {
  open: (kind: Kind, text?: string) => void;
  insert: (macro: string) => void;
}

interface Props {
  id: string;
  shown: CaseShown;
  mine: boolean;
  handle: ComposerHandle;
  onSent: (shown: CaseShown) => void;
}

// As the service takes them: what a customer may safely open.
const TYPES = ["image/png", "image/jpeg", "image/webp", "application/pdf", "text/plain"];
const BYTES_MAX = 5 * 1024 * 1024;
const LENGTH_MAX = 5000;
// As the service finds them (policies/macros.py).
const UNFILLED = /\[\s*(?:order|show|amount|reference|agent|wait|platform)\s*\?\s*\]|\{\s*(?:order|show|amount|reference|agent|wait|platform)\s*\}/i;

interface Attached {
  file: string;
  shown: AttachmentShown | null;
  failure: string;
}

export function Composer({ id, shown, mine, handle, onSent }: Props) {
  const kind = useSignal<Kind>("reply");
  const isOpen = useSignal(false);
  const empty = useSignal(true);
  const state = useSignal<"" | "kept" | "here">("");
  const macros = useSignal<readonly Macro[]>([]);
  const picking = useSignal(false);
  const files = useSignal<readonly Attached[]>([]);
  const others = useSignal<readonly DraftShown[]>([]);
  const failure = useSignal("");
  const used = useRef<string | null>(null);
  const box = useRef<HTMLTextAreaElement>(null);
  // What stands in the field is the field's own: nothing that is drawn again touches it.
  const bodies = useRef<Record<Kind, string>>({ reply: "", note: "" });
  // Where somebody has typed since this was opened, what the service had before is old.
  const typed = useRef(new Set<Kind>());

  const write = (text: string): void => {
    bodies.current[kind.value] = text;
    typed.current.add(kind.value);
    empty.value = text.trim() === "";
    failure.value = "";
    state.value = "";
    keep(id, kind.value, text, (now) => (state.value = now));
  };
  const fit = (): void => {
    const field = box.current;
    if (!field) return;
    field.style.setProperty("height", "auto");
    field.style.setProperty("height", `${Math.min(field.scrollHeight + 2, innerHeight * 0.34)}px`);
  };
  // The field is ready as soon as it is drawn, before the next key: what is typed right after `c` is text and no shortcut.
  const wanted = useRef<((field: HTMLTextAreaElement) => void)[]>([]);
  const asked = useSignal(0);
  useLayoutEffect(() => {
    const field = box.current;
    if (field) for (const act of wanted.current.splice(0)) act(field);
  }, [asked.value]);
  const show = (which: Kind, focus: boolean): void => {
    kind.value = which;
    isOpen.value = true;
    empty.value = bodies.current[which].trim() === "";
    wanted.current.push((field) => {
      if (field.value !== bodies.current[which]) field.value = bodies.current[which];
      fit();
      if (!focus) return;
      field.focus();
      field.setSelectionRange(field.value.length, field.value.length);
    });
    asked.value += 1;
  };
  /** Puts a text where the caret is, so that what was typed stays. */
  const put = (text: string): void => {
    show("reply", true);
    wanted.current.push((field) => {
      const before = field.value.slice(0, field.selectionStart);
      const space = before !== "" && !/\s$/.test(before) ? "\n\n" : "";
      field.setRangeText(space + text, field.selectionStart, field.selectionEnd, "end");
      const gap = UNFILLED.exec(field.value);
      if (gap) field.setSelectionRange(gap.index, gap.index + gap[0].length);
      write(field.value);
      fit();
      field.focus();
    });
  };
  const readMacros = async (): Promise<readonly Macro[]> => {
    if (macros.value.length === 0) macros.value = (await get<{ macros: Macro[] }>(`/v1/cases/${id}/macros`)).macros;
    return macros.value;
  };
  handle.open = (which, text) => (text === undefined ? show(which, true) : put(text));
  handle.insert = (macro) => {
    show("reply", true);
    readMacros().then(
      (found) => {
        const one = found.find((each) => each.id === macro);
        if (!one) return void (picking.value = true);
        used.current = one.id;
        put(one.body);
        return undefined;
      },
      (error: unknown) => (failure.value = words(error)),
    );
  };

  // Back to what was typed: this browser's at once, the service's when it is newer and nothing was typed meanwhile.
  useEffect(() => {
    let left = false;
    for (const which of ["reply", "note"] as const) bodies.current[which] = local(id, which)?.body ?? "";
    const began = (["reply", "note"] as const).find((which) => bodies.current[which] !== "");
    if (began) show(began, false);
    stored(id).then(
      (drafts) => {
        if (left) return;
        for (const which of ["reply", "note"] as const) {
          if (typed.current.has(which) || bodies.current[which] !== (local(id, which)?.body ?? "")) continue;
          const body = newer(local(id, which), drafts.find((one) => one.mine && one.kind === which));
          if (body === bodies.current[which]) continue;
          bodies.current[which] = body;
          // What is sent is what is seen.
          if (document.activeElement !== box.current) show(which, false);
          else if (which === kind.value) show(which, true);
        }
      },
      () => undefined,
    );
    return () => {
      left = true;
    };
  }, [id]);
  // What others left is shown to whoever has the case, so it is read when one takes it.
  useEffect(() => {
    let left = false;
    others.value = [];
    if (mine)
      stored(id).then(
        (drafts) => {
          if (!left) others.value = drafts.filter((one) => !one.mine && one.body.trim() !== "");
        },
        () => undefined,
      );
    return () => {
      left = true;
    };
  }, [id, mine]);
  useLayoutEffect(fit, [isOpen.value, kind.value]);

  const attach = async (chosen: Iterable<File>): Promise<void> => {
    for (const file of chosen) {
      const wrong = file.size > BYTES_MAX ? `is larger than ${bytes(BYTES_MAX)}` : TYPES.includes(file.type) ? "" : "is no picture, PDF or plain text";
      const one: Attached = { file: file.name, shown: null, failure: wrong };
      files.value = [...files.value, one];
      if (wrong !== "") continue;
      const replace = (next: Attached): void => {
        files.value = files.value.map((each) => (each === one ? next : each));
      };
      try {
        const path = withQuery(`/v1/cases/${id}/attachments`, { name: file.name });
        replace({ ...one, shown: await upload<AttachmentShown>(path, file, { intent: `attach:${file.name}:${file.size}:${file.lastModified}` }) });
      } catch (error) {
        replace({ ...one, failure: words(error) });
      }
    }
  };

  const send = async (): Promise<void> => {
    const which = kind.value;
    const body = bodies.current[which].trim();
    const ready = files.value.flatMap((one) => (one.shown ? [one.shown.id] : []));
    const message: Record<string, unknown> = { body };
    if (ready.length > 0) message["attachments"] = ready;
    if (which === "reply" && used.current !== null) message["macro"] = used.current;
    const answer = await post<CaseShown>(`/v1/cases/${id}/${which === "reply" ? "replies" : "notes"}`, message, { intent: which });
    bodies.current[which] = "";
    drop(id, which);
    used.current = null;
    files.value = [];
    empty.value = true;
    state.value = "";
    if (box.current) {
      box.current.value = "";
      fit();
    }
    announce(which === "reply" ? "Sent to the customer" : "Note kept");
    onSent(answer);
  };

  const gap = UNFILLED.test(bodies.current.reply) && kind.value === "reply";
  const uploading = files.value.some((one) => one.shown === null && one.failure === "");
  if (!isOpen.value)
    return (
      <div class="composer closed">
        <Button icon="reply" shortcut="c" action={() => show("reply", true)}>
          Write to the customer
        </Button>
        <Button icon="note" shortcut="n" action={() => show("note", true)}>
          Note
        </Button>
      </div>
    );
  const note = kind.value === "note";
  return (
    <div
      class={note ? "composer note" : "composer"}
      onDragOver={(event) => event.preventDefault()}
      onDrop={(event) => {
        event.preventDefault();
        void attach(event.dataTransfer?.files ?? []);
      }}
    >
      <div class="composer-head">
        <div class="composer-kinds" role="group" aria-label="What you write">
          <button type="button" aria-pressed={!note} onClick={() => show("reply", true)}>
            <Icon name="reply" />
            Reply
          </button>
          <button type="button" aria-pressed={note} onClick={() => show("note", true)}>
            <Icon name="note" />
            Note
          </button>
        </div>
        <span class="quiet small cut">
          {note ? "For the desk alone; it never leaves" : `To the customer, in ${language(shown.locale)}`}
          {empty.value || state.value === "" ? "" : state.value === "kept" ? " · kept" : " · kept in this browser"}
        </span>
        <span class="push">
          <Button kind="plain" icon="down" iconOnly action={() => (isOpen.value = false)}>
            Fold away; what you typed is kept
          </Button>
        </span>
      </div>
      {others.value.map((one) => (
        <div key={`${one.agent}${one.kind}`} class="composer-other hue-waiting">
          <span class="cut">
            {one.agent.replace(/^agent:/, "")} began a {one.kind} <Ago at={one.updated_at} />: “<bdi>{one.body}</bdi>”
          </span>
          <Button
            action={() => {
              others.value = others.value.filter((each) => each !== one);
              if (one.kind === "note") {
                bodies.current.note = one.body;
                show("note", true);
              } else put(one.body);
            }}
          >
            Use it
          </Button>
        </div>
      ))}
      {picking.value ? (
        <MacroList
          macros={macros.value}
          onChoose={(one) => {
            picking.value = false;
            used.current = one.id;
            put(one.body);
          }}
          onClose={() => {
            picking.value = false;
            box.current?.focus();
          }}
        />
      ) : null}
      <textarea
        ref={box}
        class="input"
        rows={3}
        maxLength={LENGTH_MAX}
        aria-label={note ? "Note for the desk" : "Reply to the customer"}
        lang={note ? undefined : shown.locale}
        dir="auto"
        placeholder={note ? "What the next person should know" : "First the answer, then the reason"}
        defaultValue={bodies.current[kind.value]}
        onInput={(event) => {
          write(event.currentTarget.value);
          fit();
        }}
        onPaste={(event) => {
          const pasted = [...(event.clipboardData?.files ?? [])];
          if (pasted.length === 0) return;
          event.preventDefault();
          void attach(pasted);
        }}
        onKeyDown={(event) => {
          if (event.key === "Escape") {
            event.stopPropagation();
            event.currentTarget.blur();
            document.querySelector<HTMLElement>(".queue-rows")?.focus();
          } else if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
            event.preventDefault();
            document.getElementById("send")?.click();
          }
        }}
      />
      {files.value.length > 0 ? (
        <ul class="composer-files">
          {files.value.map((one) => (
            <li key={one.file} class={one.failure === "" ? "" : "wrong"}>
              <Icon name={one.failure === "" ? "clip" : "alert"} />
              <span class="cut">
                {one.file} {one.failure !== "" ? one.failure : one.shown ? `(${bytes(one.shown.bytes)})` : "is being sent…"}
              </span>
              <Button kind="plain" icon="close" iconOnly action={() => (files.value = files.value.filter((each) => each !== one))}>
                Leave out {one.file}
              </Button>
            </li>
          ))}
        </ul>
      ) : null}
      {failure.value === "" ? null : <p class="failed">{failure.value}</p>}
      <div class="composer-foot">
        {note ? null : (
          <Button
            icon="rule"
            expanded={picking.value}
            action={async () => {
              await readMacros();
              picking.value = !picking.value;
            }}
          >
            Texts
          </Button>
        )}
        <label class="button composer-file">
          <Icon name="clip" />
          <span>File</span>
          <input
            class="unseen"
            type="file"
            multiple
            accept={TYPES.join(",")}
            onChange={(event) => {
              const chosen = [...(event.currentTarget.files ?? [])];
              event.currentTarget.value = "";
              void attach(chosen);
            }}
          />
        </label>
        <span class="push row wrap">
          <Button id="send" kind="primary" action={send} disabled={empty.value || gap || uploading} why={gap ? "Fill in what stands in [brackets?] first" : uploading ? "A file is still being sent" : "Write something first"}>
            {note ? "Keep the note" : "Send to the customer"}
          </Button>
        </span>
      </div>
    </div>
  );
}
