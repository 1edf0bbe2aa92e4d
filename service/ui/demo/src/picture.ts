// The moving picture: a stage under northern lights, drawn on a canvas from nothing but the time.

const STARS = 110;
const CROWD = 42;
const COLUMNS = 180;
const HUES = ["94 234 212", "134 239 172", "167 139 250"] as const;
const BEAMS = [-0.34, -0.18, 0, 0.18, 0.34] as const;

/** The same for the same number, between 0 and 1. */
function noise(seed: number): number {
  const found = Math.sin(seed * 127.1) * 43758.5453;
  return found - Math.floor(found);
}

/** One frame at so many seconds into the show, as large as the canvas is. */
export function draw(canvas: HTMLCanvasElement, seconds: number): void {
  const on = canvas.getContext("2d");
  if (on === null) return;
  const { width: w, height: h } = canvas;
  sky(on, w, h, seconds);
  curtains(on, w, h, seconds);
  mountains(on, w, h);
  stage(on, w, h, seconds);
  crowd(on, w, h, seconds);
}

function sky(on: CanvasRenderingContext2D, w: number, h: number, t: number): void {
  const night = on.createLinearGradient(0, 0, 0, h);
  night.addColorStop(0, "#050818");
  night.addColorStop(0.6, "#0b1736");
  night.addColorStop(1, "#132347");
  on.fillStyle = night;
  on.fillRect(0, 0, w, h);
  for (let n = 0; n < STARS; n += 1) {
    const bright = 0.35 + 0.4 * Math.abs(Math.sin(t * (0.3 + noise(n + 3)) + n));
    on.fillStyle = `rgb(226 236 255 / ${bright.toFixed(2)})`;
    const size = (0.6 + noise(n + 9)) * (w / 900);
    on.fillRect(noise(n) * w, noise(n + 50) * h * 0.6, size, size);
  }
}

function curtains(on: CanvasRenderingContext2D, w: number, h: number, t: number): void {
  on.save();
  on.globalCompositeOperation = "lighter";
  const edge = (n: number): number => Math.floor((n / COLUMNS) * w);
  HUES.forEach((hue, layer) => {
    const ray = on.createLinearGradient(0, 0, 0, 1);
    ray.addColorStop(0, `rgb(${hue} / 0)`);
    ray.addColorStop(0.7, `rgb(${hue} / 1)`);
    ray.addColorStop(1, `rgb(${hue} / 0)`);
    on.fillStyle = ray;
    for (let n = 0; n < COLUMNS; n += 1) {
      const x = n / COLUMNS;
      const sway = Math.sin(x * 6 + t * 0.35 + layer * 2.1) + 0.6 * Math.sin(x * 13 - t * 0.22 + layer);
      const foot = h * (0.38 + 0.07 * sway + layer * 0.03);
      const tall = h * (0.22 + 0.1 * Math.sin(x * 9 + t * 0.5 + layer * 1.7) + 0.03 * Math.sin(x * 70 + t));
      const folds = 0.75 + 0.25 * Math.sin(x * 44 + t * 0.9 + layer * 3);
      on.globalAlpha = (0.06 + 0.22 * Math.max(0, Math.sin(x * 4.3 + t * 0.28 + layer * 1.3))) * folds;
      on.setTransform(1, 0, 0, tall, edge(n), foot - tall);
      on.fillRect(0, 0, edge(n + 1) - edge(n), 1);
    }
  });
  on.restore();
}

function mountains(on: CanvasRenderingContext2D, w: number, h: number): void {
  on.fillStyle = "#0a1128";
  on.beginPath();
  on.moveTo(0, h * 0.62);
  for (let n = 0; n <= 12; n += 1) on.lineTo((n / 12) * w, h * (0.56 - 0.13 * noise(n * 3 + 1) * (n % 2 === 0 ? 1 : 0.3)));
  on.lineTo(w, h);
  on.lineTo(0, h);
  on.fill();
}

