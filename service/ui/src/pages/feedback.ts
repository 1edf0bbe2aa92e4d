// One tap of satisfaction, for customers: opened from an e-mail, without signing in, and as small as a page can be.
import "../tokens.css";
import "./feedback.css";
import LANGUAGES from "./feedback-words.json";

type Language = keyof typeof LANGUAGES;

// A phone in a dark venue: longer than this and the person is asked to tap again. The first tap is waited for all the same.
const SECONDS_MAX = 15;

const language = navigator.languages.map((one) => one.split("-", 1)[0]?.toLowerCase() ?? "").find((one): one is Language => one in LANGUAGES) ?? "en";
const words = LANGUAGES[language];
const token = location.hash.slice(1);
const page = document.getElementById("feedback") as HTMLElement;
document.documentElement.lang = language;
if (language === "ar") document.documentElement.dir = "rtl";
document.title = words.question;

function make<K extends keyof HTMLElementTagNameMap>(tag: K, into: HTMLElement, text = "", name = ""): HTMLElementTagNameMap[K] {
  const node = document.createElement(tag);
  node.textContent = text;
  if (name !== "") node.className = name;
  into.append(node);
  return node;
}

function ask(): void {
  make("h1", page, words.question);
  const scale = make("div", page, "", "feedback-scale");
  scale.setAttribute("role", "group");
  scale.setAttribute("aria-label", words.question);
  const buttons = words.scores.map((name, at) => {
    const button = make("button", scale, "", "feedback-score");
    button.type = "button";
    make("span", button, String(at + 1)).setAttribute("aria-hidden", "true");
    make("span", button, `${at + 1}: ${name}`, "unseen");
    button.addEventListener("click", () => void send(at + 1, buttons));
    return button;
  });
  const ends = make("p", page, "", "feedback-ends");
  ends.setAttribute("aria-hidden", "true");
  make("span", ends, words.scores[0] ?? "");
  make("span", ends, words.scores[4] ?? "");
  // There from the start: what is written into it later is read out.
  make("p", page, "", "feedback-said").setAttribute("role", "status");
}

async function send(score: number, buttons: readonly HTMLButtonElement[]): Promise<void> {
  const said = page.querySelector<HTMLElement>(".feedback-said");
  buttons.forEach((one, at) => {
    one.disabled = true;
    one.classList.toggle("chosen", at + 1 === score);
  });
  if (said) said.textContent = words.sending;
  const again = (): void => {
    for (const one of buttons) one.disabled = false;
    buttons[score - 1]?.focus();
    if (said) said.textContent = words.failed;
  };
  const late = setTimeout(again, SECONDS_MAX * 1000);
  try {
    // The same answer twice counts once: a second tap after a lost line is safe.
    const answer = await fetch("/v1/satisfaction", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ token, score }),
      credentials: "omit",
    });
    if (answer.ok) return end(words.thanks, words.close);
    if (answer.status === 409) return (await early(answer)) ? end(words.early, words.early_next) : end(words.told, words.close);
    if (answer.status < 500 && answer.status !== 429) return end(words.over, words.over_next);
  } catch {
    // Not reached: said below, like an answer that says to try later.
  } finally {
    clearTimeout(late);
  }
  again();
}

/** Of the two reasons not to take it: too soon, or told before. */
async function early(answer: Response): Promise<boolean> {
  const problem = (await answer.json()) as { type?: string };
  return problem.type?.endsWith("not_yet") ?? false;
}

let isOver = false;

/** What the first answer says stands, should a second tap be under way. */
function end(title: string, next: string): void {
  if (isOver) return;
  isOver = true;
  page.replaceChildren();
  make("h1", page, title);
  make("p", page, next, "feedback-next");
  document.title = title;
  // So that a screen reader reads it, and nobody's focus is lost with the button.
  page.focus();
}

if (token === "") end(words.over, words.over_next);
else ask();
