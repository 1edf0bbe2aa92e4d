// Where the provider's window ends when a session had run out: it tells the waiting page and can be closed.
import { useEffect } from "preact/hooks";
import { usePage } from "../components/page";
import { readSession } from "../store/session";

export default function SignedInPage() {
  usePage("Signed in");
  useEffect(() => {
    void readSession().then((found) => {
      if (!found) return;
      new BroadcastChannel("makegood-session").postMessage("signed in");
      window.close();
    });
  }, []);
  return (
    <div class="stack">
      <h1>You are signed in</h1>
      <p>Your page goes on where it was. You can close this one.</p>
      <p>
        <a href="/desk">Open the desk here</a>
      </p>
    </div>
  );
}
