import {
  assert,
  formatBytes,
  formatDuration,
  formatQuantity,
  HoldfastError,
  parseBytes,
  withHint,
} from '../../lib/index.ts';
import type { StorePlace, SyncResult } from '../../repository/index.ts';
import { bringBackupsHome, broughtDocument } from '../bring-home.ts';
import type { Command, CommandContext, CommandInput } from '../command.ts';
import { failedCopyText, placeErrorDocument } from '../copies-text.ts';
import { exitReasonOf } from '../exit-code.ts';
import { idShownBy } from '../expect-repository.ts';
import { chooseCopies, isAnythingWaiting, openPlaceList, spoolDirectory } from '../open-places.ts';
import type { Json, Paint } from '../output/index.ts';
import { refusePrimaryAway } from '../refuse-primary-away.ts';
import { describeWaiting, findWaiting, type UnreadWal } from '../waiting-wal.ts';

/** Below it one piece of 4 MiB would take more than a minute, and a user who meant megabytes wrote bytes. */
const RATE_MIN = 64 << 10;

/** What became of one copy. */
interface Synced {
  readonly name: string;
  readonly result: SyncResult | null;
  readonly error: HoldfastError | null;
  readonly seconds: number;
}

/** `holdfast copies sync`. */
export const copiesSync: Command = {
  path: ['copies', 'sync'],
  summary: 'Bring to copies what they lack; a place that is empty becomes a copy.',
  details: [
    'A running holdfast wal stream and every backup do this by themselves; this is for a copy that is new, or that was cut off while nothing ran.',
    'With --create the directory of a new copy is made; without it one that is not there is taken for a disk that is not mounted.',
    'It ends with 3 when a copy has other bytes than the primary, or when something of an outage could not be brought to the primary and waits still; with 1 when a copy could not be brought up to date, and with 4 when one is of another repository.',
    'Nothing is overwritten and nothing is deleted. It may be stopped at any time, and goes on where it was.',
    'No key is needed; where one is given, WAL that an outage left on this machine is handed over to the primary first, and backups that were taken into a copy meanwhile are brought there.',
  ],
  examples: [
    { line: 'holdfast copies sync', does: 'Every copy, one after the other.' },
    { line: 'holdfast copies sync west --create', does: 'A new copy, in a directory that is made for it.' },
    { line: 'holdfast copies sync west --max-rate 20MiB', does: 'The copy "west" alone, with room left on the line.' },
  ],
  access: 'places',
  usesKeyIfGiven: true,
  leavesCopies: true,
  bringsToCopies: true,
  database: 'none',
  arguments: [{ name: '[name]', help: 'The copy. (default: all of them)' }],
  flags: [
    { flag: '--create', help: 'Make the directories of copies that are not there yet.' },
    {
      flag: '--max-rate <bytes>',
      help: 'The most that is brought in a second, taken over some seconds: 50MiB. WAL that waits on this machine goes as fast as it can.',
    },
  ],
  run: async (context, input) => {
    const chosen = chooseCopies(context.plan, input.optional('name'));
    const bytesPerSecond = readRate(input);
    const [primary, ...copies] = await openPlaceList(context.plan, context);
    await refusePrimaryAway('bring anything to the copies', primary!.store);
    const waiting = await handOverFirst(context, primary!);
    const brought = await bringHomeFirst(context, primary!, copies, bytesPerSecond);
    const synced: Synced[] = [];
    for (const copy of copies)
      if (chosen.has(copy.name))
        synced.push(await sync(context, primary!, copy, { creates: input.isSet('create'), bytesPerSecond }));
    const isHome = brought.every(({ error }) => error === null);
    const isWhole =
      isHome && waiting === null && synced.every(({ result }) => result !== null && result.differing.length === 0);
    const failure = synced.find(({ error }) => error !== null)?.error;
    return {
      reason: failure !== undefined ? exitReasonOf(failure) : isWhole ? 'done' : 'problemFound',
      json: {
        waiting: waitingDocument(waiting),
        broughtHome: brought.map(broughtDocument),
        copies: synced.map(({ name, result, error, seconds }) => ({
          name,
          ...{ objects: result?.objects ?? null, bytes: result?.bytes ?? null },
          ...{ differing: result?.differing ?? null, seconds, error: placeErrorDocument(error) },
        })),
      },
      text: (paint) => [...synced.flatMap((each) => syncedText(each, paint)), ...waitingText(waiting, paint)],
    };
  },
};

/** What waits on this machine is compared with the primary before it goes there, for which it has to be read. Gives what waits still. */
async function handOverFirst(context: CommandContext, primary: StorePlace): Promise<UnreadWal | null> {
  const directory = spoolDirectory(context.plan);
  if (!(await isAnythingWaiting(directory))) return null;
  if (context.plan.repository.credential === null) return await findWaitingWithoutKey(directory, primary.store);
  await context.open();
  return context.unreadWal;
}

/** Of other repositories nothing is said. */
async function findWaitingWithoutKey(directory: string, primary: StorePlace['store']): Promise<UnreadWal | null> {
  const id = await idShownBy(primary);
  return id === null ? null : await findWaiting(directory, id, 'no key was given to compare it with the primary');
}

