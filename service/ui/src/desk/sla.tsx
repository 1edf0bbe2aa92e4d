// The promise that ends next, as a countdown with its state: an icon and a word, and its hue.
import { useComputed } from "@preact/signals";
import type { RowClock } from "../contract";
import { Icon } from "../components/icon";
import { now } from "../store/clock";
import { clock, say } from "../words";

/** In a row: the time left, ticking by itself; the words are for screen readers and the title. */
export function RowSla({ sla }: { sla: RowClock | null }) {
  if (sla === null) return <span class="sla" />;
  if (sla.due_at === null)
    return (
      <span class="sla hue-text-none" title={`Stands still: ${say("pause", sla.paused_for)}`}>
        <Icon name="pause" />
        <span class="unseen">stands still, {say("pause", sla.paused_for)}</span>
      </span>
    );
  return <Ticking key={sla.due_at} due={sla.due_at} kind={sla.kind} hue={sla.breached ? "stopped" : sla.warned ? "needs" : "none"} />;
}

function Ticking({ due, kind, hue }: { due: string; kind: string; hue: "stopped" | "needs" | "none" }) {
  const at = Date.parse(due);
  const text = useComputed(() => clock((at - now.value) / 1000));
  const words = hue === "stopped" ? "late" : hue === "needs" ? "soon late" : "left";
  return (
    <span class={`sla hue-text-${hue}`} title={`${say("clock", kind)}: ${words}`}>
      {hue === "none" ? null : <Icon name={hue === "stopped" ? "alert" : "clock"} />}
      <span>{text}</span>
      <span class="unseen"> {words}</span>
    </span>
  );
}
