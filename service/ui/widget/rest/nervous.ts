// A nervous finger: the second tap of a double one lands where the first did, on whatever has come to stand there meanwhile.

// The longest pause that systems take for one double tap, and how far apart its two taps land. Browsers count two taps of a finger
// as a double one within a hundred pixels, which a quick yes may be as well; of a mouse they know better.
const PAUSE_MS = 350;
const APART_PX = 12;

let before: PointerEventInit & { timeStamp: number } = { timeStamp: -PAUSE_MS };
let last = before;

addEventListener(
  "click",
  ({ detail, timeStamp, clientX, clientY }) => {
    if (detail > 0) [before, last] = [last, { timeStamp, clientX, clientY }]; // a key lands nowhere
  },
  { capture: true },
);

/** To be asked of a click while it is handled. */
export function isNervous(event: MouseEvent): boolean {
  const { detail, timeStamp, clientX, clientY } = event;
  const isQuick = (event as PointerEvent).pointerType === "touch" ? timeStamp - before.timeStamp < PAUSE_MS : detail > 1;
  return detail > 0 && isQuick && Math.hypot(clientX - (before.clientX ?? 0), clientY - (before.clientY ?? 0)) < APART_PX;
}
