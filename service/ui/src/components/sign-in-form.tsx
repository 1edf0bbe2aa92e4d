// The ways to sign in: the platform's own provider, a token; a link signs in by itself. The same on its page and in the dialog over the console.
import { useSignal } from "@preact/signals";
import { signIn } from "../store/session";
import type { SignInWays } from "../contract";
import { Field } from "./bits";
import { Button } from "./button";

interface Props {
  ways: SignInWays;
  /** where to go afterwards; in a dialog the provider opens in a window of its own, and this page stays as it is */
  to: string;
  overPage?: boolean;
  onDone?: () => void;
}

export function SignInForm({ ways, to, overPage, onDone }: Props) {
  const token = useSignal("");
  const sign = async (): Promise<void> => {
    await signIn({ token: token.value.trim() });
    token.value = "";
    onDone?.();
  };
  const start = `/desk/oidc/start?platform=${encodeURIComponent(ways.platform ?? "")}&to=${encodeURIComponent(overPage ? "/desk/signed-in" : to)}`;
  return (
    <div class="stack">
      {ways.ways.includes("oidc") ? (
        <a class="button primary" href={start} target={overPage ? "_blank" : undefined} rel={overPage ? "opener" : undefined}>
          Sign in with your work account
        </a>
      ) : null}
      {ways.ways.includes("token") ? (
        <form
          class="stack"
          onSubmit={(event) => {
            event.preventDefault();
          }}
        >
          <Field label="Token" hint="For development and for people who were given one. It is not kept in this browser.">
            {(ids) => (
              <input
                {...ids}
                class="input mono"
                type="password"
                autoComplete="off"
                spellcheck={false}
                value={token}
                onInput={(event) => (token.value = event.currentTarget.value)}
              />
            )}
          </Field>
          <div class="stack">
            <Button type="submit" action={sign} disabled={token.value.trim() === ""} why="Type the token first" {...(ways.ways.includes("oidc") ? {} : { kind: "primary" as const })}>
              Sign in with the token
            </Button>
          </div>
        </form>
      ) : null}
      {ways.ways.includes("link") ? (
        <p class="quiet small">
          Or ask your lead for a sign-in link: <code>makegood agents link</code> prints one that works once, within two minutes.
        </p>
      ) : null}
    </div>
  );
}
