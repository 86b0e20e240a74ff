/** Where a check looked. */
export type Area = 'server' | 'rights' | 'host' | 'keys' | 'store' | 'protection';

/**
 * What came of a check. `ok`: it was looked at and is as it should be. `warning`: all is well, and yet. `problem`: something would be lost, or cannot be
 * done. `unseen`: it could not be looked at, so nothing is said about it.
 */
export type Verdict = 'ok' | 'warning' | 'problem' | 'unseen';

/**
 * One thing that mends a finding. `sql` is one statement for an administrator of the server, `shell` one line for the shell of the host that the
 * sentence speaks of, `advice` a sentence where no command can do it alone.
 */
export interface Mend {
  readonly kind: 'sql' | 'shell' | 'advice';
  readonly text: string;
}

/** What was found out about one thing. */
export interface Check {
  readonly area: Area;
  /** Kebab-case, for programs; the same thing has the same code whatever the verdict. */
  readonly code: string;
  readonly verdict: Verdict;
  /** What is so, one whole sentence. */
  readonly sentence: string;
  readonly found: string | null;
  readonly expected: string | null;
  /** Which loss it prevents, one whole sentence; `null` where all is well. */
  readonly why: string | null;
  /** In the order in which they are to be done. */
  readonly mends: readonly Mend[];
}

/** The parts of a finding that is no `ok`. */
export interface FindingParts {
  readonly found?: string;
  readonly expected?: string;
  readonly why: string;
  readonly mends: readonly Mend[];
}

/** Makes the checks of one area, one method for each verdict. */
export interface CheckMaker {
  ok(code: string, sentence: string): Check;
  unseen(code: string, sentence: string): Check;
  warning(code: string, sentence: string, parts: FindingParts): Check;
  problem(code: string, sentence: string, parts: FindingParts): Check;
}

export function checksOf(area: Area): CheckMaker {
  const make = (verdict: Verdict, code: string, sentence: string, parts?: FindingParts): Check => ({
    ...{ area, code, verdict, sentence },
    found: parts?.found ?? null,
    expected: parts?.expected ?? null,
    why: parts?.why ?? null,
    mends: parts?.mends ?? [],
  });
  return {
    ok: (code, sentence) => make('ok', code, sentence),
    unseen: (code, sentence) => make('unseen', code, sentence),
    warning: (code, sentence, parts) => make('warning', code, sentence, parts),
    problem: (code, sentence, parts) => make('problem', code, sentence, parts),
  };
}

export const sql = (text: string): Mend => ({ kind: 'sql', text });
export const shell = (text: string): Mend => ({ kind: 'shell', text });
export const advice = (text: string): Mend => ({ kind: 'advice', text });

/** The statement that sets a parameter of the server for good, and the one that makes the server read it. */
export function setParameter(name: string, value: string): Mend[] {
  return [sql(`ALTER SYSTEM SET ${name} = ${quoteLiteral(value)};`), sql('SELECT pg_reload_conf();')];
}

/**
 * A text as a literal of SQL, whatever `standard_conforming_strings` says.
 * Source: PostgreSQL manual, "String Constants"; quote.c, quote_literal.
 */
export function quoteLiteral(text: string): string {
  const doubled = text.replaceAll("'", "''");
  return text.includes('\\') ? `E'${doubled.replaceAll('\\', '\\\\')}'` : `'${doubled}'`;
}

/** A name as SQL takes it; in quotes unless it is plain, as a key word may look plain: then it is quoted, too. */
export function quoteIdentifier(name: string): string {
  return /^[a-z_][a-z0-9_]*$/.test(name) && !keyWords.has(name) ? name : `"${name.replaceAll('"', '""')}"`;
}

/** Reserved key words that somebody may well give to a role, a database or a table. Source: PostgreSQL manual, "SQL Key Words". */
const keyWords = new Set(
  'all analyse analyze and any array as asc authorization between binary both case cast check collate collation column concurrently constraint create cross current_user default deferrable desc distinct do else end except false fetch for foreign freeze from full grant group having ilike in initially inner intersect into is isnull join lateral leading left like limit localtime natural not notnull null offset on only or order outer overlaps placing primary references returning right select session_user similar some symmetric table tablesample then to trailing true union unique user using variadic verbose when where window with'.split(
    ' ',
  ),
);

/** A word as a POSIX shell takes it. */
export function quoteWord(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
