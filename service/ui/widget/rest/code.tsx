// The code, and what there is when none comes: the address again, a text message, or people who compare the purchase.
import { h, type VNode } from "preact";
import type { App } from "../app";
import { row, screen } from "../parts";
import { field, form } from "./fields";
import { ADDRESS, back, CODE_MS, openCase, refuse, sendCode, verify } from "./flow";
import { EMAIL } from "./who";

export function code(a: App): VNode {
  const { say } = a.text;
  const isLate = Date.now() - a.codeAt >= CODE_MS;
  return screen(
    a,
    "code",
    say("code"),
    <p class="quiet">{a.codeBy === "text" ? say("code_text") : say("code_sent", { email: a.typed["email"] })}</p>,
    form(
      a,
      "verify",
      say("confirm_code"),
      () => verify(a),
      field(a, "code", "code_label", { inputMode: "numeric", autocomplete: "one-time-code", maxLength: 12, class: "digits", dir: "ltr" }),
    ),
    <section class="late" aria-label={say("no_code")} hidden={!isLate}>
      <p class="over">{say("no_code")}</p>
      <p class="quiet">{say("no_code_why")}</p>
      {row(a, "check", say("check_address"), <bdi>{a.typed["email"]}</bdi>, () => back(a))}
      {row(a, "again", say("code_again"), null, () => sendCode(a, "email"))}
      {a.help?.codes_by_text && row(a, "text", say("by_text"), null, () => sendCode(a, "text"))}
      {row(a, "purchase", say("by_purchase"), null, () => a.go("purchase"))}
    </section>,
  );
}

export function purchase(a: App): VNode {
  const { say } = a.text;
  const send = async (): Promise<void> => {
    const { bought_at, paid = "", last4 = "", reach = "", message } = a.typed;
    const currency = (a.typed["currency"] || "EUR").trim().toUpperCase();
    const amount = Number(paid.replace(/\s/g, "").replace(",", "."));
    if (!bought_at) return refuse(a, "bought_at", "e_field");
    if (!(amount > 0)) return refuse(a, "paid", "e_field");
    if (!/^[A-Z]{3}$/.test(currency)) return refuse(a, "currency", "e_field");
    if (!/^\d{4}$/.test(last4)) return refuse(a, "last4", "e_field");
    if (reach.trim() && !ADDRESS.test(reach.trim())) return refuse(a, "reach", "e_email");
    if (!message?.trim()) return refuse(a, "message", "e_field");
    const digits = new Intl.NumberFormat("en", { style: "currency", currency }).resolvedOptions().maximumFractionDigits ?? 2;
    a.intent ??= { problem: "other", order: null, likely: null };
    await openCase(a, {
      purchase: {
        bought_at: new Date(bought_at).toISOString(),
        amount: Math.round(amount * 10 ** digits),
        currency,
        last4,
        email: reach.trim() || null,
      },
    });
  };
  return screen(
    a,
    "purchase",
    say("purchase"),
    <p class="quiet">{say("purchase_why")}</p>,
    form(
      a,
      "purchase",
      say("send"),
      send,
      field(a, "bought_at", "bought_at", { type: "datetime-local" }),
      <div class="pair">
        {field(a, "paid", "paid", { inputMode: "decimal", autocomplete: "off", maxLength: 12, dir: "ltr" })}
        {field(a, "currency", "currency", { placeholder: "EUR", autocapitalize: "characters", autocomplete: "off", maxLength: 3, dir: "ltr" })}
      </div>,
      field(a, "last4", "last4", { inputMode: "numeric", autocomplete: "off", maxLength: 4, dir: "ltr" }),
      field(a, "reach", "reach", EMAIL),
      field(a, "message", "tell", { rows: 3, maxLength: 5000 }),
    ),
  );
}

