// The wire, as the generated contract has it, under the names that the widget uses.
import type { components } from "../../../clients/typescript/src/schema";

type Schemas = components["schemas"];
/** What has a default may be left out by who sends to the service; the service itself leaves nothing out. */
type Whole<T> = T extends (infer One)[] ? Whole<One>[] : T extends object ? { [Name in keyof T]-?: Whole<Exclude<T[Name], undefined>> } : T;

export type Help = Whole<Schemas["HelpShown"]>;
export type Notice = Whole<Schemas["NoticeShown"]>;
export type Likely = Whole<Schemas["Likely"]>;
export type CaseLine = Whole<Schemas["CaseLine"]>;
export type Orders = Whole<Schemas["HelpOrders"]>;
export type OrderLine = Orders["orders"][number];
export type Case = Whole<Schemas["CaseShown"]>;
export type Operation = Whole<Schemas["OperationShown"]>;
/** by language */
export type Texts = Record<string, string>;
/** the platform's own words */
export type OwnWords = Partial<Schemas["Words"]>;

/** what a player knows of its trouble, as the host page gives it */
export interface Player {
  error?: string;
  device?: string;
  system?: string;
  appVersion?: string;
  network?: string;
  browser?: string;
}
