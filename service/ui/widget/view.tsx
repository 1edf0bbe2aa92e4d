// The frame around the screens: the launcher, the dialog, what is said when nobody answers, and the one live region.
import { h, Fragment, type VNode } from "preact";
import type { App } from "./app";
import { home } from "./home";
import { icon } from "./icons";
import { button, state } from "./parts";
import type { Help } from "./wire";

function screenOf(a: App): VNode | null {
  if (a.screen === "loading") return a.isAway || a.error ? null : skeleton(a);
  if (a.screen === "home") return home(a);
  return a.rest ? a.rest.screens[a.screen](a) : skeleton(a);
}

export function launcher(a: App): VNode {
  const { say } = a.text;
  const isUnderWay = a.kept.hasCase;
  const news = a.notice !== null && !a.notice.over;
  return (
    <button type="button" class="launcher" part="launcher" aria-haspopup="dialog" aria-expanded={a.isOpen} onClick={() => void a.open()}
      aria-label={say(isUnderWay ? "launcher_case" : news ? "launcher_notice" : "launcher")}>
      {icon("help")}
      <span part="launcher-label">{say("launcher")}</span>
      {(isUnderWay || news) && <span class="dot" />}
    </button>
  );
}

/** What stands in the dialog, or alone on its page. */
export function panel(a: App): VNode {
  const { say } = a.text;
  // Not even the beginning could be had: whoever opens it again tries again.
  const isLost = a.screen === "loading" && a.error !== null;
  // Where a screen leads to people by itself, or is theirs already, nothing more does.
  const isTheirs = a.screen === "case" && /^(with_people|denied)$/.test(a.case?.status ?? "");
  const offersPerson = !isTheirs && !/^(loading|tell|purchase)$/.test(a.screen);
  return (
    <>
      <header>
        {a.canGoBack ? iconButton("back", say("back"), () => void a.run("back", () => a.later((rest) => rest.back(a)))) : <span class="gap" />}
        <span class="name" dir="auto">{a.help?.name}</span>
        {a.mode === "launcher" ? iconButton("close", say("close"), () => a.close()) : <span class="gap" />}
      </header>
      <div class="body" part="body">
        {(a.isAway || isLost) && away(a)}
        {screenOf(a)}
      </div>
      <footer>{offersPerson && button(a, "person", [icon("person"), say("person")], () => a.later((rest) => rest.person(a)), "link")}</footer>
    </>
  );
}

function iconButton(name: "back" | "close", label: string, action: () => void): VNode {
  return (
    <button type="button" class="icon" aria-label={label} onClick={action}>
      {icon(name)}
    </button>
  );
}

function skeleton(a: App): VNode {
  return (
    <div class="skeleton" key="skeleton" role="img" aria-label={a.text.say("loading")}>
      <i />
      <i />
      <i />
    </div>
  );
}

/** From what was last known: how else to reach the platform, where it has said so in a way that one can tap. */
function away(a: App): VNode {
  const { say } = a.text;
  const { email, phone, url }: Partial<Help["contacts"]> = a.help?.contacts ?? {};
  const safe = url && /^https?:/.test(url) ? url : null;
  return (
    <section class="away" aria-label={say("away")}>
      {state(
        "needs",
        "info",
        <b>{say("away")}</b>,
        <span>{say("away_why")}</span>,
        (email ?? phone ?? safe) && <span class="quiet">{say("reach_us")}</span>,
        email && <a href={`mailto:${email}`}>{email}</a>,
        phone && <a href={`tel:${phone.replace(/[^+\d]/g, "")}`} dir="ltr">{phone}</a>,
        safe && <a href={safe} target="_blank" rel="noopener noreferrer">{safe.replace(/^https?:\/\//, "")}</a>,
      )}
    </section>
  );
}
