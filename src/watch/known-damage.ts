import { z } from 'zod';
import { formatQuantity } from '../lib/index.ts';
import { listKnownDamage, type Repository } from '../repository/index.ts';
import type { Finding } from './status.ts';

/** So many damaged objects are told one by one; a disk that fails has thousands. */
const toldMax = 5;

const verifyAdvice = 'Run holdfast verify --all to see what it costs.';
const pastAdvice =
  'Run holdfast repository heal if the server still has it, or holdfast wal rescue with its data directory.';
const healAdvice = 'Run holdfast backup, or holdfast repository heal; then holdfast verify --all says what is healed.';

/**
 * What is recorded as damaged, each with its cost in one line. What is healed is not told, and nothing is read again here.
 *
 * `toldAlready`: objects of which the reader hears anyway. Errors: those of the store.
 */
export async function describeKnownDamage(
  repository: Repository,
  toldAlready: ReadonlySet<string>,
): Promise<Finding[]> {
  const known = await listKnownDamage(repository);
  const unjudged = known.filter(({ note }) => note === null).length;
  const notes = known.flatMap(({ note }) => (note === null || toldAlready.has(note.object) ? [] : [note]));
  const past = notes.filter((note) => note.state === 'harmful' && isPast(note.facts));
  const harmful = notes.filter((note) => note.state === 'harmful' && !isPast(note.facts));
  const harmless = notes.filter(({ state }) => state === 'harmless').length;
  const more = harmful.length - toldMax;
  return [
    ...harmful
      .slice(0, toldMax)
      .map(({ object, sentence }) => problem('damage', `${object} is damaged. ${sentence}`, healAdvice)),
    ...(more <= 0
      ? []
      : [problem('damage', `${formatQuantity(more, 'more object')} cost something, too.`, verifyAdvice)]),
    ...(unjudged === 0
      ? []
      : [
          problem(
            'damage-unjudged',
            `${countObjects(unjudged)} recorded as damaged, at a cost not known yet.`,
            verifyAdvice,
          ),
        ]),
    ...past
      .slice(0, toldMax)
      .map(({ object, sentence }) => notice('damage-past', `${object} is damaged. ${sentence}`, pastAdvice)),
    ...(harmless === 0
      ? []
      : [
          notice(
            'damage-harmless',
            `${countObjects(harmless)} damaged, and nothing that is needed is lost by it.`,
            null,
          ),
        ]),
  ];
}

/** The snapshots that cannot be restored whole, as far as damage was found and its cost is known. Errors: those of the store. */
export async function findHarmedSnapshots(repository: Repository): Promise<Set<string>> {
  const known = await listKnownDamage(repository);
  const harmful = known.flatMap(({ note }) => (note?.state === 'harmful' ? [harmFacts.safeParse(note.facts)] : []));
  return new Set(harmful.flatMap(({ data }) => data?.snapshots.map(({ snapshot }) => snapshot) ?? []));
}

const harmFacts = z.object({ snapshots: z.array(z.object({ snapshot: z.string() })) });

/** WAL with a newer backup behind it: as with an old gap, nothing that is done now depends on it, and an alarm that never ends is no alarm. */
function isPast(facts: unknown): boolean {
  const read = pastFacts.safeParse(facts);
  return read.success && read.data.snapshots.length === 0 && read.data.wal.length > 0;
}

const pastFacts = z.object({ snapshots: z.array(z.unknown()), wal: z.array(z.object({ past: z.literal(true) })) });

function countObjects(count: number): string {
  return count === 1 ? 'One object is' : `${count} objects are`;
}

function problem(code: string, sentence: string, advice: string): Finding {
  return { severity: 'problem', code, sentence, advice };
}

function notice(code: string, sentence: string, advice: string | null): Finding {
  return { severity: 'notice', code, sentence, advice };
}
