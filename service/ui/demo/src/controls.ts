// The demo's own strip: what goes wrong for this visitor, who they are, in which language; and the mail and texts they get.
import { type Bought, isGuest, type Letter, readMailbox, setGuest, type Stands, startOver, type State, type Switch, turn, visitor } from "./api";
import { icon, make } from "./dom";
import { OverHelp } from "./over-help";
import { fill, type Language, LANGUAGES, NAMES, words } from "./words";

const SWITCHES: readonly (readonly [Switch, string, string])[] = [
  ["stream_down", "Stream down", "The stream stops for everybody; switched off, it is back, and the demo sets the clock back: it was down for 25 minutes."],
  ["link_dead", "Link dead", "The edge refuses this visitor's link to the stream."],
  ["charged_twice", "Charged twice", "The processor charges this visitor's order a second time."],
  ["card_closed", "Card closed", "The bank refuses refunds to this visitor's card. (Charges twice too, so that there is one.)"],
  ["notice", "Notice", "“We know” on every widget of this show."],
];
const MAILBOX = "M3 6h18v12H3zM3 6l9 7 9-7";
// Whether somebody wants the strip open, also after the page has begun anew. (No name that begins with `demo.`: those begin the framed page anew.)
const FOLD = "strip.open";

/** Every widget's own memory of this tab: it belongs to the visitor who was here before. */
function forgetWidget(): void {
  for (const name of Object.keys(sessionStorage)) if (name.startsWith("makegood:")) sessionStorage.removeItem(name);
}

export class Controls {
  private readonly buttons = new Map<Switch, HTMLButtonElement>();
  private readonly mailButton = make("button", { type: "button", class: "plain", "aria-expanded": "false", "aria-controls": "mailbox" });
  private readonly drawer = make("section", { id: "mailbox", class: "mailbox", "aria-label": "Sandbox mailbox", hidden: "" });
  private readonly said = make("p", { class: "hidden", role: "status" });
  /** Above the help dialog, which on a phone covers this strip and all else. */
  private readonly over = new OverHelp([icon(MAILBOX), make("span", {}, "Mailbox")], () => void this.openMailbox());
  private bought: Bought | null = null;
  private mails = -1;
  private seen = 0;
  private language: Language = "en";

  /** `changed`: the person or the language is another one, and the page begins anew. */
  constructor(
    box: HTMLElement,
    language: Language,
    private readonly stands: (state: State) => void,
    private readonly changed: (language: Language) => void,
    link: HTMLAnchorElement | null,
  ) {
    const more = make("details", { class: "fold" }, make("summary", {}, make("b", {}, "Demo"), " controls"));
    more.append(this.switches(), this.person(), this.languages(language), this.actions(link));
    // On a phone it stays out of the way until somebody wants it.
    more.open = matchMedia("(min-width: 60rem)").matches || sessionStorage.getItem(FOLD) === "yes";
    more.addEventListener("toggle", () => sessionStorage.setItem(FOLD, more.open ? "yes" : "no"));
    box.lang = "en";
    box.dir = "ltr";
    box.append(more, this.drawer, this.said);
    box.hidden = false;
  }

  /** Whose mailbox it is. */
  meet(bought: Bought): void {
    this.bought = bought;
  }

  show(state: State): void {
    for (const [name, button] of this.buttons) this.set(button, state.switches[name]);
    if (state.mails !== this.mails) {
      const isOpen = !this.drawer.hidden;
      this.mails = state.mails;
      if (isOpen) void this.fill();
      this.label();
    }
  }

  private switches(): HTMLElement {
    const group = make("div", { class: "switches", role: "group", "aria-label": "What goes wrong" });
    for (const [name, label, hint] of SWITCHES) {
      const button = make("button", { type: "button", role: "switch", "aria-checked": "false", title: hint });
      button.append(make("span", { class: "knob", "aria-hidden": "true" }), make("span", {}, label));
      button.addEventListener("click", () => void this.flip(name, button, label));
      this.buttons.set(name, button);
      group.append(button);
    }
    return group;
  }

  private set(button: HTMLButtonElement, stands: Stands): void {
    button.setAttribute("aria-checked", String(stands !== "off"));
    button.dataset["stands"] = stands;
    // What was put right stays so: another visitor begins anew.
    button.disabled = stands === "made_good";
  }

