// The bar on top: where you are, how long customers wait now, search, and yourself.
import { useSignal } from "@preact/signals";
import { useLocation } from "preact-iso";
import { useLayoutEffect, useRef } from "preact/hooks";
import { liveState, waitQuote } from "../store/queue";
import { isLead, session, setAvailable, signOut } from "../store/session";
import { setTheme, theme, type Theme } from "../store/theme";
import { clock, plural, say } from "../words";
import { Button } from "./button";
import { Icon } from "./icon";
import { Moment } from "./time";

const PAGES: readonly [string, string][] = [
  ["/desk", "Queue"],
  ["/desk/second-person", "Second person"],
  ["/desk/shift", "My shift"],
  ["/desk/board", "Board"],
  ["/desk/policies", "Policies"],
  ["/desk/brakes", "Brakes"],
  ["/desk/notices", "Notices"],
];

export function TopBar({ onHelp }: { onHelp: () => void }) {
  const { path, route, query } = useLocation();
  const at = (page: string): boolean => (page === "/desk" ? path === "/desk" || path.startsWith("/desk/cases") : path.startsWith(page));
  return (
    <header class="top">
      <a class="brand" href="/desk">
        <img src={new URL("../icon.svg", import.meta.url).href} alt="" width="20" height="20" />
        <span class="cut">{session.value?.platform.name ?? "Makegood"}</span>
      </a>
      <nav class="pages" aria-label="Pages">
        {PAGES.map(([page, name]) => (
          <a key={page} href={page} aria-current={at(page) ? "page" : undefined}>
            {name}
          </a>
        ))}
        <a class="pages-search" href="/desk/search" aria-current={at("/desk/search") ? "page" : undefined}>
          Search
        </a>
      </nav>
      <form
        class="top-search"
        role="search"
        onSubmit={(event) => {
          event.preventDefault();
          const typed = new FormData(event.currentTarget).get("q");
          if (typeof typed === "string" && typed.trim() !== "") route(`/desk/search?q=${encodeURIComponent(typed.trim())}`);
        }}
      >
        <Icon name="search" />
        <input
          class="input"
          type="search"
          name="q"
          data-search
          aria-label="Search an order, case, payment or e-mail address"
          placeholder="Order, case, e-mail"
          defaultValue={path === "/desk/search" ? (query["q"] ?? "") : ""}
          autoComplete="off"
          onKeyDown={(event) => {
            if (event.key === "Escape") event.currentTarget.blur();
          }}
        />
        <kbd aria-hidden="true">/</kbd>
      </form>
      <Wait />
      <Me onHelp={onHelp} />
    </header>
  );
}

function Wait() {
  const wait = waitQuote.value;
  if (liveState.value === "away")
    return (
      <span class="top-wait tag hue-needs" role="status">
        <Icon name="away" />
        Not live
      </span>
    );
  if (!wait) return <span class="top-wait" />;
  const [low, high] = [clock(wait.low_seconds), clock(wait.high_seconds)];
  return (
    <span class="top-wait quiet" title={`Customers now wait ${low} to ${high} for a person, typically ${clock(wait.typical_seconds)}`}>
      <Icon name="clock" />
      <span class="label-words">wait now </span>
      <span class="typical">
        <strong>{clock(wait.typical_seconds)}</strong>{" "}
      </span>
      <span class="range">
        <span class="round">(</span>
        {low}–{high}
        <span class="round">)</span>
      </span>
    </span>
  );
}

function Me({ onHelp }: { onHelp: () => void }) {
  const open = useSignal(false);
  const box = useRef<HTMLDivElement>(null);
  const me = session.value;
  useLayoutEffect(() => {
    if (!open.value) return undefined;
    const away = (event: Event): void => {
      if (!(event.target instanceof Node) || !box.current?.contains(event.target)) open.value = false;
    };
    // Before the page hears of it: Escape closes this box, and nothing behind it.
    const escape = (event: KeyboardEvent): void => {
      if (event.key !== "Escape") return;
      event.preventDefault();
      event.stopPropagation();
      open.value = false;
      box.current?.querySelector("button")?.focus();
    };
    document.addEventListener("pointerdown", away);
    document.addEventListener("keydown", escape, true);
    return () => {
      document.removeEventListener("pointerdown", away);
      document.removeEventListener("keydown", escape, true);
    };
  }, [open.value]);
  if (!me) return null;
  const { agent } = me;
  return (
    <div class="me" ref={box}>
      <button type="button" class="me-button" aria-expanded={open.value} aria-haspopup="true" onClick={() => (open.value = !open.value)}>
        <span class={agent.available ? "presence here" : "presence"} />
        <span class="cut">{agent.name}</span>
        <span class="unseen">{agent.available ? ", takes cases" : ", takes no cases"}</span>
        <Icon name="down" />
      </button>
      {open.value ? (
        <div class="me-box">
          <p>
            <strong>{agent.name}</strong>
            <span class="quiet"> {isLead.value ? "Lead" : "Agent"}, up to {plural(agent.capacity, "case", "cases")} at a time</span>
          </p>
          {agent.skills.length > 0 ? <p class="quiet small">{agent.skills.map((one) => say("skill", one)).join(", ")}</p> : null}
          <label class="check">
            <input type="checkbox" checked={agent.available} onChange={(event) => void setAvailable(event.currentTarget.checked)} />
            <span>I take cases. Without this no answer comes back to you by itself.</span>
          </label>
          <fieldset class="themes">
            <legend class="label">Colours</legend>
            {(["system", "light", "dark"] as const satisfies readonly Theme[]).map((one) => (
              <label key={one} class="check">
                <input type="radio" name="theme" checked={theme.value === one} onChange={() => setTheme(one)} />
                <span>{one === "system" ? "As this device" : one === "light" ? "Light" : "Dark"}</span>
              </label>
            ))}
          </fieldset>
          {me.signs_out_at ? (
            <p class="quiet small">
              Signed in until <Moment at={me.signs_out_at} />, longer while you work
            </p>
          ) : null}
          <div class="row wrap">
            <Button action={onHelp} shortcut="?">
              Keys
            </Button>
            <Button action={signOut}>Sign out</Button>
          </div>
        </div>
      ) : null}
    </div>
  );
}
