// One case: its head, what was decided and what one may do on the left, everything that happened on the right, the answer below it.
import { useSignal } from "@preact/signals";
import { useLocation } from "preact-iso";
import { useEffect, useMemo } from "preact/hooks";
import { ApiProblem } from "../api";
import { Failed, Skeleton } from "../components/bits";
import { Button } from "../components/button";
import { Icon } from "../components/icon";
import { usePage } from "../components/page";
import { Tabs } from "../components/tabs";
import type { NewAction, Suggestion } from "../contract";
import { useKeys } from "../keys";
import { forget, lost, take, unpark } from "../store/claims";
import { row as rowOf } from "../store/queue";
import { say } from "../words";
import { ActionPanel, type Doing } from "./Acting";
import { CaseHead } from "./CaseHead";
import { Composer, type ComposerHandle } from "./Composer";
import { CustomerView } from "./CustomerView";
import { Decision } from "./Decision";
import { Guide } from "./Guide";
import { HeldPanel } from "./Held";
import { HistoryTab } from "./HistoryTab";
import { MoneyTab } from "./MoneyTab";
import { MoreDialog, type More } from "./More";
import { OpenCase } from "./open-case";
import { PassesTab } from "./PassesTab";
import { Player } from "./Player";
import { Referrals } from "./Referrals";
import { Suggestions, withKeys, WRITE } from "./Suggestions";
import { Timeline } from "./Timeline";
import "./case.css";

// A case without a row (it has ended) is looked at again now and then; one with a row says itself when something happened.
const LOOK_AGAIN_MS = 10_000;

export function CasePane({ id, onLeft }: { id: string; onLeft: () => void }) {
  const open = useMemo(() => new OpenCase(id), [id]);
  const row = rowOf(id);
  const version = row?.version ?? 0;
  useEffect(() => {
    void open.refresh();
  }, [open, version, row?.state, row?.agent]);
  useEffect(() => () => open.close(), [open]);
  useEffect(() => {
    const timer = setInterval(() => {
      if (!document.hidden && !rowOf(id)) void open.refresh();
    }, LOOK_AGAIN_MS);
    return () => clearInterval(timer);
  }, [open]);

  const shown = open.shown.value;
  usePage(shown ? `${say("problem", shown.problem)}${shown.order ? `, ${shown.order}` : ""}` : "Case");
  if (!shown) {
    const error = open.error.value;
    return (
      <section class="case" aria-label="Case">
        <div class="case-alone">
          <a class="case-back" href="/desk">
            <Icon name="back" />
            Queue
          </a>
          {error === undefined ? <Skeleton lines={8} /> : error instanceof ApiProblem && error.status === 404 ? <Gone /> : <Failed error={error} again={() => open.refresh()} />}
        </div>
      </section>
    );
  }
  return <Opened open={open} onLeft={onLeft} />;
}

function Gone() {
  return (
    <div class="empty">
      <h1>There is no such case here</h1>
      <p>
        It belongs to somebody else, or its address is not whole. <a href="/desk/search">Search the order</a>, or <a href="/desk">go to the queue</a>.
      </p>
    </div>
  );
}

const TAB_PLACE = "makegood:case-tab";

