// The player: plays while the link opens the stream and the stream is up; says plainly when it does not.
import { find, icon, make } from "./dom";
import { draw } from "./picture";
import { elapsed, words } from "./words";

export type Trouble = "down" | "dead";
type Doing = "loading" | "playing" | "paused" | Trouble;

const QUALITIES = [1080, 720, 480, 360] as const;
// A smooth picture that leaves a phone cool.
const FRAME_MS = 1000 / 24;
// Who asked for less motion gets a slide now and then.
const STILL_MS = 5000;
const PLAY = "M7 5v14l12-7z";
const PAUSE = "M7 5h4v14H7zM13 5h4v14h-4z";
const WIDE = "M4 9V4h5v2H6v3zM15 4h5v5h-2V6h-3zM18 15h2v5h-5v-2h3zM4 15h2v3h3v2H4z";

export class Player {
  private readonly canvas = find<HTMLCanvasElement>("picture");
  private readonly box = find<HTMLElement>("player");
  private readonly over = find<HTMLElement>("over");
  private readonly time = find<HTMLElement>("time");
  private readonly button = find<HTMLButtonElement>("play");
  private readonly calm = matchMedia("(prefers-reduced-motion: reduce)");
  private doing: Doing = "loading";
  private drawnAt = 0;
  private shownSecond = -1;
  private wantsToPlay = true;
  private trouble: Trouble | null = null;

  constructor(
    private readonly startsAt: Date,
    private readonly askHelp: () => void,
    private readonly report: (error: string) => void,
  ) {
    this.button.addEventListener("click", () => this.toggle());
    this.canvas.addEventListener("click", () => this.toggle());
    this.choices();
    this.widen();
    this.become("loading");
    requestAnimationFrame((now) => this.frame(now));
  }

  /** What is in the way of playing; null: nothing any more. */
  has(trouble: Trouble | null): void {
    if (trouble === this.trouble && this.doing !== "loading") return;
    this.trouble = trouble;
    if (trouble !== null) this.report(trouble === "down" ? "NETWORK 2103: no segment for 8 s" : "LINK 403: refused by the edge");
    this.become(trouble ?? (this.wantsToPlay ? "playing" : "paused"));
  }

  private toggle(): void {
    if (this.trouble !== null || this.doing === "loading") return;
    this.wantsToPlay = this.doing !== "playing";
    this.become(this.wantsToPlay ? "playing" : "paused");
  }

  private become(doing: Doing): void {
    this.doing = doing;
    this.box.dataset["state"] = doing;
    const plays = doing === "playing";
    this.button.replaceChildren(icon(plays ? PAUSE : PLAY));
    this.button.setAttribute("aria-label", plays ? words.pause : words.play);
    this.button.disabled = this.trouble !== null;
    this.over.replaceChildren(...this.says());
  }

  private says(): Node[] {
    if (this.doing === "playing") return [];
    if (this.doing === "loading") return [make("p", {}, words.loading)];
    if (this.doing === "paused") return [make("p", {}, words.paused)];
    const help = make("button", { type: "button", class: "help" }, words.help);
    help.addEventListener("click", this.askHelp);
    const down = this.doing === "down";
    return [
      make("p", { class: "says" }, down ? words.down_title : words.dead_title),
      make("p", {}, down ? words.down_text : words.dead_text),
      help,
    ];
  }

  private frame(now: number): void {
    requestAnimationFrame((next) => this.frame(next));
    const first = this.drawnAt === 0;
    if (!first && (this.doing !== "playing" || now - this.drawnAt < (this.calm.matches ? STILL_MS : FRAME_MS) - 2)) {
      if (this.doing === "playing") this.tick();
      return;
    }
    this.drawnAt = now;
    draw(this.canvas, (Date.now() - this.startsAt.getTime()) / 1000);
    this.tick();
  }

  private tick(): void {
    const ms = Date.now() - this.startsAt.getTime();
    const second = Math.floor(ms / 1000);
    if (second === this.shownSecond) return;
    this.shownSecond = second;
    this.time.textContent = elapsed(ms);
    this.time.setAttribute("aria-label", words.time.replace("{time}", elapsed(ms)));
  }

  private choices(): void {
    const select = find<HTMLSelectElement>("quality");
    select.append(make("option", { value: "0" }, words.auto), ...QUALITIES.map((one) => make("option", { value: String(one) }, `${one}p`)));
    const set = (): void => {
      const chosen = Number(select.value) || (matchMedia("(min-width: 50rem)").matches ? 720 : 480);
      this.canvas.height = chosen;
      this.canvas.width = Math.round((chosen * 16) / 9);
      this.drawnAt = 0;
    };
    select.addEventListener("change", set);
    set();
  }

  private widen(): void {
    const button = find<HTMLButtonElement>("wide");
    button.append(icon(WIDE));
    button.setAttribute("aria-label", words.wide);
    button.hidden = !document.fullscreenEnabled;
    button.addEventListener("click", () => {
      void (document.fullscreenElement === null ? this.box.requestFullscreen() : document.exitFullscreen());
    });
  }
}
