// The demo's mailbox while the help dialog covers a phone: a button above the dialog, and a dialog of its own above that.
import { make } from "./dom";

const TAG = "makegood-help";
// As the widget has it: below this its dialog is modal and as large as the screen.
const COVERED = "(max-width: 480px)";
// Ten seconds of a screen's frames: the first opening loads the rest of the widget.
const FRAMES_MAX = 600;

export class OverHelp {
  private readonly label: HTMLElement;
  private readonly button: HTMLElement;
  private readonly sheet = make("dialog", { class: "sheet", "aria-label": "Sandbox mailbox" });
  private readonly home = document.createComment("the mailbox");
  private isHelpOpen = false;

  /** Under a modal dialog nothing else of a page can be pressed, so the button is only shown, and where it is shown a tap opens the mailbox. */
  constructor(inside: readonly [Node, HTMLElement], private readonly pressed: () => void) {
    this.label = inside[1];
    this.button = make("div", { class: "over-help", popover: "manual" }, ...inside);
    addEventListener("makegood:open", () => {
      this.isHelpOpen = true;
      this.rises(FRAMES_MAX);
    });
    addEventListener("makegood:close", () => {
      this.isHelpOpen = false;
      this.button.hidePopover();
    });
    addEventListener("click", (event) => this.hears(event), { capture: true });
  }

  says(text: string): void {
    this.label.replaceChildren(text);
  }

  /** The mailbox stands in a dialog above the help while that covers the page, and else where it was. */
  holds(mailbox: HTMLElement, opens: boolean, closed: () => void): void {
    if (opens && this.isCovered()) {
      mailbox.replaceWith(this.home);
      this.sheet.replaceChildren(mailbox);
      this.sheet.oncancel = (event): void => {
        event.preventDefault();
        closed();
      };
      this.sheet.showModal();
    } else if (this.sheet.open) {
      this.sheet.close();
      this.home.replaceWith(mailbox);
    }
  }

  /** What is shown last is on top, so it waits until the dialog is there. */
  private rises(frames: number): void {
    const place = document.querySelector(".controls");
    if (!this.isHelpOpen || place === null || frames === 0 || !matchMedia(COVERED).matches) return;
    if (!this.isCovered()) {
      requestAnimationFrame(() => this.rises(frames - 1));
      return;
    }
    place.append(this.button, this.sheet);
    this.button.hidePopover();
    this.button.showPopover();
  }

  private isCovered(): boolean {
    return this.isHelpOpen && document.elementFromPoint(innerWidth / 2, innerHeight / 2)?.localName === TAG && matchMedia(COVERED).matches;
  }

  private hears(event: MouseEvent): void {
    if (!this.button.matches(":popover-open") || this.sheet.open || event.detail === 0) return;
    const { left, right, top, bottom } = this.button.getBoundingClientRect();
    if (event.clientX < left || event.clientX > right || event.clientY < top || event.clientY > bottom) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    this.pressed();
  }
}
