// Numbers and how long something takes, by Intl.

export function number(locale: string, value: number): string {
  return new Intl.NumberFormat(locale).format(value);
}

/** `5 minutes`, `2 hours`: what is shorter than a minute and a half is counted in seconds. */
export function lasting(locale: string, seconds: number): string {
  const [value, unit] = seconds < 90 ? [seconds, "second"] : seconds < 5400 ? [seconds / 60, "minute"] : [seconds / 3600, "hour"];
  return new Intl.NumberFormat(locale, { style: "unit", unit: String(unit), unitDisplay: "long" }).format(Math.round(Number(value)));
}
