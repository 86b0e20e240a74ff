import { readSourceText } from './architecture/source-text.ts';

/**
 * Where an error is made: all up to its message, which begins in lower case, in a template or with another name. The last one is a
 * function that makes an error from a code and more.
 */
const makings = [
  /\bnew\s+\w*Error\(([^;]*)/g,
  /\bsuper\(([^;]*)/g,
  /\b(code\s*(?::\s*string\s*)?=\s*'[A-Z_0-9]+')/g,
  /\b(?:return|throw)\s+\w+\((\s*'[A-Z0-9]+_[A-Z_0-9]+',)/g,
];

/** The codes of the errors that a source file makes, in its order. */
export function findErrorCodes(source: string): string[] {
  const { code, withStrings } = readSourceText(source);
  const found: { at: number; name: string }[] = [];
  for (const making of makings) {
    for (const match of withStrings.matchAll(making)) {
      if (code[match.index] !== withStrings[match.index]) continue;
      for (const [literal, name] of (match[1] as string).matchAll(/'([^'\\]*)'|["'`{]/g)) {
        if (name === undefined || !/^[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*$/.test(name)) break; // The message, or the parts.
        found.push({ at: match.index + match[0].indexOf(literal), name });
      }
    }
  }
  return [...new Set(found.sort((left, right) => left.at - right.at).map(({ name }) => name))];
}
