// Everything a reader reads: texts by key, money, times and lasting by Intl, in one language.
import { ask } from "./api";
import type texts from "./messages/en.json";
import type { OwnWords, Texts } from "./wire";

export type Key = keyof typeof texts.first | keyof typeof texts.rest;
type Values = Record<string, string | number | null | undefined>;

/** by language: the file of the first view's texts, and that of the rest */
declare const __LANGUAGES__: Record<string, [string, string]>;
const FILES = __LANGUAGES__;

/** The first of the wanted languages that the widget is written in, and that the platform offers. */
export function choose(wanted: readonly string[], offered: readonly string[] | undefined): string {
  const bases = offered?.map(base).filter((one) => one in FILES) ?? [];
  const fits = (one: string): boolean => one in FILES && (bases.length === 0 || bases.includes(one));
  return wanted.map(base).find(fits) ?? bases[0] ?? "en";
}

function base(tag: string): string {
  return tag.slice(0, 2).toLowerCase();
}

/** Of `en_US` and `en-US-x-shop` alike; of what is no language at all none. */
function regionOf(tag: string): string | undefined {
  try {
    return new Intl.Locale(tag.replace(/_/g, "-")).region;
  } catch {
    return undefined;
  }
}

/** Raises what fetch raises. */
export async function load(service: string, language: string, wanted: readonly string[]): Promise<Words> {
  // With the reader's own region (`en-GB`), whoever named it: it decides how dates and amounts are written.
  const region = wanted.filter((one) => base(one) === language).map(regionOf).find(Boolean);
  return new Words(language, region ? `${language}-${region}` : language, await read(service, language, 0));
}

async function read(service: string, language: string, part: 0 | 1): Promise<Record<string, string>> {
  return (await ask(`${service}/widget/${FILES[language]?.[part]}`, { credentials: "omit" })).json() as Promise<Record<string, string>>;
}

export class Words {
  own: OwnWords = {};
  readonly dir: "ltr" | "rtl";
  /** for Intl: in Arabic with the digits of the letters */
  readonly intl: string;

  constructor(
    readonly language: string,
    readonly locale: string,
    private readonly texts: Record<string, string>,
  ) {
    const isArabic = language === "ar";
    this.dir = isArabic ? "rtl" : "ltr";
    this.intl = isArabic ? `${locale}-u-nu-latn` : locale;
  }

  /** The texts of all that comes after the first view. Raises what fetch raises. */
  async more(service: string): Promise<void> {
    Object.assign(this.texts, await read(service, this.language, 1));
  }

  say = (key: Key, values: Values = {}): string =>
    (this.texts[key] ?? "").replace(/\{(\w+)\}/g, (_, name: string) => String(values[name] ?? this.own[name as keyof OwnWords] ?? ""));

  /** whether there is such a text: of a problem or an action that is newer than this widget there is none */
  has = (key: string): key is Key => key in this.texts;

  money = (minor: number | null, currency: string | null): string => {
    if (minor === null || currency === null) return "";
    const format = new Intl.NumberFormat(this.intl, { style: "currency", currency });
    return format.format(minor / 10 ** (format.resolvedOptions().maximumFractionDigits ?? 2));
  };

  /** The reader's own time, with the day where it is another; beside it the show's time where its clocks differ. */
  time = (at: string, zone?: string | null): string => {
    const moment = new Date(at);
    const ahead = moment.getTime() - Date.now();
    // "Since 11 PM" is last night's, also at one; "by 7 AM", said in the evening, could be read as any morning's.
    const today = ahead < 0 ? ahead > -43_200_000 : moment.toDateString() === new Date().toDateString();
    const how: Intl.DateTimeFormatOptions = today
      ? { hour: "numeric", minute: "2-digit" }
      : { weekday: "short", day: "numeric", month: "short", hour: "numeric", minute: "2-digit" };
    const said = (more?: Intl.DateTimeFormatOptions): string => new Intl.DateTimeFormat(this.intl, { ...how, ...more }).format(moment);
    const here = said();
    return !zone || said({ timeZone: zone }) === here ? here : `${here} (${said({ timeZone: zone, timeZoneName: "short" })})`;
  };

  /** Of texts by language: the reader's, else English, else any. */
  of = (texts: Texts): string => texts[this.locale] ?? texts[this.language] ?? texts["en"] ?? Object.values(texts)[0] ?? "";
}