  private async flip(name: Switch, button: HTMLButtonElement, label: string): Promise<void> {
    const on = button.getAttribute("aria-checked") !== "true";
    button.setAttribute("aria-busy", "true");
    try {
      const state = await turn(name, on);
      this.show(state);
      this.stands(state);
      this.said.textContent = `${label}: ${state.switches[name] === "off" ? "off" : "on"}`;
    } finally {
      button.removeAttribute("aria-busy");
    }
  }

  private person(): HTMLElement {
    const group = make("div", { class: "pick", role: "group", "aria-label": "Who is watching" });
    for (const [guest, label] of [[false, "Signed in"], [true, "Guest"]] as const) {
      const button = make("button", { type: "button", "aria-pressed": String(isGuest() === guest) }, label);
      button.addEventListener("click", () => {
        if (isGuest() === guest) return;
        setGuest(guest);
        forgetWidget();
        this.changed(this.language);
      });
      group.append(button);
    }
    return group;
  }

  private languages(language: Language): HTMLElement {
    this.language = language;
    const select = make("select", { "aria-label": "Language of the page" });
    for (const one of LANGUAGES) {
      const option = make("option", { value: one, lang: one }, NAMES[one]);
      option.selected = one === language;
      select.append(option);
    }
    select.addEventListener("change", () => this.changed(select.value as Language));
    return select;
  }

  private actions(link: HTMLAnchorElement | null): HTMLElement {
    this.mailButton.append(icon(MAILBOX), make("span", {}, "Mailbox"));
    this.mailButton.addEventListener("click", () => void this.openMailbox());
    const again = make("button", { type: "button", class: "plain", title: "Another visitor, with a fresh order" }, "Start over");
    again.addEventListener("click", () => {
      startOver();
      forgetWidget();
      this.changed(this.language);
    });
    return make("div", { class: "actions" }, this.mailButton, again, link);
  }

  // ------------------------------------------------------------------------------------------------ the mailbox

  private label(): void {
    const fresh = Math.max(0, this.mails - this.seen);
    const said = fresh > 0 ? `Mailbox (${fresh} new)` : "Mailbox";
    this.mailButton.lastElementChild?.replaceChildren(said);
    this.over.says(said);
  }

  private async openMailbox(): Promise<void> {
    const opens = this.drawer.hidden !== false;
    this.drawer.hidden = !opens;
    this.mailButton.setAttribute("aria-expanded", String(opens));
    this.over.holds(this.drawer, opens, () => void this.openMailbox());
    if (opens) await this.fill();
  }

  private async fill(): Promise<void> {
    const letters = await readMailbox();
    this.seen = this.mails;
    this.label();
    const close = make("button", { type: "button", class: "plain" }, "Close");
    close.addEventListener("click", () => void this.openMailbox().then(() => this.mailButton.focus()));
    const head = make("div", { class: "mailbox-head" }, make("h2", {}, "Sandbox mailbox"), close);
    const list = letters.length === 0 ? this.nothing() : make("ul", {}, ...letters.map(letterOf));
    this.drawer.replaceChildren(head, list);
    this.drawer.dataset["visitor"] = visitor();
  }

  /** In the page's language: it names the address that a guest has to type. */
  private nothing(): HTMLElement {
    const { email, phone } = this.bought ?? { email: "…", phone: "…" };
    // An address and a number read from left to right in every sentence.
    const said = fill(words.mail_here, { email: `\u2068${email}\u2069`, phone: `\u2066${phone}\u2069` });
    return make("p", { lang: document.documentElement.lang, dir: "auto" }, said);
  }
}

function letterOf(letter: Letter): HTMLElement {
  const head = make("summary", {}, make("span", { class: "kind" }, letter.kind === "mail" ? "E-mail" : "Text"), " ", letter.subject || letter.text);
  const body = make("div", { class: "letter", dir: "auto" });
  // Links of this demo can be followed; all else is text.
  for (const part of letter.text.split(/(https?:\/\/\S+)/)) {
    body.append(part.startsWith(`${location.origin}/`) ? make("a", { href: part }, part) : part);
  }
  const whole = make("details", {}, head, make("p", { class: "quiet" }, `to ${letter.to}`), body);
  return make("li", {}, whole);
}
