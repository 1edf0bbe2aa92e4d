// The wire, as the generated contract has it, under the names that screens use; by hand only what the contract leaves open.
import type { components } from "../../../clients/typescript/src/schema";

export type Schemas = components["schemas"];
export type CaseShown = Schemas["CaseShown"];
export type AnswerShown = Schemas["AnswerShown"];
export type MessageShown = Schemas["MessageShown"];
export type AttachmentShown = Schemas["AttachmentShown"];
export type OperationShown = Schemas["OperationShown"];
export type EntryShown = Schemas["EntryShown"];
export type TimelinePage = Schemas["TimelinePage"];
export type Bundle = Schemas["BundleShown"];
export type QueueRow = Schemas["QueueRow"];
export type RowClock = Schemas["QueueClock"];
export type QueuePage = Schemas["QueuePage"];
export type WaitQuote = Schemas["WaitQuote"];
export type Session = Schemas["DeskSessionShown"];
export type SignInWays = Schemas["SignInWays"];
export type Guide = Schemas["GuideShown"];
export type GuideClock = Schemas["ClockShown"];
export type Macro = Schemas["MacroShown"];
export type DraftShown = Schemas["DraftShown"];
/** what is asked for; previews take it as it is */
export type NewAction = Partial<Schemas["ActionShown"]> & { action: string };
export type PreviewShown = Schemas["PreviewShown"];
export type PreviewFact = Schemas["FactShown"];
export type HeldPreview = Schemas["OperationPreviewShown"];
export type ApprovedShown = Schemas["ApprovedShown"];
export type Suggestion = Schemas["SuggestionShown"];
export type NewReferral = Schemas["NewReferral"];
export type ReferralShown = Schemas["ReferralShown"];
export type AgentOnShift = Schemas["PresenceShown"];
export type ProblemBody = Schemas["ProblemBody"];
export type Share = Schemas["Share"];
export type CaseLine = Schemas["CaseFound"];
export type OrderLine = Schemas["OrderFound"];
export type Found = Schemas["SearchFound"];
export type Shift = Schemas["Shift"];
export type Board = Schemas["Board"];
/** a number and the query string of `GET /v1/queue` that lists what it counts */
export type Count = Schemas["Count"];
export type Rail = Schemas["RailStatus"];
export type RailState = Rail["state"];
export type Brake = Schemas["Brake"];
export type Policies = Schemas["PoliciesShown"];
export type PackTable = Schemas["PolicyPack"];
export type RuleLine = Schemas["PolicyRule"];
export type RouteLine = Schemas["RoutingRule"];
export type PlaybookLine = Schemas["Playbook"];
export type Tried = Schemas["PolicyTried"];

/** one of `GET /v1/notices` */
export type ShowNotice = Schemas["NoticeAtDesk"];

/** what `snapshot` and `changed` of the live stream carry (their data is JSON in a string) */
export interface LiveSnapshot {
  rows: QueueRow[];
  wait: WaitQuote | null;
  at: string;
}
export interface LiveChanged extends LiveSnapshot {
  gone: string[];
}