function stage(on: CanvasRenderingContext2D, w: number, h: number, t: number): void {
  const floor = h * 0.8;
  on.save();
  on.globalCompositeOperation = "lighter";
  BEAMS.forEach((place, n) => {
    const top = w * (0.5 + place);
    const aim = top + w * 0.16 * Math.sin(t * 0.6 + n * 1.4);
    const light = on.createLinearGradient(top, h * 0.3, aim, floor);
    const hue = n % 2 === 0 ? "253 224 171" : "129 140 248";
    light.addColorStop(0, `rgb(${hue} / 0.34)`);
    light.addColorStop(1, `rgb(${hue} / 0.02)`);
    on.fillStyle = light;
    on.beginPath();
    on.moveTo(top - w * 0.006, h * 0.3);
    on.lineTo(top + w * 0.006, h * 0.3);
    on.lineTo(aim + w * 0.075, floor);
    on.lineTo(aim - w * 0.075, floor);
    on.fill();
  });
  on.restore();
  on.fillStyle = "#04060f";
  on.fillRect(w * 0.1, h * 0.285, w * 0.8, h * 0.022);
  on.fillRect(w * 0.1, h * 0.285, w * 0.012, floor - h * 0.285);
  on.fillRect(w * 0.888, h * 0.285, w * 0.012, floor - h * 0.285);
  on.fillStyle = "#0d1533";
  on.fillRect(w * 0.08, floor, w * 0.84, h * 0.05);
  [0.3, 0.42, 0.5, 0.6, 0.7].forEach((x, n) => player(on, w * x, floor, h * (n === 2 ? 0.19 : 0.16), t * 1.7 + n * 0.9));
}

function player(on: CanvasRenderingContext2D, x: number, floor: number, tall: number, beat: number): void {
  const lean = Math.sin(beat) * tall * 0.05;
  on.fillStyle = "#020308";
  on.beginPath();
  on.ellipse(x + lean, floor - tall * 0.88, tall * 0.085, tall * 0.1, 0, 0, Math.PI * 2);
  on.fill();
  on.beginPath();
  on.moveTo(x - tall * 0.15, floor);
  on.quadraticCurveTo(x - tall * 0.17 + lean, floor - tall * 0.8, x + lean, floor - tall * 0.78);
  on.quadraticCurveTo(x + tall * 0.17 + lean, floor - tall * 0.8, x + tall * 0.15, floor);
  on.fill();
  on.lineWidth = Math.max(1, tall * 0.045);
  on.strokeStyle = "#020308";
  on.beginPath();
  on.moveTo(x + lean, floor - tall * 0.62);
  on.lineTo(x + tall * (0.3 + 0.06 * Math.sin(beat * 2)), floor - tall * (0.5 + 0.08 * Math.cos(beat * 2)));
  on.stroke();
}

function crowd(on: CanvasRenderingContext2D, w: number, h: number, t: number): void {
  on.fillStyle = "#01020a";
  on.fillRect(0, h * 0.955, w, h * 0.05);
  for (let n = 0; n < CROWD; n += 1) {
    const x = ((n + 0.5 * noise(n)) / CROWD) * w;
    const top = h * (0.915 + 0.03 * noise(n + 20) - 0.008 * Math.max(0, Math.sin(t * 2.2 + noise(n) * 2)));
    const size = h * (0.022 + 0.008 * noise(n + 70));
    on.beginPath();
    on.ellipse(x, top, size * 0.8, size, 0, 0, Math.PI * 2);
    on.fill();
    on.fillRect(x - size * 1.2, top + size * 0.9, size * 2.4, h);
    if (n % 9 === 4) {
      const glow = 0.6 + 0.3 * Math.sin(t * 1.3 + n);
      on.fillStyle = `rgb(147 197 253 / ${glow.toFixed(2)})`;
      on.fillRect(x + size, top - size * 1.4, size * 0.55, size * 0.9);
      on.fillStyle = "#01020a";
    }
  }
}
