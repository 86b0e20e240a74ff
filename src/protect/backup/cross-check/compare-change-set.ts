import { type ChangeSet, type ForkChanges, firstAtOrAbove, forkKey } from '../../wal/index.ts';
import type { SentFile } from '../increment/index.ts';
import { type Finding, type FindingKind, FindingList } from './finding.ts';
import { forkOfFile, SEGMENT_BLOCKS } from './fork-of-file.ts';

/** A finding that nobody has looked up yet. */
export type RawFinding = Omit<Finding, 'lsn' | 'relation'>;

/** What a comparison came to: so many findings, of which so many are told as were asked for. */
export interface Comparison {
  readonly count: number;
  readonly first: readonly RawFinding[];
  /**
   * Of the findings, those that PostgreSQL's defect does not explain: it forgets blocks that were written behind a cut, and no others (`docs/increments.md`).
   */
  readonly unexplained: number;
  /** Blocks that were looked for. */
  readonly blocks: number;
}

/**
 * Holds what a server sent as an increment against what the WAL changes in the same range (rule A9). More may have been sent, never less:
 *
 * - A fork that was made anew or cut before a file of it must have sent that file whole, and so must all files of a database that was.
 * - Each block that a record names must have been sent, if the file still has it.
 * - A block that was cut off and is there again must have been sent, or the base's would stand in its place, where the base has one.
 *
 * Files that came whole, and files that did not come as they are no longer there, need no comparison. `baseBlocks` gives how many blocks the base has
 * of a file. `later` is what the WAL changes from the increment's start to its end, null where that is not known: a file that was cut once more in it may have
 * been shorter when it was sent.
 */
export function compareChangeSet(
  set: ChangeSet,
  sent: Iterable<SentFile>,
  options: { baseBlocks: (path: string) => number; later: ChangeSet | null; findingsMax?: number },
): Comparison {
  const byFork = new Map(set.map((fork) => [forkKey(fork), fork]));
  const laterByFork = options.later === null ? null : new Map(options.later.map((fork) => [forkKey(fork), fork]));
  const findings = new FindingList<RawFinding>(options.findingsMax);
  let [blocks, explained] = [0, 0];
  for (const file of sent) {
    if (file.changes === null) continue;
    const { name, base } = forkOfFile(file.file);
    const changes = byFork.get(forkKey(name));
    const found = (kind: FindingKind, block: number) => {
      if (kind === 'not-sent' && base + block >= (changes?.limit ?? Number.POSITIVE_INFINITY)) explained += 1;
      findings.add({ kind, ...name, path: file.path, block: base + block });
    };
    const ofDatabase = byFork.get(forkKey({ ...name, relationNumber: 0, fork: 0 }));
    if (ofDatabase !== undefined || (changes?.limit ?? Number.POSITIVE_INFINITY) <= base) found('not-whole', 0);
    else if (changes !== undefined) {
      // The server cuts nothing before the record that says so is on its disk.
      const laterCut =
        laterByFork === null ? base : (laterByFork.get(forkKey(name))?.limit ?? Number.POSITIVE_INFINITY);
      blocks += compareFile(changes, file, { ...options, base, laterCut: laterCut - base, found });
    }
  }
  const { count, first } = findings;
  return { count, first, unexplained: count - explained, blocks };
}

/** Blocks are counted from the file's start here. Gives how many were looked for. */
function compareFile(
  { limit, blocks }: ForkChanges,
  { path, blockCount, changes }: SentFile,
  options: {
    base: number;
    /** Where the file was cut while it was sent, or may have been. */
    laterCut: number;
    baseBlocks: (path: string) => number;
    found: (kind: FindingKind, block: number) => void;
  },
): number {
  const { base, laterCut, found } = options;
  const { blocks: sent, truncationLength } = changes!;
  const cut = limit === null ? null : limit - base;
  const from = firstAtOrAbove(blocks, base);
  const to = firstAtOrAbove(blocks, base + blockCount);
  // The truncation length is the file's length, or where it was cut if that is more. It is more only where the file was cut once more while it was sent: then
  // what lies behind that and behind the last block may have been gone.
  const isLengthKnown = cut === null || Math.min(cut, SEGMENT_BLOCKS) !== truncationLength;
  const lengthMin = isLengthKnown ? blockCount : Math.max(Math.min(blockCount, laterCut), (sent.at(-1) ?? -1) + 1);
  for (let i = from, at = 0; i < to; i++) {
    const block = (blocks[i] as number) - base;
    while (at < sent.length && (sent[at] as number) < block) at += 1;
    if (sent[at] !== block && block < lengthMin) found('not-sent', block);
  }
  const isNamed = (block: number) => blocks[firstAtOrAbove(blocks, base + block)] === base + block;
  // Behind the truncation length nothing is taken from the base.
  const end = Math.min(truncationLength, options.baseBlocks(path));
  if (cut !== null) findRegrown({ cut, sent, end, isNamed }, found);
  return to - from;
}

/** Blocks from where the file was cut up to its length that would be taken from the base. Those that a record names were looked for already. */
function findRegrown(
  { cut, sent, end, isNamed }: { cut: number; sent: Uint32Array; end: number; isNamed: (block: number) => boolean },
  found: (kind: FindingKind, block: number) => void,
): void {
  let at = firstAtOrAbove(sent, cut);
  for (let block = cut; block < end; block++) {
    if (sent[at] === block) at += 1;
    else if (!isNamed(block)) found('regrown', block);
  }
}
