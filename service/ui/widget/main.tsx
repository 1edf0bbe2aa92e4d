// The element, and the one line of script that makes it: what the host says by attributes and methods, and what it hears.
import { Fragment, h, render } from "preact";
import { App, type Host } from "./app";
import type * as Rest from "./rest/main";
import { shared } from "./shared";
import { launcher, panel } from "./view";
import css from "./widget.css?inline";
import type { Player } from "./wire";

// Where this script came from is where the service is, unless the host names another.
// By the getters themselves: `<img name="currentScript">` of whoever may write on the host's page stands before the document's own.
const real = <T,>(name: "currentScript" | "documentElement" | "head" | "body" | "activeElement"): T =>
  Object.getOwnPropertyDescriptor(Document.prototype, name)?.get?.call(document) as T;
const running = real<unknown>("currentScript");
const script = running instanceof HTMLScriptElement ? running : null;
const NONCE = script?.nonce ?? "";
const HOME = script ? new URL(script.src).origin : location.origin;
declare const __REST__: { file: string; integrity: string };
const { file: REST, integrity: REST_INTEGRITY } = __REST__;
// A phone: there the widget is all there is.
const NARROW = "(max-width: 480px)";

// What the rest stands on; it is loaded as a module, and finds these here. Nothing of a customer is in it.
Object.defineProperty(globalThis, Symbol.for("makegood"), { value: Object.freeze(shared) });

/** Whatever concerns a customer is behind `#`: other scripts of the host page (analytics, recorders) find nothing by looking around. */
class MakegoodHelp extends HTMLElement {
  /** gives a fresh token of the customer who is signed in at the host, or null; asked at each opening and before anything is done */
  declare getToken?: () => Promise<string | null> | string | null;

  #app: App | null = null;
  #root: ShadowRoot | null = null;
  readonly #accent = new CSSStyleSheet();
  #shown = "";
  #cameFrom: Element | null = null;
  #isWaiting = false;
  #isShown = false;

  static observedAttributes = ["token"];
  attributeChangedCallback(): void {
    this.refresh();
  }

