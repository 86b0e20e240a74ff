import { decodeKeyText } from '../../../repository/index.ts';
import { CHECKSUM_LABEL, checksumOf } from './kit-blocks.ts';
import { SCRIPT_BEGIN } from './kit-script.ts';

/** What a page says, or a key that somebody typed from one. */
export type ReadKit =
  | {
      readonly kind: 'page';
      /** Whether its text is what its checksum was made of; `null` without a checksum. */
      readonly isWhole: boolean | null;
      readonly madeAt: string | null;
      readonly repository: string | null;
      readonly formatSha256: string | null;
      readonly signingKey: string | null;
      readonly slots: readonly string[];
      readonly locations: readonly string[];
      /** The key that it holds; `problem` when it cannot be read. */
      readonly key: TypedKey | null;
    }
  | { readonly kind: 'key'; readonly key: TypedKey }
  | { readonly kind: 'neither' };

export type TypedKey = { readonly bytes: Uint8Array } | { readonly problem: string };

/** Reads a kit as a file of HTML, as its plain text, or as nothing but its key. */
export function readKit(text: string): ReadKit {
  const plain = textOfPage(text);
  if (!plain.includes(SCRIPT_BEGIN) && !plain.includes('Repository id:')) return readKeyAlone(plain);
  const flat = plain.replaceAll(/\s+/g, ' ');
  const find = (pattern: RegExp) => pattern.exec(flat)?.[1] ?? null;
  const [body, rest] = plain.split(CHECKSUM_LABEL, 2);
  const stated = /^\s*([0-9a-f]{64})/.exec(rest ?? '')?.[1];
  return {
    kind: 'page',
    isWhole: stated === undefined ? null : checksumOf(body!) === stated,
    madeAt: find(/Made: (\S+Z)/),
    repository: find(/Repository id: ([0-9a-f]{32})/),
    formatSha256: find(/object "format": ([0-9a-f]{64})/),
    signingKey: find(/Signing key: ([0-9a-f]{64})/),
    slots: [...flat.matchAll(/Key slot ([0-9a-f]{32}):/g)].map(([, slot]) => slot!),
    locations: [...plain.matchAll(/^\s*(?:Primary|Copy [a-z0-9-]+): (.+?)\s*$/gm)].map(([, location]) => location!),
    key: readKey(plain),
  };
}

/** The text of a page of ours, a line for each of its lines; text that is no HTML stays as it is. */
export function textOfPage(html: string): string {
  if (!/<html|<body/i.test(html)) return html;
  return html
    .replaceAll(/<(style|title|svg)\b[\s\S]*?<\/\1>/gi, '')
    .replaceAll(/<\/(h1|h2|p|pre|tr|figure)>/gi, '\n')
    .replaceAll(/<[^>]*>/g, '')
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&quot;', '"')
    .replaceAll('&amp;', '&')
    .split('\n')
    .map((line) => line.trimEnd())
    .filter((line) => line !== '')
    .join('\n');
}

const KEY_LINES = /^ *((?:[0-9A-Z]{5}-){6}[0-9A-Z]{5})\s*\n\s*((?:[0-9A-Z]{5}-){6}[0-9A-Z]{5}) *$/im;

function readKey(plain: string): TypedKey | null {
  const found = KEY_LINES.exec(plain);
  return found === null ? null : typed(`${found[1]}\n${found[2]}`);
}

function readKeyAlone(plain: string): ReadKit {
  const text = plain.trim();
  if (/^[0-9a-f]{64}$/i.test(text)) return { kind: 'key', key: { bytes: Buffer.from(text, 'hex') } };
  if (text.length < 40 || text.length > 200) return { kind: 'neither' };
  return { kind: 'key', key: typed(text) };
}

function typed(text: string): TypedKey {
  const decoded = decodeKeyText(text);
  return 'key' in decoded ? { bytes: decoded.key } : decoded;
}
