/** On which line of its file each option of a plan stands, the first line being 1, by its path as in `functions[0].rto`. */
export interface PlanLines {
  readonly lines: ReadonlyMap<string, number>;
  /** Keys that stand twice in one object, of which the language keeps only the last. */
  readonly repeated: readonly { readonly option: string; readonly line: number }[];
}

/**
 * Finds where the options of a plan stand in the text of its file.
 *
 * JSON is read exactly. Of a module the object literal that `definePlan(` or `export default` begins with is read, and what of it is computed is not found: such an
 * option has the line of the nearest one around it that is.
 */
export function findLines(text: string, form: 'json' | 'module'): PlanLines {
  const reader = new LiteralReader(text);
  const start = form === 'json' ? 0 : startOfPlan(text);
  if (start !== null) reader.readPlan(start);
  return reader;
}

/** The line of an option, or of the nearest one around it; `null` when nothing of the plan was found. */
export function lineOf(lines: ReadonlyMap<string, number>, option: string): number | null {
  let path = option;
  while (path !== '') {
    const line = lines.get(path);
    if (line !== undefined) return line;
    path = path.slice(0, Math.max(0, path.lastIndexOf('.'), path.lastIndexOf('[')));
  }
  return lines.get('') ?? null;
}

function startOfPlan(text: string): number | null {
  // The last one: what stands above may be a comment or a function that makes plans. What is exported may be no more than the name of what was defined.
  const defined = [...text.matchAll(/\bdefinePlan\s*\((?=(?:\s+|\/\/[^\n]*|\/\*[\s\S]*?\*\/)*\{)/g)].at(-1);
  const begins = defined ?? [...text.matchAll(/\bdefinePlan\s*\(|\bexport\s+default\b/g)].at(-1);
  return begins === undefined ? null : begins.index + begins[0].length;
}

const opening = new Set(['{', '[', '(']);
const closing = new Set(['}', ']', ')']);

/** Reads as much of JavaScript's literals as a plan is written in: objects, lists, keys, texts and comments. */
class LiteralReader implements PlanLines {
  readonly lines = new Map<string, number>();
  readonly repeated: { option: string; line: number }[] = [];
  readonly #text: string;
  readonly #lineStarts: number[];
  #at = 0;

  constructor(text: string) {
    this.#text = text;
    this.#lineStarts = [0, ...[...text.matchAll(/\n/g)].map(({ index }) => index + 1)];
  }

  readPlan(start: number): void {
    this.#at = start;
    this.#skipBlank();
    this.lines.set('', this.#line());
    this.#readValue('');
  }

  #readValue(path: string): void {
    this.#skipBlank();
    if (this.#text[this.#at] === '{') this.#readObject(path);
    else if (this.#text[this.#at] === '[') this.#readList(path);
  }

  #readObject(path: string): void {
    this.#at += 1;
    const keys = new Set<string>();
    for (;;) {
      this.#skipBlank();
      const key = this.#readKey();
      if (key !== null) {
        const option = path === '' ? key : `${path}.${key}`;
        if (keys.has(key)) this.repeated.push({ option, line: this.#line() });
        keys.add(key);
        this.lines.set(option, this.#line());
        this.#skipKey();
        this.#skipBlank();
        if (this.#text[this.#at] === ':') {
          this.#at += 1;
          this.#readValue(option);
        }
      }
      if (!this.#skipToNext('}')) return;
    }
  }

  #readList(path: string): void {
    this.#at += 1;
    for (let index = 0; ; index++) {
      this.#skipBlank();
      if (this.#text[this.#at] !== ']') this.lines.set(`${path}[${index}]`, this.#line());
      this.#readValue(`${path}[${index}]`);
      if (!this.#skipToNext(']')) return;
    }
  }

  /** The key that stands here; `null` for a computed one and for `...`. */
  #readKey(): string | null {
    const rest = this.#text.slice(this.#at, this.#at + keyLengthMax);
    const quoted = /^(?:"((?:[^"\\\n]|\\.)*)"|'((?:[^'\\\n]|\\.)*)')/.exec(rest);
    if (quoted !== null) return quoted[1] ?? quoted[2] ?? '';
    return /^[\p{ID_Start}$_0-9][\p{ID_Continue}$]*/u.exec(rest)?.[0] ?? null;
  }

  #skipKey(): void {
    const first = this.#text[this.#at];
    if (first === '"' || first === "'") this.#skipText();
    else while (/[\p{ID_Continue}$]/u.test(this.#text[this.#at] ?? '')) this.#at += 1;
  }

  /** Goes behind the next comma of the same depth; false when `end` came first, behind which it goes then, or the end of the file. */
  #skipToNext(end: string): boolean {
    let depth = 0;
    while (this.#at < this.#text.length) {
      this.#skipBlank();
      const found = this.#text[this.#at];
      if (found === undefined) return false;
      if (found === '"' || found === "'" || found === '`') {
        this.#skipText();
        continue;
      }
      this.#at += 1;
      if (depth === 0 && found === ',') return true;
      if (depth === 0 && found === end) return false;
      if (opening.has(found)) depth += 1;
      else if (closing.has(found)) depth -= 1;
      if (depth < 0) return false;
    }
    return false;
  }

  /** Blanks and comments. */
  #skipBlank(): void {
    const blank = /(?:\s+|\/\/[^\n]*|\/\*[\s\S]*?\*\/)*/y;
    blank.lastIndex = this.#at;
    this.#at += blank.exec(this.#text)?.[0].length ?? 0;
  }

  #skipText(): void {
    const quote = this.#text[this.#at];
    this.#at += 1;
    while (this.#at < this.#text.length && this.#text[this.#at] !== quote) {
      this.#at += this.#text[this.#at] === '\\' ? 2 : 1;
    }
    this.#at += 1;
  }

  #line(): number {
    let [from, to] = [0, this.#lineStarts.length];
    while (to - from > 1) {
      const middle = (from + to) >> 1;
      if (this.#lineStarts[middle]! <= this.#at) from = middle;
      else to = middle;
    }
    return from + 1;
  }
}

/** Longer than any name of an option; what a plan calls things is a value and no key, but for the names in maps. */
const keyLengthMax = 256;
