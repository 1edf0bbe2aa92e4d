// Charts one can read from two metres: thick lines, few words, and everything they show also in figures beside them.
import { useEffect, useRef } from "preact/hooks";
import UPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import "./charts.css";

type Colour = "--text" | "--accent" | "--settled" | "--needs" | "--stopped" | "--waiting" | "--text-quiet";

export type Line = { name: string; values: readonly number[]; colour: Colour; look: "line" | "dashed" | "area" | "bars" };

type Props = {
  /** seconds since 1970, one for each value */
  times: readonly number[];
  lines: readonly Line[];
  size: "tall" | "low";
  /** the time's own words for the axis */
  clock: (seconds: number) => string;
};

const HEIGHTS = { tall: 320, low: 64 } as const;
const AXIS_FONT = 14;

/** The picture only; whoever uses it says the same in words and figures. */
export function Plot({ times, lines, size, clock }: Props) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<UPlot | null>(null);
  const data = (): UPlot.AlignedData => [[...times], ...lines.map((one) => [...one.values])];
  const newest = useRef(data);
  newest.current = data;
  const shape = lines.map((one) => `${one.name}${one.look}${one.colour}`).join();

  useEffect(() => {
    const host = box.current;
    if (!host) return;
    const draw = () => {
      plot.current?.destroy();
      plot.current = new UPlot(options(host, lines, size, clock), newest.current(), host);
    };
    draw();
    // Colours are read from the tokens once a drawing: light and dark need a new one.
    const dark = matchMedia("(prefers-color-scheme: dark)");
    dark.addEventListener("change", draw);
    const theme = new MutationObserver(draw);
    theme.observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme", "class"] });
    const resized = new ResizeObserver(() => plot.current?.setSize({ width: host.clientWidth, height: HEIGHTS[size] }));
    resized.observe(host);
    return () => {
      dark.removeEventListener("change", draw);
      theme.disconnect();
      resized.disconnect();
      plot.current?.destroy();
      plot.current = null;
    };
  }, [shape, size]);

  useEffect(() => plot.current?.setData(data()), [times, lines]);

  return <div ref={box} class={`plot plot-${size}`} aria-hidden="true" />;
}

function options(host: HTMLElement, lines: readonly Line[], size: Props["size"], clock: Props["clock"]): UPlot.Options {
  const style = getComputedStyle(host);
  // A custom property is its own text (`light-dark(…)`); a property that uses it is a colour.
  const colour = (name: string) => {
    host.style.color = `var(${name})`;
    const found = getComputedStyle(host).color;
    host.style.color = "";
    return found;
  };
  const quiet = colour("--text-quiet");
  const grid = { stroke: colour("--line"), width: 1 };
  const font = `${AXIS_FONT}px ${style.fontFamily}`;
  const axis = { stroke: quiet, font, grid, ticks: { show: false }, border: { show: false } };
  return {
    width: host.clientWidth,
    height: HEIGHTS[size],
    legend: { show: false },
    cursor: { show: false },
    padding: size === "tall" ? [8, 8, 0, 0] : [4, 0, 4, 0],
    // A quiet hour stays quiet: the axis never ends below five a minute.
    scales: { x: { time: false }, y: { range: (_, __, most) => [0, Math.max(5, Math.ceil((most ?? 0) * 1.1))] } },
    axes:
      size === "tall"
        ? [
            { ...axis, grid: { show: false }, space: 90, size: 32, splits: quarters, values: (_, splits) => splits.map(clock) },
            { ...axis, size: 40, space: 48, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000] },
          ]
        : [{ show: false }, { show: false }],
    series: [{}, ...lines.map((one) => series(one, colour(one.colour)))],
  };
}

function series(line: Line, stroke: string): UPlot.Series {
  const filled = line.look === "area" || line.look === "bars";
  return {
    label: line.name,
    stroke,
    width: line.look === "bars" ? 0 : 3,
    points: { show: false },
    ...(filled ? { fill: softened(stroke, line.look === "bars" ? 1 : 0.16) } : {}),
    ...(line.look === "dashed" ? { dash: [9, 6] } : {}),
    ...(line.look === "bars" && UPlot.paths.bars ? { paths: UPlot.paths.bars({ size: [0.7, 24], radius: 0.2 }) } : {}),
  };
}

/** `oklch(0.4 0.1 155)` or `rgb(1, 2, 3)`, seen through. */
function softened(colour: string, share: number): string {
  return share === 1 ? colour : `color-mix(in oklch, ${colour} ${share * 100}%, transparent)`;
}

/** Each quarter of an hour that the axis holds. */
function quarters(_: UPlot, __: number, least: number, most: number): number[] {
  const found: number[] = [];
  for (let at = Math.ceil(least / 900) * 900; at <= most; at += 900) found.push(at);
  return found;
}

/** A bar whose length is its share of the longest. Decoration: the number stands beside it. */
export function Bar({ share, tone }: { share: number; tone: "calm" | "needs" | "stopped" }) {
  const set = (node: HTMLSpanElement | null) => node?.style.setProperty("--share", String(Math.max(0, Math.min(1, share))));
  return (
    <span class={`bar bar-${tone}`} aria-hidden="true">
      <span class="bar-full" ref={set} />
    </span>
  );
}
