/** A typed client of Makegood's HTTP contract: `makegood({ url, token }).POST("/v1/cases", …)` answers `{ data, error, response }`. */

import createClient, { type Client } from "openapi-fetch";

import type { components, paths, webhooks } from "./schema.js";

export type { components, paths, webhooks } from "./schema.js";

/** The contract's types by name: `Schemas["CaseShown"]`. */
export type Schemas = components["schemas"];

/** What a failure answers (RFC 9457): `type` is for programs, `detail` for people, `errors` name the fields. */
export type Problem = Schemas["ProblemBody"];

/** Everything a platform is told, by webhook and by `GET /v1/events`; `type` tells which it is, and with it what `data` holds. */
export type Event = {
  [Kind in keyof webhooks]: webhooks[Kind]["post"]["requestBody"]["content"]["application/json"];
}[keyof webhooks];

export interface Caller {
  url: string;
  /** A key of the platform or of an agent, a session, or, with `platform`, the platform's own JWT for its customer. */
  token?: string;
  platform?: string;
}

/** Never throws for an answer: `error` is the problem. Throws what `fetch` throws where none came. */
export function makegood({ url, token, platform }: Caller): Client<paths> {
  return createClient<paths>({
    baseUrl: url.replace(/\/+$/, ""),
    headers: {
      ...(token === undefined ? {} : { Authorization: `Bearer ${token}` }),
      ...(platform === undefined ? {} : { "Makegood-Platform": platform }),
    },
  });
}

/** The event in a webhook's body, once its signature was verified, or an item of `GET /v1/events`. A type that a later release adds comes through too. */
export function asEvent(told: Schemas["PlatformEvent"]): Event {
  return told as Event;
}
