// Signing in: a link does it by itself, its code gone from the address before anything else; else the platform's provider, or a token.
import { useSignal } from "@preact/signals";
import { useLocation } from "preact-iso";
import { useEffect } from "preact/hooks";
import { ApiProblem, isOver } from "../api";
import { Failed, Notice, Skeleton } from "../components/bits";
import { Button } from "../components/button";
import { useLoad } from "../components/load";
import { usePage } from "../components/page";
import { SignInForm } from "../components/sign-in-form";
import type { SignInWays } from "../contract";
import { readSession, session, signIn, waysToSignIn } from "../store/session";
import "./sign-in.css";

// Read once, when the page's script is: before a render, a history entry or anything that could pass the code on.
let linkCode = takeCode();

function takeCode(): string | null {
  const code = new URLSearchParams(location.hash.slice(1)).get("code");
  if (code !== null) history.replaceState(history.state, "", location.pathname + location.search);
  return code;
}

type State = "asking" | "signing_in" | "somebody" | "refused" | "away";

export default function SignInPage() {
  usePage("Sign in");
  const { query, route } = useLocation();
  const to = within(query["to"]);
  const state = useSignal<State>(linkCode === null ? "asking" : "signing_in");
  const ways = useLoad<SignInWays>("ways", () => waysToSignIn(query["platform"] ?? null));
  // Where somebody else was signed in until now, the page is being loaded anew: nothing of theirs is drawn in between.
  const enter = (): void => {
    if (!isOver) route(to, true);
  };

  /** A link signs nobody out without a question: whoever sent it may have meant themselves. */
  const arrive = async (): Promise<void> => {
    state.value = "signing_in";
    try {
      if ((await readSession()) === null) await useLink();
      else state.value = "somebody";
    } catch {
      state.value = "away";
    }
  };
  const stay = (): void => {
    linkCode = null;
    enter();
  };

  const useLink = async (): Promise<void> => {
    if (linkCode === null) return;
    state.value = "signing_in";
    try {
      await signIn({ code: linkCode });
      linkCode = null;
      enter();
    } catch (error) {
      // A refused code is spent. One that never arrived may still be good, for as long as its two minutes last.
      const refused = error instanceof ApiProblem && error.status < 500;
      if (refused) linkCode = null;
      state.value = refused ? "refused" : "away";
    }
  };

  useEffect(() => {
    const arrived = (): void => {
      linkCode = takeCode() ?? linkCode;
      if (linkCode !== null) void arrive();
    };
    // A link that is pasted into this page's own address brings no new page.
    addEventListener("hashchange", arrived);
    if (linkCode !== null) void arrive();
    else if (session.value === undefined) void readSession().then((found) => found && enter(), () => undefined);
    else if (session.value) enter();
    return () => removeEventListener("hashchange", arrived);
  }, []);

  return (
    <div class="sign-in">
      <div class="sign-in-head">
        <img src={new URL("../icon.svg", import.meta.url).href} alt="" width="32" height="32" />
        <h1>{ways.data.value?.name && ways.data.value.name !== "Makegood" ? `The desk of ${ways.data.value.name}` : "The desk"}</h1>
      </div>
      {state.value === "signing_in" ? (
        <p role="status">Your link is signing you in.</p>
      ) : state.value === "somebody" && session.value ? (
        <div class="card stack">
          <h2>You are signed in as {session.value.agent.name}. Sign in as somebody else?</h2>
          <p>
            You have opened a sign-in link. It makes this browser the desk of whom it was made for, in every tab, and ends the session of{" "}
            {session.value.agent.name}. If somebody sent it to you unasked, stay.
          </p>
          <Button kind="primary" action={stay}>
            Stay {session.value.agent.name}
          </Button>
          <Button action={useLink}>Sign in with the link</Button>
        </div>
      ) : (
        <div class="card stack">
          <h2>Sign in</h2>
          {state.value === "refused" ? (
            <div role="alert">
              <Notice hue="needs">{REFUSED}</Notice>
            </div>
          ) : null}
          {state.value === "away" ? (
            <div role="alert">
              <Notice hue="needs" icon="away">
                <div class="stack">
                  <p>The service was not reached, so nobody is signed in yet. Your link is still here: try it again.</p>
                  <div>
                    <Button action={arrive}>Try the link again</Button>
                  </div>
                </div>
              </Notice>
            </div>
          ) : null}
          {query["error"] ? (
            <div role="alert">
              <Notice hue="needs">Your work account did not sign you in. Ask your lead whether you are on this desk, or try again.</Notice>
            </div>
          ) : null}
          {ways.data.value ? <SignInForm ways={ways.data.value} to={to} onDone={enter} /> : null}
          {ways.error.value ? <NoWays error={ways.error.value} again={ways.reload} /> : null}
          {!ways.data.value && !ways.error.value ? <Skeleton lines={3} /> : null}
        </div>
      )}
      <p class="quiet small">You stay signed in for up to twelve hours, or an hour after you were last here.</p>
    </div>
  );
}

const REFUSED = "This link signs nobody in. A link works once, within two minutes: this one was used, has run out, or is not whole. Ask for another.";

function NoWays({ error, again }: { error: unknown; again: () => Promise<void> }) {
  if (error instanceof ApiProblem && error.status === 404)
    return <Notice hue="needs">There is no platform of this name here. Open the address that your lead gave you, or a sign-in link.</Notice>;
  return <Failed error={error} again={again} />;
}

/** Where to go afterwards: a page of the console, whatever the address asks for. */
function within(to: string | undefined): string {
  if (to === undefined) return "/desk";
  const wanted = URL.canParse(to, location.origin) ? new URL(to, location.origin) : null;
  const ours = wanted !== null && wanted.origin === location.origin && /^\/desk(\/|$)/.test(wanted.pathname);
  return ours && !wanted.pathname.startsWith("/desk/sign") ? wanted.pathname + wanted.search : "/desk";
}