function Opened({ open, onLeft }: { open: OpenCase; onLeft: () => void }) {
  const { id } = open;
  const { route } = useLocation();
  const shown = open.shown.value;
  const row = rowOf(id);
  const ended = shown?.ended_at != null;
  const mine = row?.mine === true && row.state === "taken";
  const parkedMine = row !== undefined && row.state !== "taken" && row.state !== "waiting";
  const tab = useSignal(sessionStorage.getItem(TAB_PLACE) ?? "timeline");
  const doing = useSignal<Doing | null>(null);
  const more = useSignal<More | null>(null);
  const composer = useMemo<ComposerHandle>(() => ({ open: () => undefined, insert: () => undefined }), []);
  if (!shown) return null;

  const choose = (to: string): void => {
    tab.value = to;
    sessionStorage.setItem(TAB_PLACE, to);
  };
  const takeIt = async (): Promise<void> => {
    forget(id);
    if (parkedMine) await unpark(id);
    else open.saw(await take(id));
    void open.refresh();
  };
  const preview = (action: NewAction): void => {
    doing.value = { kind: "preview", action };
  };
  /** A step of the playbook names no charge and no ticket: the suggestion of the same kind does; else one chooses. */
  const doStep = (action: NewAction): void => {
    const same = open.suggestions.value.find((one) => one.action?.action === action.action && (!action.cause || one.action.cause === action.cause));
    if (action.pass_id || action.position || action.payment) preview(action);
    else if (same?.action) preview(same.action);
    else if (action.action === "refund") chooseOther();
    else choose("passes");
  };
  const chooseOther = (): void => {
    doing.value = { kind: "choose", order: open.bundle.value?.order ?? null, money: open.money.value };
  };
  const suggestions = withKeys(open.suggestions.value);
  const run = (one: Suggestion): void => {
    if (one.approve) doing.value = { kind: "held", operation: one.approve };
    else if (one.action) preview(one.action);
    else composer.open("reply");
  };
  const canTake = !ended && !mine && row !== undefined && row.state !== "taken";

  useKeys([
    { key: "Enter", label: parkedMine ? "Take the case up again" : "Take the case", group: "Case", off: !canTake, run: () => clickById("take") },
    { key: WRITE, label: "Write to the customer", group: "Case", run: () => composer.open("reply") },
    { key: "n", label: "Leave a note", group: "Case", run: () => composer.open("note") },
    { key: "h", label: "Put on hold", group: "Case", off: !mine, run: () => (more.value = "hold") },
    { key: "w", label: "Wait for the customer", group: "Case", off: !mine, run: () => (more.value = "customer") },
    { key: "t", label: "Transfer, or give back", group: "Case", off: !mine, run: () => (more.value = "transfer") },
    { key: "f", label: "Refer to moderation or fraud", group: "Case", off: !mine, run: () => (more.value = "refer") },
    { key: "e", label: "End the case", group: "Case", off: !mine, run: () => (more.value = "end") },
    { key: "v", label: "What the customer sees", group: "Case", run: () => choose(tab.value === "customer" ? "timeline" : "customer") },
    { key: "b", label: "Money, and the books", group: "Case", run: () => choose(tab.value === "money" ? "timeline" : "money") },
    { key: "Escape", label: "Back to the queue", group: "Case", run: () => (doing.value !== null ? (doing.value = null) : route(`/desk${location.search}`)) },
    ...suggestions.filter((one) => one.key !== WRITE).map((one) => ({ key: one.key, label: one.label, group: "Suggested", run: () => run(one) })),
  ]);

  const lostWhy = lost.value.get(id);
  const currency = open.money.value?.currency ?? row?.currency ?? "";
  const held = shown.operations.filter((one) => one.status === "held");
  const afterAction = (): void => {
    doing.value = null;
    void open.refresh();
  };

  return (
    <section class="case" aria-label={`Case: ${say("problem", shown.problem)}`}>
      <CaseHead
        shown={shown}
        row={row}
        bundle={open.bundle.value}
        clocks={open.guide.value?.clocks ?? []}
        mine={mine}
        canTake={canTake}
        onTake={takeIt}
        onMore={(which) => (more.value = which)}
        onCompose={(kind) => composer.open(kind)}
      />
      {lostWhy !== undefined && !mine ? (
        <div class="case-lost hue-needs" role="alert">
          <Icon name="alert" />
          <span>{lostWhy} What you typed is kept here.</span>
          {row === undefined || row.state !== "taken" ? <Button action={takeIt}>Take again</Button> : null}
        </div>
      ) : null}
      <div class="case-body">
        <div class="case-left">
          {doing.value === null ? null : (
            <ActionPanel
              key={JSON.stringify(doing.value)}
              id={id}
              doing={doing.value}
              canTake={canTake}
              onTake={takeIt}
              onDone={(answer) => {
                if (answer) open.saw(answer);
                afterAction();
              }}
              onClose={() => (doing.value = null)}
            />
          )}
          <Decision shown={shown} bundle={open.bundle.value} />
          <Player shown={shown} />
          {held.length > 0 && doing.value === null ? <HeldPanel operations={held} onLook={(operation) => (doing.value = { kind: "held", operation })} /> : null}
          <Referrals referrals={open.referrals.value} shown={shown} entries={open.entries.value} currency={currency} onDone={() => void open.refresh()} />
          {ended ? null : <Suggestions suggestions={suggestions} onRun={run} onOther={chooseOther} />}
          <Guide guide={open.guide.value} onAction={doStep} onMacro={(macro) => composer.insert(macro)} onScript={(script) => composer.open("reply", script)} />
        </div>
        <div class="case-right">
          <Tabs
            label="About this case"
            chosen={tab.value}
            onChoose={choose}
            tabs={[
              { id: "timeline", label: "Timeline", content: () => <Timeline shown={shown} entries={open.entries.value} currency={currency} /> },
              { id: "money", label: "Money", content: () => <MoneyTab money={open.money.value} hasOrder={shown.order !== null} /> },
              { id: "passes", label: "Tickets", content: () => <PassesTab bundle={open.bundle.value} shown={shown} onAction={preview} /> },
              { id: "customer", label: "Customer sees", content: () => <CustomerView shown={shown} told={open.money.value?.operations ?? []} /> },
              { id: "history", label: "History", count: open.bundle.value?.history.length ?? null, content: () => <HistoryTab bundle={open.bundle.value} /> },
            ]}
          />
          <Composer id={id} shown={shown} mine={mine} handle={composer} onSent={(answer) => open.saw(answer)} />
        </div>
      </div>
      {more.value === null ? null : (
        <MoreDialog
          id={id}
          what={more.value}
          shown={shown}
          entries={open.entries.value}
          currency={currency}
          onClose={() => (more.value = null)}
          onDone={(left) => {
            more.value = null;
            if (left) onLeft();
            void open.refresh();
          }}
        />
      )}
    </section>
  );
}

function clickById(id: string): void {
  document.getElementById(id)?.click();
}
