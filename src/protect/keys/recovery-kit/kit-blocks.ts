import { createHash } from 'node:crypto';
import { formatQuantity } from '../../../lib/index.ts';
import type { KitFacts, KitPlace } from './kit-facts.ts';
import { writeScript } from './kit-script.ts';

/** A part of the page. */
export type KitBlock =
  | { readonly kind: 'title' | 'heading' | 'text'; readonly text: string }
  | { readonly kind: 'facts'; readonly rows: readonly (readonly [name: string, value: string])[] }
  | { readonly kind: 'lines'; readonly lines: readonly string[] }
  | { readonly kind: 'code'; readonly caption: string; readonly content: string };

const KIND_WORDS = {
  passphrase: 'a passphrase',
  'key-file': 'a key file',
  age: 'an age identity',
  command: 'a key command',
} as const;

/** What precedes the checksum, which is of all the text before it. */
export const CHECKSUM_LABEL = 'SHA-256 of the text of this page up to here:';

/** The page, part by part. Its text alone is enough; the codes repeat what stands beside them. */
export function composeKit(facts: KitFacts): KitBlock[] {
  const body = [
    ...introduction(facts),
    ...identity(facts),
    ...keys(facts),
    { kind: 'heading', text: '3. What to type on an empty machine' },
    { kind: 'lines', lines: writeScript(facts) },
    ...places(facts),
    ...contents(facts),
    ...contacts(facts),
    { kind: 'heading', text: '7. Whether this page is right' },
    {
      kind: 'text',
      text: '`holdfast recovery-kit --check FILE` compares this page, as a file, or the key as you typed it, with the repository. Make a new one whenever a place or a key has changed.',
    },
  ] as const satisfies readonly KitBlock[];
  return [...body, { kind: 'text', text: `${CHECKSUM_LABEL} ${checksumOf(textOfBlocks(body))}` }];
}

/** The SHA-256 of a text however its lines are broken: runs of white space count as one blank. */
export function checksumOf(text: string): string {
  return createHash('sha256').update(text.replaceAll(/\s+/g, ' ').trim()).digest('hex');
}

/** All that stands on the page as plain text, one line for each line of it. */
export function textOfBlocks(blocks: readonly KitBlock[]): string {
  return blocks
    .flatMap((block): readonly string[] => {
      switch (block.kind) {
        case 'facts':
          return block.rows.map(([name, value]) => `${name}: ${value}`);
        case 'lines':
          return block.lines;
        case 'code':
          return [block.caption];
        default:
          return [block.text];
      }
    })
    .join('\n');
}

function introduction({ madeAt, version, repository, key }: KitFacts): KitBlock[] {
  const warning =
    key === null
      ? 'This page holds no key. Whoever has it knows where the backups are and can read none of them.'
      : 'This page holds a key. Whoever has it and can reach the store can read every backup: keep it like one, on paper, in a safe, and delete the file that it was printed from.';
  return [
    { kind: 'title', text: 'Recovery kit' },
    {
      kind: 'text',
      text: 'With this page, a machine, npm and the store, everything that the repository keeps can be restored, when all else is lost. Keep it where that cannot reach it, and not where the backups are.',
    },
    { kind: 'text', text: warning },
    {
      kind: 'facts',
      rows: [
        ['Made', new Date(madeAt).toISOString()],
        ['By', `Holdfast ${version}`],
        ['Repository', repository.id],
      ],
    },
  ];
}

function identity({ repository }: KitFacts): KitBlock[] {
  return [
    { kind: 'heading', text: '1. The repository' },
    {
      kind: 'facts',
      rows: [
        ['Repository id', repository.id],
        ['Created', repository.createdAt],
        ['SHA-256 of its object "format"', repository.formatSha256],
        ['Signing key', repository.signingKey],
        ['Epoch of its keys', String(repository.epoch)],
      ],
    },
    {
      kind: 'text',
      text: 'Holdfast checks "format" by itself. The signing key is what `holdfast keys list` prints: if it is another one, somebody has planted keys, and nothing there is to be trusted.',
    },
  ];
}

function keys({ key, slots }: KitFacts): KitBlock[] {
  const listed: KitBlock = {
    kind: 'facts',
    rows: slots.map(({ slot, kind, label, createdAt, recipients }) => [
      `Key slot ${slot}`,
      [
        `opened by ${slot === key?.slot ? 'the key of this page' : KIND_WORDS[kind]}`,
        ...(label === '' ? [] : [`"${label}"`]),
        `since ${createdAt}`,
        ...recipients,
      ].join(', '),
    ]),
  };
  if (key === null) return [{ kind: 'heading', text: '2. Keys that open it' }, listed];
  return [
    { kind: 'heading', text: '2. The key' },
    { kind: 'lines', lines: key.lines },
    { kind: 'code', caption: 'The same key, for a camera.', content: key.lines.join('\n') },
    {
      kind: 'text',
      text: 'Letters from A to Z without I, L, O and U, and digits. Small letters serve as well; blanks, dashes and line ends do not matter. The last character of each group is its check.',
    },
    { kind: 'text', text: 'Any one of these keys opens the repository:' },
    listed,
  ];
}

function places({ places: all }: KitFacts): KitBlock[] {
  return [
    { kind: 'heading', text: '4. Where it is' },
    ...all.flatMap((place, i): KitBlock[] => [
      { kind: 'facts', rows: [[i === 0 ? 'Primary' : `Copy ${place.name}`, place.location], ...partsOf(place)] },
      ...(/^[a-z0-9]+:\/\//.test(place.location)
        ? [{ kind: 'code', caption: `The address of ${place.name}, for a camera.`, content: place.location } as const]
        : []),
    ]),
  ];
}

function partsOf({ location, access }: KitPlace): [string, string][] {
  const rows: [string, string][] = [];
  if (/^(s3|azure):\/\//.test(location)) {
    const url = new URL(location);
    rows.push([location.startsWith('s3:') ? 'Bucket' : 'Account', url.host]);
    rows.push([
      location.startsWith('s3:') ? 'Prefix' : 'Container and prefix',
      url.pathname.replace(/^\//, '') || 'none',
    ]);
    for (const [name, value] of url.searchParams) rows.push([`Parameter ${name}`, value]);
  }
  if (access.kind === 'environment') return rows;
  for (const { name, value, secret } of access.variables) {
    rows.push([
      name,
      value === null ? 'not on this page; kept at ______________________' : secret ? 'in part 3' : value,
    ]);
  }
  return rows;
}

function contents({ clusters }: KitFacts): KitBlock[] {
  return [
    { kind: 'heading', text: '5. What it kept when this page was made' },
    clusters.length === 0
      ? { kind: 'text', text: 'Nothing yet.' }
      : {
          kind: 'facts',
          rows: clusters.map(({ name, serverVersion, bytes, snapshots, newestAt }) => [
            `Cluster ${name}`,
            `PostgreSQL ${serverVersion}, ${bytes} bytes, ${formatQuantity(snapshots, 'snapshot')}, the newest of ${newestAt}`,
          ]),
        },
  ];
}

function contacts({ contacts: people }: KitFacts): KitBlock[] {
  return [
    { kind: 'heading', text: '6. Who to call' },
    people.length === 0
      ? { kind: 'text', text: 'The plan names nobody. Write them here: ______________________________' }
      : { kind: 'lines', lines: people },
  ];
}
