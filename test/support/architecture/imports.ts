import { readSourceText } from './source-text.ts';

/** Every way in which one file names another; types count, and so does the file of a worker. */
const importForms = [
  /\b(?:import|export)\b[^'"`;]*?\bfrom\s*(['"])(.*?)\1/g,
  /\bimport\s*(['"])(.*?)\1/g,
  /\bimport\s*\(\s*(['"])(.*?)\1/g,
  /\bnew\s+URL\s*\(\s*(['"])(.*?)\1\s*,\s*import\.meta\.url/g,
];

/** The names that a file imports, as they are written, each once. */
export function listImports(source: string): string[] {
  const { code, withStrings } = readSourceText(source);
  const names = new Set<string>();
  for (const form of importForms) {
    for (const match of withStrings.matchAll(form)) {
      // The first word must stand in the program and not inside a string that only looks like one.
      if (code[match.index] === withStrings[match.index]) names.add(match[2] as string);
    }
  }
  return [...names];
}

/** What domain code must not reach for, as it could then not be tested: real time and real chance. */
const worldlyCalls: readonly [RegExp, string][] = [
  [/\bDate\s*\.\s*now\b/, 'Date.now'],
  [/\bnew\s+Date\s*(?:\(\s*\)|[^\s(\w])/, 'new Date()'],
  [/\bperformance\s*\.\s*now\b/, 'performance.now'],
  [/\bMath\s*\.\s*random\b/, 'Math.random'],
  [/\bsetTimeout\b/, 'setTimeout'],
  [/\bsetInterval\b/, 'setInterval'],
];

/** Which of them a file uses. */
export function listWorldlyCalls(source: string): string[] {
  const { code } = readSourceText(source);
  return worldlyCalls.filter(([pattern]) => pattern.test(code)).map(([, name]) => name);
}
