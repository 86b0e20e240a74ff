/**
 * A source file in two views of the same length, so that an offset means the same place in both.
 *
 * `code` has comments and the contents of strings, templates and regular expressions blanked: what is found there is
 * really said by the program. `withStrings` has only comments blanked: it is where the names in imports are read.
 */
export interface SourceText {
  code: string;
  withStrings: string;
}

/** After these words a slash begins a regular expression, as after an operator. */
const wordsBeforeRegex = /\b(?:return|typeof|case|in|of|delete|void|throw|new|else|do|await|yield)$/;

/** Splits TypeScript into its two views. It knows comments, strings, templates and regular expressions, nothing more. */
export function readSourceText(source: string): SourceText {
  // By UTF-16 units, as offsets count them.
  const code = source.split('');
  const withStrings = source.split('');
  /** One entry for each template that is open around an expression: how many braces are open in that expression. */
  const openTemplates: number[] = [];
  let at = 0;

  const blank = (views: string[][], from: number, to: number) => {
    for (const view of views) for (let i = from; i < to; i++) if (view[i] !== '\n') view[i] = ' ';
  };
  const skipTemplate = (from: number): number => {
    for (let i = from; i < source.length; i++) {
      if (source[i] === '\\') i++;
      else if (source[i] === '`') return i + 1;
      else if (source[i] === '$' && source[i + 1] === '{') {
        openTemplates.push(0);
        return i + 2;
      }
    }
    return source.length;
  };

  while (at < source.length) {
    const character = source[at] as string;
    const end = endOfToken(source, at);
    if (end?.kind === 'comment') {
      blank([code, withStrings], at, end.at);
      at = end.at;
    } else if (end !== undefined) {
      blank([code], at + 1, end.at - 1);
      at = end.at;
    } else if (character === '`' || (character === '}' && openTemplates.at(-1) === 0)) {
      if (character === '}') openTemplates.pop();
      const next = skipTemplate(at + 1);
      blank([code, withStrings], at + 1, next - 1);
      at = next;
    } else {
      const depth = openTemplates.length - 1;
      if (depth >= 0 && character === '{') openTemplates[depth]! += 1;
      if (depth >= 0 && character === '}') openTemplates[depth]! -= 1;
      at++;
    }
  }
  return { code: code.join(''), withStrings: withStrings.join('') };
}

/** Where the comment, string or regular expression that begins at `at` ends; `undefined` when none begins there. */
function endOfToken(source: string, at: number): { kind: 'comment' | 'literal'; at: number } | undefined {
  const character = source[at];
  if (source.startsWith('//', at)) return { kind: 'comment', at: endOfComment(source, at, '\n') };
  if (source.startsWith('/*', at)) return { kind: 'comment', at: endOfComment(source, at + 2, '*/') };
  if (character === "'" || character === '"') return { kind: 'literal', at: endOfString(source, at, character) };
  if (character === '/' && beginsRegex(source, at)) return { kind: 'literal', at: endOfRegex(source, at) };
  return undefined;
}

function endOfComment(source: string, from: number, closing: string): number {
  const found = source.indexOf(closing, from);
  return found === -1 ? source.length : found + closing.length;
}

function endOfString(source: string, at: number, quote: string): number {
  for (let i = at + 1; i < source.length; i++) {
    if (source[i] === '\\') i++;
    else if (source[i] === quote || source[i] === '\n') return i + 1;
  }
  return source.length;
}

/** A slash divides after a value (a name, a number, a closing bracket) and begins an expression everywhere else. */
function beginsRegex(source: string, at: number): boolean {
  const before = source.slice(Math.max(0, at - 200), at).trimEnd();
  if (before === '') return true;
  return !/[\w$)\]}]$/.test(before) || wordsBeforeRegex.test(before);
}

function endOfRegex(source: string, at: number): number {
  let inClass = false;
  for (let i = at + 1; i < source.length; i++) {
    const character = source[i];
    if (character === '\\') i++;
    else if (character === '\n') return i;
    else if (character === '[') inClass = true;
    else if (character === ']') inClass = false;
    else if (character === '/' && !inClass) return i + 1;
  }
  return source.length;
}
