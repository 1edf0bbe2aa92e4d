// The page that holds the widget alone, for links in mail and apps' web views: reads its address, and hands on what the app or frame says.
interface Bridge {
  postMessage(message: unknown): void;
}
interface Given {
  type?: string;
  token?: string;
  report?: object;
}
type Help = HTMLElement & { getToken?: () => Promise<string | null>; report?: (player: object) => void; refresh?: () => void };

// An app answers within a moment; without an answer its customer goes on as a guest.
const TOKEN_MS_MAX = 3000;

const meta = (name: string): string => document.querySelector<HTMLMetaElement>(`meta[name="makegood-${name}"]`)?.content ?? "";
const origins = meta("origins").split(/\s+/).filter(Boolean);
const host = window as unknown as { webkit?: { messageHandlers?: { makegood?: Bridge } }; makegoodHost?: Bridge };
const waiting = new Set<(token: string | null) => void>();
let given: string | null = null;
/** it has named a customer: silence is a bad line then, and not a guest */
let hasNamed = false;
let isSilent = false;

/** To whoever holds this page: an iOS or Android web view, or a frame of one of the platform's own pages. */
function tell(message: { type: string }): boolean {
  const ios = host.webkit?.messageHandlers?.makegood;
  const android = host.makegoodHost;
  ios?.postMessage(message);
  android?.postMessage(JSON.stringify(message));
  if (parent !== window) for (const origin of origins) parent.postMessage({ ...message, type: `makegood:${message.type}` }, origin);
  return ios !== undefined || android !== undefined || parent !== window;
}

function token(): Promise<string | null> {
  if (given !== null) {
    const first = given;
    given = null;
    return Promise.resolve(first);
  }
  if (!tell({ type: "token" })) return Promise.resolve(null);
  // What has not answered once is not waited for again; it may still say by itself who is there.
  if (isSilent && !hasNamed) return Promise.resolve(null);
  return new Promise((resolve, reject) => {
    waiting.add(resolve);
    setTimeout(() => {
      isSilent = waiting.delete(resolve) || isSilent;
      if (hasNamed) reject(new Error("nobody answers"));
      else resolve(null);
    }, TOKEN_MS_MAX);
  });
}

const path = location.pathname.split("/").filter(Boolean);
const named = path.find((one) => one.startsWith("case_"));
const query = new URLSearchParams(location.search);
const help: Help = document.createElement("makegood-help");
help.setAttribute("mode", "page");
help.setAttribute("platform", meta("platform"));
if (named) help.setAttribute("case", named);
for (const name of ["show", "order", "lang", "theme"]) {
  const value = query.get(name);
  if (value !== null) help.setAttribute(name, value);
}
help.getToken = token;

addEventListener("message", (event: MessageEvent<Given | null>) => {
  const isOurs = event.source === window && event.origin === location.origin;
  const isParent = event.source === parent && parent !== window && origins.includes(event.origin);
  if (!isOurs && !isParent) return;
  const { type, token: fresh, report } = event.data ?? {};
  if (type === "makegood:token" && typeof fresh === "string") {
    hasNamed = fresh !== "";
    isSilent = false;
    if (waiting.size === 0) {
      given = fresh;
      // Somebody has signed in or out there.
      help.refresh?.();
    }
    for (const one of waiting) one(fresh);
    waiting.clear();
  }
  if (type === "makegood:report" && report) help.report?.(report);
});
for (const name of ["open", "close", "resolved"]) addEventListener(`makegood:${name}`, () => tell({ type: name }));

const look = new CSSStyleSheet();
look.replaceSync("html{color-scheme:light dark;background:light-dark(#f6f7f9,#16181d)}body{margin:0}");
document.adoptedStyleSheets = [look];
document.body.replaceChildren(help);
