// The show's page: who is here, what they bought, the player, and help in the corner. Inside a frame of ours it has no strip of its own.
import { type Bought, enter, Gone, isGuest, readState, signIn, type State } from "./api";
import { Controls } from "./controls";
import { find, make } from "./dom";
import { Help } from "./help";
import { Player } from "./player";
import { clock, count, elapsed, fill, language, money, type Words, words } from "./words";

// Often enough that a switch shows at once, seldom enough that nobody notices.
const LOOK_MS = 1500;
const SONGS: readonly (readonly [number, string])[] = [
  [0, "Blue Hour"],
  [9, "Sailing to Senja"],
  [18, "Salt on the Window"],
  [27, "Polar Night Waltz"],
  [36, "The Lamp in the Harbour"],
  [47, "Eleven Whales"],
  [58, "Letter from Svalbard"],
  [69, "Aurora (choir)"],
  [80, "Sunrise in February"],
];

const framed = window.parent !== window;

/** A link to the stream that was opened here: in the fragment, which no server is sent. */
function linkGiven(): string | null {
  const token = new URLSearchParams(location.hash.slice(1)).get("t");
  if (token !== null) history.replaceState(history.state, "", location.pathname + location.search);
  return token;
}

function write(): void {
  for (const one of document.querySelectorAll<HTMLElement>("[data-t]")) one.textContent = words[one.dataset["t"] as keyof Words];
  for (const one of document.querySelectorAll<HTMLElement>("[data-label]")) {
    const key = one.dataset["label"] ?? "";
    one.setAttribute("aria-label", key === "controls" ? "Demo controls" : words[key as keyof Words]);
  }
}

function row(label: string, value: string | HTMLElement): HTMLElement {
  return make("div", {}, make("dt", {}, label), make("dd", {}, value));
}

function ticket(bought: Bought): void {
  const link = make("span", { id: "link" });
  find("ticket-body").replaceChildren(
    make("p", { class: "item" }, words.item),
    ...(isGuest() ? [make("p", { class: "quiet" }, words.guest_note)] : []),
    make(
      "dl",
      {},
      row(words.order, make("bdi", { class: "ref" }, bought.order)),
      row(words.holder, make("bdi", {}, bought.name)),
      row(words.email, make("bdi", { id: "email" }, bought.email)),
      row(words.price, money(bought.price, bought.currency)),
      row(words.paid_with, make("bdi", {}, bought.card)),
      row(words.link, link),
    ),
  );
  find("who").replaceChildren(isGuest() ? words.sign_in : make("bdi", {}, bought.name));
  const starts = new Date(bought.starts_at);
  find("facts").replaceChildren(
    row(words.begins, clock(starts)),
    row(words.ends, clock(new Date(bought.ends_at))),
    row(words.watching, count(1284)),
  );
  const minute = (Date.now() - starts.getTime()) / 60_000;
  const now = SONGS.filter(([at]) => at <= minute).length - 1;
  const songs = SONGS.map(([at, name], index) => {
    const line = make("li", index === now ? { "aria-current": "true" } : {}, make("bdi", { lang: "en" }, name));
    line.append(make("span", { class: "at" }, index === now ? words.now : elapsed(at * 60_000)));
    return line;
  });
  find("songs").replaceChildren(...songs);
}

/** What of the outage was played and not lived through; the shop's clock, so it is told to who came afterwards too. */
function outage({ outage: one }: State): void {
  const line = find<HTMLElement>("outage");
  line.hidden = one === null;
  if (one === null) return;
  const values = { since: clock(new Date(one.since)), until: one.until === null ? "" : clock(new Date(one.until)) };
  const said = fill(one.until === null ? words.outage_now : words.outage_over, values);
  if (line.textContent !== said) line.textContent = said;
}

async function open(): Promise<void> {
  write();
  let token = linkGiven();
  let { bought, state } = await enter();
  ticket(bought);
  const help = new Help(async () => (isGuest() ? null : signIn()));
  const player = new Player(new Date(bought.starts_at), () => help.open(), (error) => help.report(error));
  const controls = framed ? null : strip((found) => apply(found));
  controls?.meet(bought);

  function apply(found: State): void {
    state = found;
    // The platform was told of a newer link, and its player takes it.
    if (token !== null && state.link === "dead" && state.switches.link_dead === "off") token = null;
    const dead = token === null ? state.switches.link_dead === "on" : state.link === "dead";
    player.has(state.switches.stream_down === "on" ? "down" : dead ? "dead" : null);
    find("link").replaceChildren(dead ? words.link_dead : words.link_open);
    find<HTMLElement>("link").dataset["state"] = dead ? "dead" : "open";
    outage(state);
    controls?.show(state);
  }

  async function look(): Promise<void> {
    try {
      apply(await readState(token));
    } catch (error) {
      // Forgotten, since the demo was started anew: another order for the same tab.
      if (!(error instanceof Gone)) return;
      ({ bought, state } = await enter());
      ticket(bought);
      controls?.meet(bought);
      token = null;
      apply(state);
    }
  }

  apply(state);
  addEventListener("hashchange", () => {
    token = linkGiven() ?? token;
    void look();
  });
  addEventListener("makegood:resolved", () => void look());
  // In a frame the strip is around it: who watches may change there.
  addEventListener("storage", (event) => event.key?.startsWith("demo.") && location.reload());
  const again = (): void => {
    const next = document.hidden ? Promise.resolve() : look();
    void next.finally(() => setTimeout(again, LOOK_MS));
  };
  setTimeout(again, LOOK_MS);
}

function strip(apply: (state: State) => void): Controls {
  const both = make("a", { href: `/demo/both?lang=${language}`, class: "plain" }, "Both sides");
  return new Controls(find("controls"), language, apply, (chosen) => location.assign(`/demo/?lang=${chosen}`), both);
}

void open();
