// Takes Makegood's events: `node receive_events.mjs 9000`, the secret in WEBHOOK_SECRET. Verifies by hand, so it needs nothing else.

import { createHmac, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";

const SECONDS_OLD_MAX = 300;
// An event has a few kilobytes.
const BODY_BYTES_MAX = 1024 * 1024;
const key = Buffer.from((process.env.WEBHOOK_SECRET ?? "").replace(/^whsec_/, ""), "base64");
if (key.length < 24) throw new Error("WEBHOOK_SECRET is missing: without it anybody could sign");
// A table of yours with the id as its key: the same event may come twice.
const seen = new Set();

/** Standard Webhooks 1.0: an HMAC of `id.timestamp.body`; while secrets change there is one for each, by spaces. */
function isGenuine(headers, body) {
  const { "webhook-id": id = "", "webhook-timestamp": at = "", "webhook-signature": signatures = "" } = headers;
  if (!(Math.abs(Date.now() / 1000 - Number(at)) <= SECONDS_OLD_MAX)) return false;
  const expected = createHmac("sha256", key).update(`${id}.${at}.`).update(body).digest();
  return signatures.split(" ").some((one) => {
    const given = Buffer.from(one.replace(/^v1,/, ""), "base64");
    return one.startsWith("v1,") && given.length === expected.length && timingSafeEqual(given, expected);
  });
}

async function read(request) {
  const chunks = [];
  let bytes = 0;
  for await (const chunk of request) {
    bytes += chunk.length;
    if (bytes > BODY_BYTES_MAX) return null;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

const server = createServer(async (request, response) => {
  const body = await read(request);
  if (body === null || !isGenuine(request.headers, body)) {
    response.writeHead(400).end();
    return;
  }
  const event = JSON.parse(body);
  if (!seen.has(event.id)) {
    // Write it down, answer, and do the work afterwards: after 15 seconds Makegood gives up and tries again.
    seen.add(event.id);
    console.log(JSON.stringify(event));
  }
  response.writeHead(204).end();
});
server.listen(Number(process.argv[2]), "127.0.0.1", () => console.error(`listening on http://127.0.0.1:${server.address().port}`));
