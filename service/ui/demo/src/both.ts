// Both sides at once: the customer's phone and the desk. On a narrow screen one at a time, as tabs.
import { deskLink, enter, Gone, readState, type State } from "./api";
import { Controls } from "./controls";
import { find, make } from "./dom";
import { type Language, LANGUAGES } from "./words";

const LOOK_MS = 1500;

function chosenLanguage(): Language {
  const said = new URLSearchParams(location.search).get("lang");
  return LANGUAGES.find((one) => one === said) ?? "en";
}

/** Whoever is signed in stays so; nobody becomes Mira. */
async function deskAddress(): Promise<string> {
  const answer = await fetch("/v1/desk/session", { headers: { "Makegood-Desk": "background" } });
  return answer.ok ? "/desk" : deskLink();
}

function tabs(): void {
  const all = [...find("tabs").querySelectorAll<HTMLButtonElement>("[role=tab]")];
  const choose = (chosen: HTMLButtonElement): void => {
    for (const one of all) {
      one.setAttribute("aria-selected", String(one === chosen));
      one.tabIndex = one === chosen ? 0 : -1;
      find<HTMLElement>(one.getAttribute("aria-controls") ?? "").dataset["chosen"] = String(one === chosen);
    }
  };
  all.forEach((one, index) => {
    one.addEventListener("click", () => choose(one));
    one.addEventListener("keydown", (event) => {
      if (event.key !== "ArrowRight" && event.key !== "ArrowLeft") return;
      const next = all[(index + 1) % all.length];
      if (next === undefined) return;
      choose(next);
      next.focus();
    });
  });
  const first = all[0];
  if (first !== undefined) choose(first);
}

async function open(): Promise<void> {
  tabs();
  const language = chosenLanguage();
  const customer = find<HTMLIFrameElement>("customer-frame");
  const desk = find<HTMLIFrameElement>("desk-frame");
  const mine = find<HTMLButtonElement>("my-case");
  const page = make("a", { href: `/demo/?lang=${language}`, class: "plain" }, "The page alone");
  const controls = new Controls(find("controls"), language, apply, (chosen) => location.assign(`/demo/both?lang=${chosen}`), page);
  let shown: string | null = null;

  function apply(state: State): void {
    controls.show(state);
    shown = state.case;
    mine.disabled = shown === null;
  }

  const { bought, state } = await enter();
  controls.meet(bought);
  customer.src = `/demo/?lang=${language}`;
  apply(state);
  desk.src = await deskAddress();
  mine.addEventListener("click", () => {
    if (shown !== null) desk.src = `/desk/cases/${shown}`;
  });
  const again = async (): Promise<void> => {
    try {
      if (!document.hidden) apply(await readState(null));
    } catch (error) {
      if (error instanceof Gone) {
        const entered = await enter();
        controls.meet(entered.bought);
        apply(entered.state);
      }
    }
    setTimeout(() => void again(), LOOK_MS);
  };
  setTimeout(() => void again(), LOOK_MS);
}

void open();
