// What is loaded once the first view stands: every screen after the first tap, and what one does on them.
import type { VNode } from "preact";
import type { App } from "../app";
import "./icons";
import { caseScreen, confirm } from "./case";
import { code, purchase } from "./code";
import { tell, topics, which } from "./problem";
import { who } from "./who";

export const screens = { who, code, purchase, topics, which, tell, confirm, case: caseScreen } satisfies Record<string, (a: App) => VNode>;
export { awaitCode, back, expire, explain, followNotice, person, pick, resume, watch } from "./flow";
export { hint } from "./hint";
export { cases } from "./lines";
export { default as css } from "./rest.css?inline";
