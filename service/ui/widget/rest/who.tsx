// Who asks: an address is enough.
import { h, type VNode } from "preact";
import type { App } from "../app";
import { elsewhere, notice } from "../home";
import { screen } from "../parts";
import { field, form } from "./fields";
import { sendCode } from "./flow";

export const EMAIL = { type: "email", inputMode: "email", autocomplete: "email", autocapitalize: "off", spellcheck: false, dir: "ltr" };

export function who(a: App): VNode {
  const { say } = a.text;
  return screen(
    a,
    "who",
    say("who"),
    !a.intent && !a.isResuming && notice(a),
    <p class="quiet">{say(a.isResuming ? "who_resume" : "who_why")}</p>,
    identity(a),
    !a.intent && elsewhere(a, "what"),
  );
}

/** Also within a case that needs to know who asks. */
export function identity(a: App): VNode {
  const { say } = a.text;
  return form(
    a,
    "send_code",
    say("send_code"),
    () => sendCode(a, "email"),
    field(a, "email", "email", EMAIL),
    field(a, "order", "order_optional", { autocomplete: "off", autocapitalize: "characters", spellcheck: false, maxLength: 100 }),
  );
}
