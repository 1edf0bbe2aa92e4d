// Notices: "we know", said on every widget of a show by one press; what is said now, by whom and why, and the one place to change and to end it.
import { useSignal, type Signal } from "@preact/signals";
import { del, put, withQuery } from "../api";
import { Empty, Field, Notice, Tag } from "../components/bits";
import { Button } from "../components/button";
import { Dialog } from "../components/dialog";
import { ReasonField } from "../components/reason";
import { Ago } from "../components/time";
import type { ShowNotice } from "../contract";
import { announce } from "../store/announce";
import { isLead, session } from "../store/session";
import { actor, language, plural } from "../words";
import { Head, Read, usePolled } from "./frame";
import { sentence } from "./say";
import "./notices.css";

// What another lead says is seen here soon after.
const SECONDS = 5;
// Three sentences: they are read on a phone, in the dark of a venue.
const WORDS_MAX = 500;

export default function NoticesPage() {
  const notices = usePolled<{ notices: ShowNotice[] }>("/v1/notices", SECONDS);
  const saying = useSignal<ShowNotice | "new" | null>(null);
  const ending = useSignal<ShowNotice | null>(null);
  return (
    <div class="page stack-l">
      <Head title="Notices" about="One press tells every widget of a show that you know, and what you know. Customers who asked to be told get a letter when it changes, and a last one when it is over.">
        {isLead.value ? (
          <Button kind="primary" icon="note" action={() => (saying.value = "new")}>
            Say something
          </Button>
        ) : null}
      </Head>
      {isLead.value ? null : (
        <Notice hue="none" icon="people">
          What widgets say is for leads to change. Ask one on your shift when customers should know something.
        </Notice>
      )}
      <Read from={notices} lines={4}>
        {(shown) => (
          <Said
            now={shown.notices.filter((one) => !one.over)}
            over={shown.notices.filter((one) => one.over)}
            change={(one) => (saying.value = one)}
            end={(one) => (ending.value = one)}
          />
        )}
      </Read>
      {saying.value === null ? null : <Say about={saying.value} onClose={() => (saying.value = null)} onDone={notices.reload} />}
      {ending.value === null ? null : <End notice={ending.value} onClose={() => (ending.value = null)} onDone={notices.reload} />}
    </div>
  );
}

// ------------------------------------------------------------------------------------------------------------------ what is said

interface SaidProps {
  now: readonly ShowNotice[];
  over: readonly ShowNotice[];
  change: (one: ShowNotice) => void;
  end: (one: ShowNotice) => void;
}

function Said({ now, over, change, end }: SaidProps) {
  return (
    <>
      <section class="stack" aria-labelledby="said-now">
        <h2 id="said-now">Said now</h2>
        {now.length === 0 ? (
          <div class="card">
            <Empty title="Nothing is said">When many customers meet the same trouble, tell all of them at once: they see it before they ask.</Empty>
          </div>
        ) : (
          <ul class="notices">
            {now.map((one) => (
              <li key={one.show} class="card said">
                <About notice={one} />
                {isLead.value ? (
                  <div class="row wrap">
                    <Button action={() => change(one)}>Say how it goes on at {one.show}</Button>
                    <Button action={() => end(one)}>End it at {one.show}</Button>
                  </div>
                ) : null}
              </li>
            ))}
          </ul>
        )}
      </section>
      {over.length === 0 ? null : (
        <section class="stack" aria-labelledby="said-before">
          <h2 id="said-before">Over</h2>
          <ul class="notices">
            {over.map((one) => (
              <li key={`${one.show} ${one.since}`} class="card">
                <About notice={one} />
              </li>
            ))}
          </ul>
        </section>
      )}
    </>
  );
}

function About({ notice }: { notice: ShowNotice }) {
  return (
    <div class="stack-s">
      <p class="row wrap">
        {notice.over ? <Tag hue="settled">over</Tag> : <Tag hue="needs">said now</Tag>}
        <strong>
          <bdi>{nameOf(notice)}</bdi>
        </strong>
        <span class="quiet small mono">{notice.show}</span>
      </p>
      <Words text={notice.text} />
      <p class="quiet small">
        {actor(notice.actor)}, <Ago at={notice.updated_at} />
        {notice.reason ? `: ${sentence(notice.reason)}` : ""}
        {notice.over || notice.followers === 0 ? null : ` ${plural(notice.followers, "customer", "customers")} asked to be told.`}
      </p>
    </div>
  );
}

/** In the order of the platform's languages, its first one first. */
function Words({ text }: { text: Readonly<Record<string, string>> }) {
  const languages = [...new Set([...(session.value?.platform.languages ?? []), ...Object.keys(text)])].filter((tag) => tag in text);
  return (
    <dl class="notice-words">
      {languages.map((tag) => (
        <div key={tag}>
          <dt class="quiet small">{language(tag)}</dt>
          <dd lang={tag} dir="auto">
            {text[tag]}
          </dd>
        </div>
      ))}
    </dl>
  );
}

function nameOf(notice: ShowNotice): string {
  return notice.show_name[session.value?.platform.languages[0] ?? "en"] ?? Object.values(notice.show_name)[0] ?? notice.show;
}

