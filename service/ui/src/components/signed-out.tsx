// Over the page when the session has ended: sign in again and go on where you were; nothing typed is touched.
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import type { SignInWays } from "../contract";
import { readSession, session, signedOut, waysToSignIn } from "../store/session";
import { Failed, Skeleton } from "./bits";
import { Dialog } from "./dialog";
import { useLoad } from "./load";
import { SignInForm } from "./sign-in-form";

// A link opened in another tab tells this one; where tabs cannot speak to each other, asking now and then does.
const ASK_MS = 5000;

export function SignedOut() {
  return signedOut.value ? <Ask /> : null;
}

function Ask() {
  const slug = session.value?.platform.slug ?? null;
  const ways = useLoad<SignInWays>("ways", () => waysToSignIn(slug));
  const form = useRef<HTMLDivElement>(null);
  const known = ways.data.value !== undefined;
  // The ways come a moment after the dialog: focus goes to the first of them, and takes the caret from nobody.
  useLayoutEffect(() => {
    if (known && document.activeElement?.matches("dialog, body")) form.current?.querySelector<HTMLElement>("a, input")?.focus();
  }, [known]);
  useEffect(() => {
    const timer = setInterval(() => {
      if (!document.hidden) void readSession().catch(() => undefined);
    }, ASK_MS);
    return () => clearInterval(timer);
  }, []);
  return (
    <Dialog title="You were signed out" unasked>
      <div class="stack" ref={form}>
        <p>
          Sessions end after an hour without use, and after twelve hours. Everything on this page is kept, also what you were typing. Sign in and go on.
        </p>
        {ways.data.value ? <SignInForm ways={ways.data.value} to={location.pathname} overPage /> : null}
        {ways.error.value ? <Failed error={ways.error.value} again={ways.reload} /> : null}
        {!ways.data.value && !ways.error.value ? <Skeleton lines={2} /> : null}
      </div>
    </Dialog>
  );
}
