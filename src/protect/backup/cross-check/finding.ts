import { formatLsn } from '../../../postgres/index.ts';
import type { ForkName } from '../../wal/index.ts';

/**
 * Why a block is not what it should be:
 * - `not-sent`: the WAL changes it, and the server left it out of an increment.
 * - `not-whole`: its file was made anew, and the server sent changes of it as if it had not been.
 * - `regrown`: it was cut off and is there again, and the server left it to be taken from before.
 * - `differs`: the WAL does not change it, and it is not what it was.
 */
export type FindingKind = 'not-sent' | 'not-whole' | 'regrown' | 'differs';

/** A block about which two witnesses do not agree. */
export interface Finding extends ForkName {
  readonly kind: FindingKind;
  /** The file in the snapshot's tree. */
  readonly path: string;
  /** Counted from the start of the fork. */
  readonly block: number;
  /** Where the last record begins that changes the block or cuts it off, in the range that was looked at; null when there is none. */
  readonly lsn: bigint | null;
  /** In words, `table "public.item"`; null when that could not be asked. */
  readonly relation: string | null;
}

/** All findings of one check, of which the first are told one by one. */
export interface Findings {
  /** The range of WAL: from where the older backup begins to where the newer does. */
  readonly from: bigint;
  readonly to: bigint;
  readonly count: number;
  readonly first: readonly Finding[];
}

/** So many findings are told one by one: enough to see what is the matter. */
const TOLD_MAX = 20;

/** Findings as they come: all are counted, and the first kept. */
export class FindingList<Found> {
  readonly first: Found[] = [];
  readonly #toldMax: number;
  #count = 0;

  constructor(toldMax = TOLD_MAX) {
    this.#toldMax = toldMax;
  }

  get count(): number {
    return this.#count;
  }

  add(finding: Found): void {
    this.#count += 1;
    if (this.first.length < this.#toldMax) this.first.push(finding);
  }
}

const WORDS: Readonly<Record<FindingKind, string>> = {
  'not-sent': 'the WAL changes it, and the server did not send it',
  'not-whole': 'its file was made anew, and the server sent only changes of it',
  regrown: 'it was cut off and is there again, and the server did not send it',
  differs: 'no WAL changes it, and it is not what it was',
};

/** One line for people. */
export function describeFinding(finding: Finding): string {
  const { kind, path, block, lsn, relation } = finding;
  const of = relation === null ? `file "${path}"` : `${relation} (file "${path}")`;
  const at = lsn === null ? '' : `, last at ${formatLsn(lsn)}`;
  return `block ${block} of ${of}: ${WORDS[kind]}${at}`;
}

/** What the repository keeps of findings, as JSON. */
export function findingsFacts({ from, to, count, first }: Findings) {
  return {
    ...{ from: formatLsn(from), to: formatLsn(to), count },
    first: first.map(({ lsn, ...finding }) => ({ ...finding, lsn: lsn === null ? null : formatLsn(lsn) })),
  };
}