/** Backups that were taken while the primary was away go there before the other way is gone; to read their records takes a key. */
async function bringHomeFirst(
  context: CommandContext,
  primary: StorePlace,
  copies: readonly StorePlace[],
  bytesPerSecond: number | null,
) {
  if (!(await isAnyListedByCopiesAlone(primary, copies))) return [];
  if (context.plan.repository.credential !== null) {
    const repository = await context.open();
    const { plan, clock, progress, signal } = context;
    const rate = bytesPerSecond === null ? {} : { bytesPerSecond };
    return bringBackupsHome({ repository, plan, clock, progress, signal, ...rate });
  }
  context.progress.note('copies list snapshots that the primary lacks: give the key to bring those of an outage there');
  return [];
}

async function isAnyListedByCopiesAlone(primary: StorePlace, copies: readonly StorePlace[]): Promise<boolean> {
  const { isPlaceTrouble, kindPrefix, listOnlyInCopy } = await import('../../repository/index.ts');
  for (const { store } of copies) {
    try {
      if ((await listOnlyInCopy(primary.store, store, kindPrefix('snapshot-committed'))).length > 0) return true;
    } catch (error) {
      // A copy that does not answer is told where it is brought up to date.
      if (!isPlaceTrouble(error)) throw error;
    }
  }
  return false;
}

/** A copy that fails is part of the answer: the others are brought up to date all the same. */
async function sync(
  context: CommandContext,
  primary: StorePlace,
  copy: StorePlace,
  { creates, bytesPerSecond }: { creates: boolean; bytesPerSecond: number | null },
): Promise<Synced> {
  const { syncCopy } = await import('../../repository/index.ts');
  const { clock, progress, signal } = context;
  const begun = clock.monotonic();
  progress.begin(`bringing to "${copy.name}"`);
  const seconds = () => (clock.monotonic() - begun) / 1000;
  try {
    if (creates) await copy.store.createPlace?.();
    const result = await syncCopy({
      ...{ from: primary.store, to: copy, clock, signal },
      ...(bytesPerSecond === null ? {} : { bytesPerSecond }),
      onProposal: ({ missing }) => {
        const objects = [...missing.values()].flat();
        progress.expect(objects.reduce((sum, { size }) => sum + size, 0));
      },
      onObject: ({ bytes }) => progress.advance(bytes),
    });
    return { name: copy.name, result, error: null, seconds: seconds() };
  } catch (error) {
    if (!(error instanceof HoldfastError) || signal.aborted) throw error;
    return { name: copy.name, result: null, error: withCreateHint(error, copy), seconds: seconds() };
  }
}

/** `null` when nobody set one. Errors: `BYTES_INVALID`; `USAGE_INVALID` for one that is too low. */
function readRate(input: CommandInput): number | null {
  const text = input.optional('max-rate');
  if (text === undefined) return null;
  const rate = parseBytes(text);
  if (rate >= RATE_MIN) return rate;
  throw new HoldfastError('USAGE_INVALID', `invalid rate "${text}"`, {
    detail: `Expected ${formatBytes(RATE_MIN)} in a second or more.`,
    hints: ['Write for example --max-rate 20MiB.'],
  });
}

function withCreateHint(error: HoldfastError, { name, store }: StorePlace): HoldfastError {
  if (error.code !== 'STORE_ABSENT' || store.createPlace === undefined) return error;
  return withHint(error, `If the copy is new, run holdfast copies sync ${name} --create.`);
}

function syncedText({ name, result, error, seconds }: Synced, paint: Paint): string[] {
  if (error !== null) return failedCopyText(name, error, paint);
  assert(result !== null, 'a copy that did not fail was brought up to date');
  const { objects, bytes, differing } = result;
  const isSame = differing.length === 0;
  const brought =
    objects > 0
      ? `got ${formatQuantity(objects, 'object')}, ${formatBytes(bytes)}, in ${formatDuration(seconds * 1000)}`
      : isSame
        ? 'has all that the primary has'
        : 'lacks nothing';
  return [
    isSame
      ? `${paint.good('✓')} copy "${name}" ${brought}`
      : `${paint.warning('!')} copy "${name}" ${brought}, and differs from the primary in ${formatQuantity(differing.length, 'object')}`,
    ...differing.map((object) => `${paint.bad('✗')} ${object}  other bytes than in the primary; left alone`),
    ...(isSame
      ? []
      : [
          `${paint.accent('→')} Run holdfast verify --all, and with --from ${name}: they say which of the two is damaged.`,
        ]),
  ];
}

function waitingDocument(waiting: UnreadWal | null): Json {
  return waiting === null ? null : { objects: waiting.objects === 0 ? null : waiting.objects, reason: waiting.reason };
}

function waitingText(waiting: UnreadWal | null, paint: Paint): string[] {
  if (waiting === null) return [];
  const { directory, reason, error } = waiting;
  return [
    `${paint.warning('!')} ${describeWaiting(waiting)} in "${directory}" of this machine: ${reason}`,
    ...(error?.hints ?? []).map((hint) => `  ${paint.accent('→')} ${hint}`),
  ];
}
