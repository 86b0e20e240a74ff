import type { LintedPlan, Occurrence, Rule } from '../finding.ts';
import { formatList } from '../words.ts';

/** What stands in the texts of a plan. */
export const textRules: readonly Rule[] = [
  {
    id: 'secret-in-the-clear',
    severity: 'error',
    means: 'A secret stands in the plan itself.',
    why: 'Everybody who reads the plan, its history or a printed runbook has it.',
    settle: 'Change the secret, as it is known by now, and refer to it: { env }, { file } or { command }.',
    find: (plan) =>
      listTexts(plan).flatMap(({ option, text }) =>
        secretForms.some((form) => form.test(text))
          ? [{ at: [option], says: 'What stands here looks like a secret.' }]
          : [],
      ),
  },
  {
    id: 'placeholder',
    severity: 'error',
    means: 'Something was never filled in.',
    why: 'It reads as if it were settled, and on the day on which it is needed it leads nowhere.',
    settle: 'Fill it in, or take it away.',
    find: (plan) =>
      perEntry(listProse(plan), isPlaceholder, (count) => (count === 1 ? 'a placeholder' : `${count} placeholders`)),
  },
  {
    id: 'example-address',
    severity: 'note',
    means: 'An address lies at a domain that is reserved for examples.',
    why: 'Nobody ever gets what is sent there.',
    settle: 'Give the real address, unless the plan is an example.',
    find: (plan) =>
      perEntry(listProse(plan), isAtExampleDomain, (count) =>
        count === 1 ? 'an address at an example domain' : `${count} addresses at example domains`,
      ),
  },
];

interface StatedText {
  readonly option: string;
  readonly path: string;
  readonly text: string;
}

/** Every text that somebody wrote, also those inside of lists. */
function listTexts({ stated }: LintedPlan): StatedText[] {
  return stated.flatMap(({ option, path, meaning, origin }): StatedText[] => {
    if (origin === null) return [];
    // Of a value that must not be shown the meaning is known all the same: a secret in the clear is such a value.
    const value: unknown = JSON.parse(meaning);
    if (typeof value === 'string') return [{ option, path, text: value }];
    if (!Array.isArray(value)) return [];
    return value.flatMap((each: unknown, index) =>
      typeof each === 'string' ? [{ option: `${option}[${index}]`, path, text: each }] : [],
    );
  });
}

/** Those without commands, SQL and patterns of files, in which brackets and names mean something else. */
function listProse(plan: LintedPlan): StatedText[] {
  return listTexts(plan).filter(({ path }) => !/(command|\.query|^application\.configuration)$/.test(path));
}

/** Names in the domains that nobody can have (RFC 2606). */
function isAtExampleDomain(text: string): boolean {
  return /(^|@|:\/\/)(([a-z0-9-]+\.)+(example|invalid|test)|([a-z0-9-]+\.)*example\.(com|net|org))(?=[/:?]|$)/i.test(
    text,
  );
}

/** One finding for each entry of a list of the plan, as whoever fills in one line fills in all of it. */
function perEntry(
  texts: readonly StatedText[],
  isMeant: (text: string) => boolean,
  what: (count: number) => string,
): Occurrence[] {
  const groups = Map.groupBy(
    texts.filter(({ text }) => isMeant(text)),
    ({ option }) => /^[^[]*(\[\d+\])?/.exec(option)![0],
  );
  return [...groups].map(([entry, found]) => {
    const keys = formatList(found.map(({ option }) => option.slice(entry.length).replace(/^\./, '')).filter(Boolean));
    return {
      at: found.map(({ option }) => option),
      says: `"${nameOf(found[0]!)}" has ${what(found.length)}${keys === '' ? '' : ` (${keys})`}.`,
    };
  });
}

/** What people call an entry: `contacts.cto` of `contacts.cto.phone`. */
function nameOf({ path }: StatedText): string {
  return path.split('.').slice(0, 2).join('.');
}

/** Words in brackets, the usual words for "later", and hosts that stand for one's own. */
const placeholderForms: readonly RegExp[] = [
  /\[[A-Za-z]+( [A-Za-z]+)*\]/,
  /<[a-z]+([ _-][a-z]+)*>/i,
  /\b(T(ODO|BD)|FILL[ _]?ME|CHANGE[ _]?ME|changeme)\b/,
  /\byour-[a-z-]+/i,
  /\bx{4,}\b|\+?\b0{6,}\b/i,
];

function isPlaceholder(text: string): boolean {
  return placeholderForms.some((form) => form.test(text));
}

/** What secrets of known services look like, and passwords in addresses and lines of commands. */
const secretForms: readonly RegExp[] = [
  /[a-z][a-z0-9+.-]*:\/\/[^/@\s]*:[^/@\s]+@/i,
  /https:\/\/hooks\.slack\.com\/services\/T[A-Z0-9]+\/B[A-Z0-9]+\/\w+/,
  /https:\/\/[a-z0-9.-]*webhook\.office\.com\/webhookb2\/\S{20,}/i,
  /https:\/\/discord(app)?\.com\/api\/webhooks\/\d+\/\S{20,}/i,
  /\b(AKIA|ASIA)[A-Z0-9]{16}\b/,
  /\b(ghp|gho|ghs|ghu)_[A-Za-z0-9]{30,}|\bgithub_pat_\w{30,}|\bglpat-[\w-]{20,}/,
  /\bxox[abpr]-[\w-]{10,}/,
  /\b(sk|rk)_live_\w{10,}|\bshp(at|ss|ca|pa)_[a-f0-9]{20,}/,
  /-----BEGIN [A-Z ]*PRIVATE KEY-----|AGE-SECRET-KEY-1/,
  // Neither what a variable or a command gives, in quotes or not, nor a text with nothing in it.
  /(^|[\s?&;,-])\w*(password|passphrase|passwd|secret|token|api[_-]?key)\s*=\s*(?!["']?[$<[{`%]|(''|"")(\W|$))[^\s&]/i,
];
