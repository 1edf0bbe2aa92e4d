// The shell: a bar on top, one page below, what is said to screen readers, and the dialogs that lie over everything.
import { signal, useSignal } from "@preact/signals";
import { ErrorBoundary, lazy, LocationProvider, Route, Router, useLocation } from "preact-iso";
import { useEffect } from "preact/hooks";
import { ApiProblem } from "./api";
import { LiveRegion } from "./components/bits";
import { HandedOver } from "./components/handed-over";
import { Help } from "./components/help";
import { SignedOut } from "./components/signed-out";
import { TopBar } from "./components/top-bar";
import { useKeys } from "./keys";
import { startKeeping } from "./store/claims";
import { startLive } from "./store/queue";
import { readSession, session } from "./store/session";

// The desk is what nearly everyone opens first: it is in the first view. The others come when they are asked for.
import { DeskPage } from "./pages/Desk";
const BoardPage = lazy(() => import("./pages/Board"));
const PoliciesPage = lazy(() => import("./pages/Policies"));
const BrakesPage = lazy(() => import("./pages/Brakes"));
const NoticesPage = lazy(() => import("./pages/Notices"));
const SearchPage = lazy(() => import("./pages/Search"));
const ShiftPage = lazy(() => import("./pages/Shift"));
const SecondPersonPage = lazy(() => import("./pages/SecondPerson"));
const SignInPage = lazy(() => import("./pages/SignIn"));
const SignedInPage = lazy(() => import("./pages/SignedIn"));
const NotFoundPage = lazy(() => import("./pages/NotFound"));

// What the console shows by itself. The way to the identity provider is the service's: the browser has to go there.
const PAGES = /^\/desk(?!\/oidc\/)(?=[/?#]|$)/;

export function App() {
  return (
    <LocationProvider scope={PAGES}>
      <Shell />
      <LiveRegion />
    </LocationProvider>
  );
}

function Shell() {
  const { path, url, route } = useLocation();
  const open = path.startsWith("/desk/sign-in") || path.startsWith("/desk/signed-in");

  useEffect(() => {
    if (open) return;
    if (session.value === undefined) {
      void readSession().then((found) => {
        if (found === null) route(`/desk/sign-in?to=${encodeURIComponent(url)}`, true);
      }, retryLater);
    }
  }, [open]);

  if (open)
    return (
      <main class="alone">
        <Pages />
      </main>
    );
  if (!session.value) return <Starting />;
  return <SignedIn />;
}

function SignedIn() {
  const help = useSignal(false);
  const { route } = useLocation();
  useEffect(startLive, []);
  useEffect(startKeeping, []);
  useKeys([
    { key: "?", label: "Show or hide this list", group: "Everywhere", run: () => (help.value = true) },
    { key: "/", label: "Search", group: "Everywhere", run: () => focusSearch(route) },
  ]);
  return (
    <>
      <a class="skip" href="#main">
        Skip to the page
      </a>
      <TopBar onHelp={() => (help.value = true)} />
      <main id="main" class="main" tabIndex={-1}>
        <Pages />
      </main>
      <HandedOver />
      {help.value ? <Help onClose={() => (help.value = false)} /> : null}
      <SignedOut />
    </>
  );
}

function Pages() {
  return (
    <ErrorBoundary>
      <Router>
        <Route path="/desk" component={DeskPage} />
        <Route path="/desk/cases/:id" component={DeskPage} />
        <Route path="/desk/board" component={BoardPage} />
        <Route path="/desk/policies/:pack?" component={PoliciesPage} />
        <Route path="/desk/brakes" component={BrakesPage} />
        <Route path="/desk/notices" component={NoticesPage} />
        <Route path="/desk/second-person" component={SecondPersonPage} />
        <Route path="/desk/search" component={SearchPage} />
        <Route path="/desk/shift" component={ShiftPage} />
        <Route path="/desk/sign-in" component={SignInPage} />
        <Route path="/desk/signed-in" component={SignedInPage} />
        <Route default component={NotFoundPage} />
      </Router>
    </ErrorBoundary>
  );
}

function Starting() {
  return (
    <main class="alone">
      <p class="quiet starting" role="status">
        {startFailed.value ?? "Opening the desk…"}
      </p>
    </main>
  );
}

function focusSearch(route: (url: string) => void): void {
  const field = document.querySelector<HTMLInputElement>("input[type=search][data-search]");
  if (field && field.offsetParent !== null) {
    field.focus();
    field.select();
  } else route("/desk/search");
}

const startFailed = signal<string | null>(null);

// The service may be starting: asked again until it answers.
function retryLater(error: unknown): void {
  startFailed.value = `${error instanceof ApiProblem ? "The service cannot show the desk now." : "The service cannot be reached."} It is tried again by itself.`;
  setTimeout(() => void readSession().then((found) => found === null && location.reload(), retryLater), 2000);
}
