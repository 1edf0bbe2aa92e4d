// The desk: the queue on the left, a case on the right, nothing else.
import { useLocation, useRoute } from "preact-iso";
import { useEffect, useRef } from "preact/hooks";
import { Empty } from "../components/bits";
import { Key } from "../components/button";
import { usePage } from "../components/page";
import { CasePane } from "../desk/CasePane";
import { QueueList } from "../desk/QueueList";
import { take } from "../store/claims";
import { sweep } from "../store/drafts";

export function DeskPage() {
  const { params } = useRoute();
  const { route, url } = useLocation();
  const open = params["id"] ?? null;
  const pane = useRef<HTMLDivElement>(null);
  useEffect(sweep, []);
  const query = url.includes("?") ? url.slice(url.indexOf("?")) : "";
  const takeNext = async (): Promise<void> => {
    const taken = await take();
    route(`/desk/cases/${taken.id}${query}`);
  };
  return (
    <div class={open === null ? "desk" : "desk on-case"} ref={pane}>
      <QueueList open={open} onTakeNext={takeNext} />
      {open === null ? <Closed /> : <CasePane key={open} id={open} onLeft={() => undefined} />}
    </div>
  );
}

function Closed() {
  usePage("Queue");
  return (
    <section class="case" aria-label="Case">
      <div class="case-alone">
        <Empty title="No case is open">
          <Key name="j" /> and <Key name="k" /> move through the queue, <Key name="Enter" /> opens a case, <Key name="?" /> shows every key.
        </Empty>
      </div>
    </section>
  );
}

