import { formatBytes, formatDuration, formatQuantity, HoldfastError, withHint } from '../../lib/index.ts';
import type { StorePlace, SyncResult } from '../../repository/index.ts';
import type { Command, CommandContext } from '../command.ts';
import { placeErrorDocument } from '../copies-text.ts';
import { exitReasonOf } from '../exit-code.ts';
import { chooseCopies, openPlaceList } from '../open-places.ts';
import type { Paint } from '../output/index.ts';

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
    'Nothing is overwritten and nothing is deleted. It may be stopped at any time, and goes on where it was. No key is needed.',
  ],
  examples: [
    { line: 'holdfast copies sync', does: 'Every copy, one after the other.' },
    { line: 'holdfast copies sync west --create', does: 'A new copy, in a directory that is made for it.' },
    { line: 'holdfast copies sync west', does: 'The copy "west" alone.' },
  ],
  access: 'places',
  database: 'none',
  arguments: [{ name: '[name]', help: 'The copy. (default: all of them)' }],
  flags: [{ flag: '--create', help: 'Make the directories of copies that are not there yet.' }],
  run: async (context, input) => {
    const chosen = chooseCopies(context.plan, input.optional('name'));
    const [primary, ...copies] = await openPlaceList(context.plan, context);
    await refusePrimaryAway(primary!);
    const synced: Synced[] = [];
    for (const copy of copies)
      if (chosen.has(copy.name)) synced.push(await sync(context, primary!, copy, input.isSet('create')));
    const isWhole = synced.every(({ result }) => result !== null && result.differing.length === 0);
    const failure = synced.find(({ error }) => error !== null)?.error;
    return {
      reason: failure !== undefined ? exitReasonOf(failure) : isWhole ? 'done' : 'problemFound',
      json: {
        copies: synced.map(({ name, result, error, seconds }) => ({
          name,
          ...{ objects: result?.objects ?? null, bytes: result?.bytes ?? null },
          ...{ differing: result?.differing ?? null, seconds, error: placeErrorDocument(error) },
        })),
      },
      text: (paint) => synced.flatMap((each) => syncedText(each, paint)),
    };
  },
};

/** A copy that fails is part of the answer: the others are brought up to date all the same. */
async function sync(context: CommandContext, primary: StorePlace, copy: StorePlace, creates: boolean): Promise<Synced> {
  const { syncCopy } = await import('../../repository/index.ts');
  const { clock, progress, signal } = context;
  const begun = clock.monotonic();
  progress.begin(`bringing to "${copy.name}"`);
  const seconds = () => (clock.monotonic() - begun) / 1000;
  try {
    if (creates) await copy.store.createPlace?.();
    const result = await syncCopy({
      ...{ from: primary.store, to: copy, clock, signal },
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

function withCreateHint(error: HoldfastError, { name, store }: StorePlace): HoldfastError {
  if (error.code !== 'STORE_ABSENT' || store.createPlace === undefined) return error;
  return withHint(error, `If the copy is new, run holdfast copies sync ${name} --create.`);
}

async function refusePrimaryAway({ store }: StorePlace): Promise<void> {
  const { whyAway } = await import('../../repository/index.ts');
  const { primaryAway } = await import('../opening.ts');
  const error = await whyAway(store);
  if (error !== null) throw primaryAway('bring anything to the copies', error);
}

function syncedText({ name, result, error, seconds }: Synced, paint: Paint): string[] {
  if (error !== null || result === null) {
    const hints = (error?.hints ?? []).map((hint) => `  ${paint.accent('→')} ${hint}`);
    return [
      `${paint.bad('✗')} copy "${name}": ${error?.message}`,
      ...(error?.detail?.split('\n') ?? []).map((line) => `  ${line}`),
      ...hints,
    ];
  }
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
