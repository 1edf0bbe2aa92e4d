// What outlives a reload: in the tab, the case and the key of what is under way, each customer's under their own mark; on the device, how else to reach the platform.

export class Kept {
  /** a customer of the host's, in short; "" is a guest, who leaves nothing but the case they would have to prove is theirs */
  private mark = "";
  /** what a guest leaves to the page alone */
  private memory: Record<string, string | null> = {};

  constructor(private readonly platform: string) {}

  /** From now on it is this one: what others left is gone. */
  belongTo(mark: string): void {
    this.mark = mark;
    this.memory = {};
    for (const name of this.names) if (name !== this.place("open") && !name.startsWith(this.place(""))) quiet(() => sessionStorage.removeItem(name));
  }
  get(name: string): string | null {
    return this.memory[name] ?? quiet(() => sessionStorage.getItem(this.place(name)));
  }
  /** null forgets it */
  set(name: string, value: string | null): void {
    if (!this.mark && name !== "open" && name !== "case") this.memory[name] = value;
    else quiet(() => (value === null ? sessionStorage.removeItem(this.place(name)) : sessionStorage.setItem(this.place(name), value)));
  }
  /** whether something is under way, of whoever is there */
  get hasCase(): boolean {
    return this.names.some((name) => name.endsWith(":case"));
  }
  remembered<T>(): T | null {
    return quiet(() => JSON.parse(localStorage.getItem(this.start + "help") ?? "null") as T);
  }
  remember(value: unknown): void {
    quiet(() => localStorage.setItem(this.start + "help", JSON.stringify(value)));
  }

  private get start(): string {
    return `makegood:${this.platform}:`;
  }
  private get names(): string[] {
    return quiet(() => Object.keys(sessionStorage).filter((name) => name.startsWith(this.start))) ?? [];
  }
  private place(name: string): string {
    return this.start + (name === "open" ? name : `${this.mark}:${name}`);
  }
}

/** Where a browser allows no storage, nothing outlives a reload, and all else works. */
function quiet<T>(action: () => T): T | null {
  try {
    return action();
  } catch {
    return null;
  }
}

/** Whose token it is: of one that is no JWT, itself. */
export function subject(token: string): string {
  try {
    return (JSON.parse(atob(token.split(".")[1]!.replace(/-/g, "+").replace(/_/g, "/"))) as { sub: string }).sub || token;
  } catch {
    return token;
  }
}

/** FNV-1a: tells the customers of one tab apart, and names nobody. */
export function short(text: string): string {
  let found = 0x811c9dc5;
  for (const one of text) found = Math.imul(found ^ one.codePointAt(0)!, 0x01000193);
  return `${found >>> 0}`;
}
