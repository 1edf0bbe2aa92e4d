// A way of payment by its name, and how it does as a mark: hue, icon and word.
import { Tag, type Hue } from "../components/bits";
import type { IconName } from "../components/icon";
import { spoken } from "../words";
import type { RailState } from "../contract";

const STATES: Readonly<Record<RailState, readonly [Hue, IconName, string]>> = {
  closed: ["settled", "check", "works"],
  open: ["stopped", "away", "does not answer"],
  half_open: ["needs", "clock", "is tried again"],
  stopped: ["stopped", "stop", "stopped"],
};

export function RailMark({ state }: { state: RailState }) {
  const [hue, icon, text] = STATES[state];
  return (
    <Tag hue={hue} icon={icon}>
      {text}
    </Tag>
  );
}

const NAMES: Readonly<Record<string, string>> = {
  mail: "E-mail",
  issuer: "The platform's tickets",
  here: "Our own tickets and links",
  people: "Sent by people",
  paypal: "PayPal",
};
/** what carries actions beside the ways of payment, and can be paused like them */
export const OTHER_RAILS: readonly string[] = ["mail", "issuer", "here"];

export function railName(name: string): string {
  return NAMES[name] ?? spoken(name);
}
