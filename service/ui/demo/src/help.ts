// The host's side of the help widget: gives it the customer's token, tells it what the player saw, hears when something was put right.

interface HelpElement extends HTMLElement {
  getToken: () => Promise<string | null>;
  open(): void;
  close(): void;
  report(what: { error: string; device: string; system: string; appVersion: string; network: string }): void;
}

const TAG = "makegood-help";

/** The launcher that the platform's one line makes, as soon as it is there. */
async function element(): Promise<HelpElement> {
  await customElements.whenDefined(TAG);
  const found = document.querySelector<HelpElement>(TAG);
  if (found !== null) return found;
  return new Promise((resolve) => {
    const watch = new MutationObserver(() => {
      const made = document.querySelector<HelpElement>(TAG);
      if (made === null) return;
      watch.disconnect();
      resolve(made);
    });
    watch.observe(document.documentElement, { childList: true, subtree: true });
  });
}

export class Help {
  private readonly ready = element();

  constructor(getToken: () => Promise<string | null>) {
    void this.ready.then((help) => {
      help.getToken = getToken;
    });
  }

  open(): void {
    void this.ready.then((help) => help.open());
  }

  /** As a player of the platform would: what it saw, and on what. */
  report(error: string): void {
    const agent = navigator.userAgent;
    const system = /Android|iPhone OS|iPad|Mac OS X|Windows NT|Linux/.exec(agent)?.[0] ?? "unknown";
    const connection = (navigator as Navigator & { connection?: { effectiveType?: string } }).connection;
    void this.ready.then((help) =>
      help.report({
        error,
        device: matchMedia("(pointer: coarse)").matches ? "phone or tablet" : "computer",
        system,
        appVersion: "player 4.2.0",
        network: connection?.effectiveType ?? "unknown",
      }),
    );
  }
}
