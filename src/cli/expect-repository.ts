import { codeOf } from '../lib/index.ts';
import type { ResolvedPlace, ResolvedPlan } from '../plan/index.ts';
import type { ObjectStore } from '../repository/index.ts';
import type { Reporter } from './reporter.ts';

/** Where a repository is said to lie, and where what was seen there is remembered. */
interface ExpectingPlan {
  readonly stateDirectory: ResolvedPlan['stateDirectory'];
  readonly repository: { readonly primary: Pick<ResolvedPlace, 'name' | 'location'> | null };
}

/** What was opened, and where the primary can be asked by itself; `null` where it is known to be away. */
interface Opened {
  readonly id: string;
  readonly description: string;
  readonly primary: ObjectStore | null;
}

/**
 * Makes sure that the repository of a plan is the one that was at its address before.
 *
 * Who only reads is told of another one, and goes on: after a disaster it may be what there is. Who writes is refused, and remembers the first one that
 * the primary itself shows: what was opened may lie in a copy.
 * Errors: `REPOSITORY_OTHER`; `STATE_UNREADABLE`, `STATE_UNWRITABLE` for who writes.
 */
export async function expectRepository(
  { stateDirectory, repository }: ExpectingPlan,
  opened: Opened,
  how: { readonly writes: boolean; readonly reporter: Pick<Reporter, 'say' | 'emit'> },
): Promise<void> {
  const { primary } = repository;
  if (primary === null) return;
  const { KnownPlaces, otherRepository } = await import('../ledger/index.ts');
  const places = new KnownPlaces(stateDirectory);
  const read = await (how.writes ? places.read(primary.location) : readQuietly(places, primary));
  if (read === opened.id || (read === null && !how.writes)) return;
  // Asked only where it matters, as it is a request.
  const isShown = opened.primary !== null && (await idShownBy(opened.primary)) === opened.id;
  const known = read === null && isShown ? await places.remember(primary.location, opened.id) : read;
  if (known === null || known === opened.id) return;
  const place = isShown ? 'primary' : 'copies';
  const error = otherRepository(opened.description, { expected: known, found: opened.id, place });
  if (how.writes) throw error;
  how.reporter.emit('place', {
    kind: 'other-repository',
    place: primary.name,
    message: error.message,
    code: error.code,
  });
  const where = isShown
    ? `${opened.description} holds another repository than before`
    : 'The copies hold another repository than the primary did';
  how.reporter.say((paint) => [`${paint.warning('!')} ${where}: expected ${known}, found ${opened.id}.`]);
}

/** The same for who opens no repository: what `format` says is looked at. What cannot be read is for others to tell. */
export async function warnOfOther(
  plan: ResolvedPlan,
  store: ObjectStore,
  reporter: Pick<Reporter, 'say' | 'emit'>,
): Promise<void> {
  const id = await idShownBy(store);
  if (id === null) return;
  const opened = { id, description: store.description, primary: store };
  await expectRepository(plan, opened, { writes: false, reporter });
}

/** `null` for a place that does not answer, and for one without a `format` that is whole. */
export async function idShownBy(store: ObjectStore): Promise<string | null> {
  const { FORMAT_NAME, readFormatHead } = await import('../repository/index.ts');
  const format = await store.get(FORMAT_NAME).catch(() => null);
  const head = format === null ? null : readFormatHead(format);
  return head?.state === 'ours' ? head.id : null;
}

/** Who only reads need have no state directory, and may not be let into it. */
async function readQuietly(
  places: { read(location: string): Promise<string | null> },
  { location }: { location: string },
): Promise<string | null> {
  try {
    return await places.read(location);
  } catch (error) {
    if (codeOf(error) === 'STATE_UNREADABLE') return null;
    throw error;
  }
}