// -------------------------------------------------------------------------------------------------------------- saying and ending

interface SayProps {
  about: ShowNotice | "new";
  onClose: () => void;
  onDone: () => Promise<void>;
}

/** First what is said, then how it will read, and only then it goes. */
function Say({ about, onClose, onDone }: SayProps) {
  const before = about === "new" ? null : about;
  const show = useSignal(before?.show ?? "");
  const words = useSignal<Record<string, string>>({});
  const reason = useSignal("");
  const looks = useSignal(false);
  const languages = session.value?.platform.languages ?? ["en"];
  const first = languages[0] ?? "en";
  const text = Object.fromEntries(languages.map((tag) => [tag, (words.value[tag] ?? "").trim()] as const).filter(([, said]) => said !== ""));
  const ready = show.value.trim() !== "" && first in text && reason.value.trim().length >= 3;
  const tell = async (): Promise<void> => {
    await put(`/v1/shows/${encodeURIComponent(show.value.trim())}/notice`, { text, reason: reason.value.trim() });
    await onDone();
    announce(`Every widget of ${show.value.trim()} says it`);
    onClose();
  };
  const title = before ? `Say how it goes on at ${before.show}` : "Tell every widget of a show";
  return (
    <Dialog title={title} onClose={onClose} large>
      <form class="stack" onSubmit={(event) => event.preventDefault()}>
        {looks.value ? (
          <>
            <p>
              Every open widget of <strong class="mono">{show.value.trim()}</strong> says this within a second, the others when they are opened
              {before && before.followers > 0 ? `; ${plural(before.followers, "customer gets", "customers get")} a letter` : ""}:
            </p>
            <Words text={text} />
            {languages.length > Object.keys(text).length ? (
              <Notice hue="needs">
                Nothing is written in {languages.filter((tag) => !(tag in text)).map(language).join(", ")}: who reads that sees {language("en" in text ? "en" : first)}.
              </Notice>
            ) : null}
          </>
        ) : (
          <>
            {before ? null : (
              <Field label="Which show?" hint="Its reference, as your platform writes it.">
                {(ids) => <input {...ids} data-focus class="input" maxLength={100} autoComplete="off" value={show} onInput={(event) => (show.value = event.currentTarget.value)} />}
              </Field>
            )}
            {languages.map((tag) => (
              <InLanguage key={tag} tag={tag} needed={tag === first} words={words} />
            ))}
            <ReasonField reason={reason} label="Why?" hint="Kept with your name. Customers do not see it." />
          </>
        )}
        <div class="row wrap">
          {looks.value ? (
            <>
              <Button key="tell" type="submit" kind="primary" icon="note" action={tell}>
                Tell every widget of {show.value.trim()}
              </Button>
              <Button key="back" kind="plain" action={() => (looks.value = false)}>
                Change the words
              </Button>
            </>
          ) : (
            <>
              <Button key="look" type="submit" kind="primary" action={() => (looks.value = true)} disabled={!ready} why={`Name the show, write it in ${language(first)} and say why first`}>
                See how it reads
              </Button>
              <Button key="leave" kind="plain" action={onClose}>
                Say nothing
              </Button>
            </>
          )}
        </div>
      </form>
    </Dialog>
  );
}

function InLanguage({ tag, needed, words }: { tag: string; needed: boolean; words: Signal<Record<string, string>> }) {
  return (
    <Field label={`In ${language(tag)}`} hint={needed ? "What you know, what you do, what they need not do." : "May be left out."}>
      {(ids) => (
        <textarea
          {...ids}
          class="input"
          rows={2}
          lang={tag}
          dir="auto"
          maxLength={WORDS_MAX}
          value={words.value[tag] ?? ""}
          onInput={(event) => (words.value = { ...words.value, [tag]: event.currentTarget.value })}
        />
      )}
    </Field>
  );
}

interface EndProps {
  notice: ShowNotice;
  onClose: () => void;
  onDone: () => Promise<void>;
}

function End({ notice, onClose, onDone }: EndProps) {
  const reason = useSignal("");
  const end = async (): Promise<void> => {
    await del(withQuery(`/v1/shows/${encodeURIComponent(notice.show)}/notice`, { reason: reason.value.trim() }));
    await onDone();
    announce(`It is over at ${notice.show}`);
    onClose();
  };
  return (
    <Dialog title={`End it at ${notice.show}`} onClose={onClose}>
      <form class="stack" onSubmit={(event) => event.preventDefault()}>
        <Words text={notice.text} />
        <p>
          Widgets say for ten minutes that this is over, then nothing.
          {notice.followers > 0 ? ` ${plural(notice.followers, "customer gets", "customers get")} a last letter.` : ""}
        </p>
        <ReasonField reason={reason} label="Why is it over?" hint="Kept with your name. Customers do not see it." waitsHere />
        <div class="row wrap">
          <Button type="submit" kind="primary" action={end} disabled={reason.value.trim() === ""} why="Say why first">
            End it at {notice.show}
          </Button>
          <Button kind="plain" action={onClose}>
            Go on saying it
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
