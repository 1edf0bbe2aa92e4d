/** A platform that uses the client: feeds an order, opens a case twice under one key, reads its refund, asks for what is not there. */

import { asEvent, makegood, type Schemas } from "./index.js";

const [url = "", token = "", order = "", show = ""] = process.argv.slice(2);
const api = makegood({ url, token });

const fed: Schemas["OrderFeed"] = {
  version: 1,
  status: "pending",
  currency: "EUR",
  total: 1000,
  buyer: { email: "mira@example.org" },
  placed_at: "2026-10-01T10:00:00Z",
  positions: [{ ref: "1", kind: "merchandise", name: "T-shirt", price: 1000 }],
};
const put = await api.PUT("/v1/orders/{ref}", { params: { path: { ref: `${order}-ts` } }, body: fed });

const open = () =>
  api.POST("/v1/cases", {
    params: { header: { "Idempotency-Key": `ts-${order}` } },
    body: { order, show, problem: "stream_outage", channel: "widget" },
  });
const first = await open();
const second = await open();

// @ts-expect-error There is no such problem: the compiler says so.
const misspelt: Schemas["Problem"] = "stream_outrage";
void misspelt;

// A busy service answers before the case is settled.
async function settled(id: string): Promise<string | undefined> {
  for (const giveUp = Date.now() + 120_000; ; ) {
    const { data } = await api.GET("/v1/cases/{case_id}", { params: { path: { case_id: id } } });
    if (data?.status !== "working" || Date.now() > giveUp) return data?.state;
    await new Promise((again) => setTimeout(again, 100));
  }
}

async function refunded(id: string): Promise<number> {
  for (let after = 0, giveUp = Date.now() + 120_000; Date.now() < giveUp; ) {
    const { data } = await api.GET("/v1/events", { params: { query: { after, wait_seconds: 1 } } });
    if (data === undefined) break;
    for (const event of data.events.map(asEvent)) {
      if ((event.type === "refund.sent" || event.type === "refund.succeeded") && event.data.case === id) return event.data.amount;
    }
    after = data.next_after;
  }
  return 0;
}

const missing = await api.GET("/v1/cases/{case_id}", { params: { path: { case_id: `case_${"0".repeat(32)}` } } });

console.log(
  JSON.stringify({
    fed: put.data?.result,
    case: await settled(first.data?.id ?? ""),
    again: first.data?.id === second.data?.id ? "the same" : "another",
    refund: await refunded(first.data?.id ?? ""),
    problem: [missing.error?.status, missing.error?.type],
  }),
);
