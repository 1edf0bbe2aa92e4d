// What happened, from every source, in order: days apart, words said in full, the newest at the end and in sight.
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { Empty } from "../components/bits";
import { Icon } from "../components/icon";
import type { CaseShown, EntryShown, MessageShown } from "../contract";
import { session } from "../store/session";
import { bytes, dayOf, fullTime, inZone, say, timeOfDay } from "../words";
import { source, tell } from "./timeline-words";

interface Props {
  shown: CaseShown;
  entries: readonly EntryShown[];
  currency: string;
}

export function Timeline({ shown, entries, currency }: Props) {
  const list = useRef<HTMLOListElement>(null);
  const seen = useRef(0);
  // It stays at its end while one looks at the end; who has scrolled back to read is left where they are.
  useLayoutEffect(() => {
    const box = list.current?.closest<HTMLElement>(".tab-panel");
    if (!box) return;
    const first = seen.current === 0;
    const atEnd = box.scrollHeight - box.scrollTop - box.clientHeight < 160;
    if (entries.length !== seen.current && (first || atEnd)) box.scrollTop = box.scrollHeight;
    seen.current = entries.length;
  }, [entries.length]);

  // The composer takes room and gives it back: the end stays in sight.
  useEffect(() => {
    const box = list.current?.closest<HTMLElement>(".tab-panel");
    if (!box) return undefined;
    let atEnd = true;
    const look = (): void => {
      atEnd = box.scrollHeight - box.scrollTop - box.clientHeight < 40;
    };
    const sized = new ResizeObserver(() => {
      if (atEnd) box.scrollTop = box.scrollHeight;
    });
    sized.observe(box);
    box.addEventListener("scroll", look, { passive: true });
    return () => {
      sized.disconnect();
      box.removeEventListener("scroll", look);
    };
  }, [entries.length > 0]);

  if (entries.length === 0) return <Empty title="Nothing has happened yet">What customers, rules, payments and people do is written here as it happens.</Empty>;
  const zone = session.value?.platform.zone;
  let day = "";
  return (
    <ol class="timeline" ref={list}>
      {entries.map((one) => {
        const told = tell(one, shown, currency);
        const today = dayOf(one.happened_at);
        const begins = today !== day;
        day = today;
        const message = messageOf(one, shown);
        return (
          <li key={one.seq} class={`entry kind-${message?.kind ?? "other"}`}>
            {begins ? (
              <p class="entry-day">
                {today}
                {zone ? <There at={one.happened_at} zone={zone} /> : null}
              </p>
            ) : null}
            <div class="entry-line">
              <span class={`entry-icon hue-${told.hue}`}>
                <Icon name={told.icon} />
              </span>
              <div class="entry-text">
                <p>
                  <span class="strong">{told.title}</span>
                  <span class="quiet small"> {source(one)}</span>
                </p>
                {told.detail ? (
                  <p class={message ? "entry-said" : "quiet small"} dir="auto">
                    {told.detail}
                  </p>
                ) : null}
                {message ? <Sent message={message} /> : null}
              </div>
              <time class="quiet small" dateTime={one.happened_at} title={fullTime(one.happened_at, zone)}>
                {timeOfDay(one.happened_at)}
              </time>
            </div>
          </li>
        );
      })}
    </ol>
  );
}

/** Where the show's clock differs from the reader's: the day's first moment on both. */
function There({ at, zone }: { at: string; zone: string }) {
  const there = inZone(at, zone);
  return there === null ? null : (
    <span class="small">
      {" · "}
      {timeOfDay(at)} here is {there}
    </span>
  );
}

function messageOf(entry: EntryShown, shown: CaseShown): MessageShown | undefined {
  const id = entry.data["message"];
  if (typeof id !== "string") return undefined;
  const plain = id.replace(/-/g, "").replace(/^msg_/, "");
  if (entry.kind === "customer_told") return undefined;
  return shown.messages.find((one) => one.id.replace(/^msg_/, "") === plain);
}

function Sent({ message }: { message: MessageShown }) {
  const files = message.attachments ?? [];
  const via = message.via ?? [];
  if (files.length === 0 && via.length === 0) return null;
  return (
    <p class="entry-sent quiet small">
      {files.map((one) => (
        <a key={one.id} href={`/v1/attachments/${one.id}`} download={one.name}>
          <Icon name="clip" />
          <bdi>{one.name}</bdi> ({bytes(one.bytes)})
        </a>
      ))}
      {via.length > 0 ? <span>went by {via.map((one) => say("channel", one)).join(" and ")}</span> : null}
    </p>
  );
}