  connectedCallback(): void {
    if (this.#app) return;
    const look = new CSSStyleSheet();
    look.replaceSync(css);
    this.#root = this.attachShadow({ mode: "closed" });
    this.#root.adoptedStyleSheets = [look, this.#accent];
    const mode = this.getAttribute("mode");
    this.#app = new App(this.#host, mode === "inline" || mode === "page" ? mode : "launcher");
    void this.#app.start();
  }
  disconnectedCallback(): void {
    this.#app?.close();
  }

  // ------------------------------------------------------------------------------------------------- for the host page

  open(): void {
    void this.#app?.open();
  }
  close(): void {
    this.#app?.close();
  }
  /** Somebody has signed in or out at the host: asks it who is there now. */
  refresh(): void {
    this.#app?.meet().catch(() => undefined);
  }
  /** Nobody is signed in at the host any more: nothing of the customer is left. */
  signOut(): void {
    this.removeAttribute("token");
    this.#app?.become(null);
  }
  report(player: Player): void {
    if (this.#app) this.#app.player = player;
  }

  // ------------------------------------------------------------------------------------------------- for the app

  readonly #host: Host = {
    at: (name) => this.getAttribute(name),
    service: () => this.getAttribute("service") || HOME,
    languages: () => {
      const named = this.getAttribute("lang") || real<HTMLElement>("documentElement").lang;
      return [...(named ? [named] : []), ...navigator.languages];
    },
    token: async () => (this.getToken ? this.getToken() : this.getAttribute("token")),
    rest: () => this.#rest(),
    draw: () => {
      if (this.#isWaiting) return;
      this.#isWaiting = true;
      queueMicrotask(() => {
        this.#isWaiting = false;
        this.#draw();
      });
    },
    tell: (event) => {
      if (event === "open") this.#cameFrom = real("activeElement");
      dispatchEvent(new CustomEvent(`makegood:${event}`));
    },
  };

  /** As a module: it has this script's nonce, and no policy of the host that lets this script run forbids it. Its content is checked first. */
  async #rest(): Promise<typeof Rest> {
    const href = `${this.#host.service()}/widget/${REST}`;
    const link = Object.assign(document.createElement("link"), { rel: "modulepreload", href, integrity: REST_INTEGRITY, nonce: NONCE });
    try {
      await new Promise((resolve, reject) => {
        link.onload = resolve;
        link.onerror = reject;
        real<HTMLElement>("head").append(link);
      });
      const rest = (await import(/* @vite-ignore */ href)) as typeof Rest;
      const look = new CSSStyleSheet();
      look.replaceSync(rest.css);
      this.#root?.adoptedStyleSheets.push(look);
      return rest;
    } finally {
      link.remove();
    }
  }

  #draw(): void {
    const app = this.#app;
    const words = app?.words;
    if (!app || !words || !this.#root) return;
    const colour = app.help?.accent ?? "";
    if (/^#[0-9a-f]{6}$/i.test(colour)) this.#accent.replaceSync(`.root{--platform:${colour}}`);
    const name = words.say("launcher");
    const inside = [
      app.isOpen && panel(app),
      <p class="unseen" role="status">
        {app.said}
      </p>,
    ];
    render(
      <div class={`root m-${app.mode}`} lang={words.locale} dir={words.dir}>
        {app.mode === "launcher" ? (
          <>
            {launcher(app)}
            <dialog class="frame" part="dialog" aria-label={name} onCancel={(event: Event) => event.preventDefault()} onKeyDown={this.#onKey}>
              {inside}
            </dialog>
          </>
        ) : (
          <section class="frame" part="dialog" aria-label={name}>
            {inside}
          </section>
        )}
      </div>,
      this.#root,
    );
    this.#settle(app, this.#root);
  }

  readonly #onKey = (event: KeyboardEvent): void => {
    // The host page's own keys (a player's space and arrows) are not for what is typed here.
    event.stopPropagation();
    if (event.key === "Escape") this.close();
  };

  /** The dialog as it should be, and the focus where the reader is. */
  #settle(app: App, root: ShadowRoot): void {
    const find = (what: string): HTMLElement | null => root.querySelector<HTMLElement>(what);
    const dialog = root.querySelector("dialog");
    if (dialog && app.isOpen !== this.#isShown) {
      this.#isShown = app.isOpen;
      if (app.isOpen) enter(dialog);
      else this.#leave(dialog);
    }
    const title = find(".title");
    const shown = app.isOpen && title ? `${app.screen} ${title.parentElement?.dataset["screen"]}` : "";
    if (shown !== this.#shown) {
      this.#shown = shown;
      // A page that has just been loaded begins at its beginning; a code wants to be typed.
      if (dialog || root.activeElement) (find(".digits") ?? title)?.focus({ preventScroll: true });
      find(".body")?.scrollTo(0, 0);
    }
    if (app.field !== null && app.busy === null) find("[aria-invalid=true]")?.focus();
  }

  #leave(dialog: HTMLDialogElement): void {
    if (dialog.open) dialog.close();
    else dialog.hidePopover();
    const from = this.#cameFrom;
    const isThere = from instanceof HTMLElement && from !== real("body") && from !== this && from.isConnected;
    (isThere ? from : dialog.parentElement?.querySelector("button"))?.focus();
  }
}

/** On a phone it is all there is; beside a page that one goes on watching, the page stays alive. */
function enter(dialog: HTMLDialogElement): void {
  if (matchMedia(NARROW).matches || !dialog.showPopover) {
    dialog.removeAttribute("popover");
    dialog.showModal();
  } else {
    dialog.setAttribute("popover", "manual");
    dialog.showPopover();
  }
  dialog.focus();
}

if (!customElements.get("makegood-help")) customElements.define("makegood-help", MakegoodHelp);

// A page that makes its element by a script of its own has done so by then.
const LATE_MS = 3000;

// `<script src=… data-platform=… async>`: one launcher at the end of the page.
if (script?.getAttribute("data-platform")) {
  const place = (): void => {
    const element = document.createElement("makegood-help");
    for (const { name, value } of script.attributes) if (name.startsWith("data-")) element.setAttribute(name.slice(5), value);
    real<HTMLElement>("body").append(element);
  };
  if (real("body")) place();
  else addEventListener("DOMContentLoaded", place, { once: true });
} else {
  setTimeout(() => real<HTMLElement>("body").querySelector("makegood-help") ?? console.warn("makegood: no data-platform and no <makegood-help>"), LATE_MS);
}
