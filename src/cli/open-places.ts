import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { assert, type Clock, codeOf, HoldfastError } from '../lib/index.ts';
import { PlanError, PRIMARY, type ResolvedPlace, type ResolvedPlan } from '../plan/index.ts';
import type {
  CopiedStore,
  CopyEventSink,
  Intruder,
  ObjectStore,
  Retry,
  SpooledStore,
  StoreCredentials,
  StoreOptions,
  StorePlace,
  WaitingStore,
} from '../repository/index.ts';
import type { Redaction } from './output/index.ts';

/** What opening takes of a command. */
export interface Opener {
  readonly clock: Clock;
  readonly redaction: Redaction;
  readonly signal: AbortSignal;
  /** Where temporary files go; `null` for the driver's own choice. */
  readonly scratchDirectory?: string | null;
  /** How often a place is tried; the store's own choice when left out. */
  readonly attempts?: number;
  /** Told of a place that is tried again, by its name. */
  readonly onRetry?: (place: string, retry: Retry) => void;
}

/** Where there are other places to ask: enough for a lost packet, and soon over where nobody is. */
const ATTEMPTS_AMONG_SEVERAL = 3;

/** The store of one place. Nothing is touched before the first call. Errors: `STORE_LOCATION_INVALID`. */
export async function openPlace(place: ResolvedPlace, opener: Opener): Promise<ObjectStore> {
  const { openStore, unusableStore } = await import('../repository/index.ts');
  const { credentials, location } = place;
  const options = await storeOptions(place, opener);
  if (credentials.kind !== 'absent') return openStore(location, options);
  return unusableStore(openStore(location, options).description, credentialsAbsent(place, credentials.problem));
}

/** Whoever has the credentials of one place. Errors: as `openPlace`; `STORE_CREDENTIALS_ABSENT`. */
export async function openIntruderOf(place: ResolvedPlace, opener: Opener): Promise<Intruder> {
  const { openIntruder } = await import('../repository/index.ts');
  if (place.credentials.kind === 'absent') throw credentialsAbsent(place, place.credentials.problem);
  return openIntruder(place.location, await storeOptions(place, opener));
}

async function storeOptions({ name, credentials, lockMs }: ResolvedPlace, opener: Opener): Promise<StoreOptions> {
  const { lockRule } = await import('../repository/index.ts');
  const { clock, signal, scratchDirectory, attempts, onRetry } = opener;
  const isGiven = credentials.kind !== 'chain' && credentials.kind !== 'absent';
  if (isGiven) for (const secret of secretsOf(credentials)) opener.redaction.add(secret);
  return {
    ...{ clock, signal },
    ...(attempts === undefined ? {} : { attempts }),
    ...(onRetry === undefined ? {} : { onRetry: (retry: Retry) => onRetry(name, retry) }),
    ...(scratchDirectory === undefined || scratchDirectory === null ? {} : { scratchDirectory }),
    ...(lockMs === null ? {} : { lockFor: lockRule(lockMs) }),
    ...(isGiven ? { credentials } : {}),
  };
}

function secretsOf(credentials: StoreCredentials): string[] {
  return Object.values(credentials).flatMap((part) => (typeof part === 'string' ? [] : [part.reveal()]));
}

function credentialsAbsent({ name, option, origin }: ResolvedPlace, problem: string): HoldfastError {
  return new HoldfastError(
    'STORE_CREDENTIALS_ABSENT',
    `cannot reach the place "${name}": its credentials are not there`,
    {
      detail: problem,
      hints: [`Look at ${option}.credentials in ${origin}.`],
    },
  );
}

/** The repository's store as a command uses it. Whoever opened it closes it, after the repository. */
export interface OpenedPlaces {
  readonly store: ObjectStore;
  /** The primary by itself, with nothing between; of one place that was asked for, that one. `null` where a copy stands in for it. */
  readonly primary: ObjectStore | null;
  /** The same store, when it is made of several places. */
  readonly copied: CopiedStore | null;
  /** Where WAL waits on this machine while the primary is away, when that was asked for. */
  readonly spool: SpooledStore | null;
  /** What waits on this machine, for who reads; `null` where one place was asked for, and for who writes. It shows nothing yet. */
  readonly waiting: WaitingStore | null;
  /** Waits, within bounds, for what copies still lack. */
  close(): Promise<void>;
}

/**
 * Opens the primary with its copies, or only the place of a name.
 *
 * Errors: `STORE_LOCATION_INVALID`; `PLAN_INVALID` where two places are one, or one lies in another; `USAGE_INVALID` for a name of no place.
 */
export async function openPlaces(
  plan: ResolvedPlan,
  opener: Opener,
  how: {
    access: 'read' | 'write';
    only?: string | undefined;
    catchUp?: boolean;
    /** Copies get what is put; left out, they do. */
    feedsCopies?: boolean;
    /** WAL that the primary does not take is kept on this machine, in the state directory. */
    keepsWal?: boolean;
    onEvent?: CopyEventSink;
  },
): Promise<OpenedPlaces> {
  if (how.only !== undefined) return alone(await openPlace(findPlace(plan, how.only), opener));
  const patient = how.access === 'write' ? PRIMARY : null;
  const [first, ...further] = await openPlaceList(plan, opener, patient);
  const spool = how.keepsWal === true ? await openSpool(plan, first!.store, opener.clock) : null;
  const primary = spool ?? first!.store;
  const waiting = how.access === 'read' ? await findWaiting(spoolDirectory(plan)) : null;
  if (further.length === 0 && waiting === null) return { ...alone(primary, spool), primary: first!.store };
  const { openCopiedStore } = await import('../repository/index.ts');
  const copied = openCopiedStore({
    primary,
    copies: further,
    ...(waiting === null ? {} : { besides: { name: WAITING_NAME, store: waiting, required: false } }),
    clock: opener.clock,
    access: how.access,
    catchUp: how.catchUp ?? true,
    handsOn: how.feedsCopies ?? true,
    ...(how.onEvent === undefined ? {} : { onEvent: how.onEvent }),
  });
  const close = async () => {
    await copied.close();
    await spool?.close();
  };
  return { store: copied, primary: first!.store, copied, spool, waiting, close };
}

function alone(store: ObjectStore, spool: SpooledStore | null = null): OpenedPlaces {
  return { store, primary: store, copied: null, spool, waiting: null, close: async () => spool?.close() };
}

/** Where WAL waits on this machine while the primary is away, for any repository. */
export function spoolDirectory({ stateDirectory }: ResolvedPlan): string {
  return join(stateDirectory, 'outage');
}

/** Among the places, what waits on this machine; no copy can be called so. */
export const WAITING_NAME = 'spool of this machine';

/** Whether an outage may have left something, for any repository. What may not be looked at is told when it is. */
export async function isAnythingWaiting(directory: string): Promise<boolean> {
  const options = { recursive: true, withFileTypes: true } as const;
  const found = await readdir(directory, options).catch((error) => (codeOf(error) === 'ENOENT' ? [] : null));
  return found === null || found.some((entry) => !entry.isDirectory());
}

async function findWaiting(directory: string): Promise<WaitingStore | null> {
  if (!(await isAnythingWaiting(directory))) return null;
  const { WaitingStore } = await import('../repository/index.ts');
  return new WaitingStore(directory);
}

/** Where nothing but the primary makes WAL count, keeping it here as well would gain nothing: the server keeps it. */
async function openSpool(plan: ResolvedPlan, primary: ObjectStore, clock: Clock): Promise<SpooledStore | null> {
  const { protect, copies } = plan.repository;
  if (protect === 'wal' && !copies.some(({ required }) => required)) return null;
  const { SpooledStore } = await import('../repository/index.ts');
  return new SpooledStore({ primary, directory: spoolDirectory(plan), clock, budgetBytes: plan.wal.budgetBytes });
}

/**
 * Every place with its store, the primary first. Those that are not to be waited for are soon given up: all but the one that is named in
 * `patientWith`, or none.
 *
 * Errors: as `openPlaces`.
 */
export async function openPlaceList(
  plan: ResolvedPlan,
  opener: Opener,
  patientWith: string | null | 'all' = 'all',
): Promise<StorePlace[]> {
  await refuseOverlaps(plan);
  const { primary, copies } = plan.repository;
  assert(primary !== null, 'the place of a repository that is opened was required');
  const isHasty = (name: string) => copies.length > 0 && patientWith !== 'all' && patientWith !== name;
  return await Promise.all(
    [{ ...primary, required: true }, ...copies].map(async (place) => ({
      name: place.name,
      store: await openPlace(place, isHasty(place.name) ? hasty(opener) : opener),
      required: place.required,
    })),
  );
}

/** Not all of what was handed in, which may be a whole command's context. */
function hasty({ clock, redaction, signal, scratchDirectory, onRetry }: Opener): Opener {
  const scratch = scratchDirectory === undefined ? {} : { scratchDirectory };
  const told = onRetry === undefined ? {} : { onRetry };
  return { clock, redaction, signal, attempts: ATTEMPTS_AMONG_SEVERAL, ...scratch, ...told };
}

/** The names of the copies that are meant: the one that was named, else all. Errors: `USAGE_INVALID`. */
export function chooseCopies(plan: ResolvedPlan, name: string | undefined): ReadonlySet<string> {
  refuseWithoutCopies(plan);
  if (name === undefined) return new Set(plan.repository.copies.map((copy) => copy.name));
  if (findPlace(plan, name).name !== PRIMARY) return new Set([name]);
  throw new HoldfastError('USAGE_INVALID', 'cannot take the primary for a copy of itself', {
    detail: `Expected the name of a copy: ${plan.repository.copies.map((copy) => `"${copy.name}"`).join(', ')}.`,
  });
}

/** Whoever asks about copies and has none must not hear that all is well. */
export function refuseWithoutCopies({ repository }: ResolvedPlan): void {
  if (repository.copies.length > 0) return;
  throw new HoldfastError('USAGE_INVALID', 'cannot look at copies: none is named', {
    detail: 'The repository is kept in one place only.',
    hints: ['Name copies in the plan (repository.copies), with --copy NAME=LOCATION or in HOLDFAST_COPIES.'],
  });
}

/** The place of a name. Errors: `USAGE_INVALID` with the names that there are. */
export function findPlace({ repository }: ResolvedPlan, name: string): ResolvedPlace {
  const places = listPlaces(repository);
  const found = places.find((place) => place.name === name);
  if (found !== undefined) return found;
  throw new HoldfastError('USAGE_INVALID', `cannot find a place "${name}" of the repository`, {
    detail: `Expected one of ${places.map((place) => `"${place.name}"`).join(', ')}.`,
    hints: ['Name the copies in the plan, with --copy or in HOLDFAST_COPIES.'],
  });
}

/** The primary first. */
export function listPlaces({ primary, copies }: ResolvedPlan['repository']): ResolvedPlace[] {
  return [...(primary === null ? [] : [primary]), ...copies];
}

/** Which places are on this machine, the primary first. */
export async function locatePlaces({ repository }: ResolvedPlan): Promise<{ name: string; isHere: boolean }[]> {
  const { isOnThisMachine } = await import('../watch/index.ts');
  return await Promise.all(
    listPlaces(repository).map(async ({ name, location }) => ({ name, isHere: await isOnThisMachine(location) })),
  );
}

/** A copy in the place of another one is lost with it, and one below another would be taken for a part of it. */
async function refuseOverlaps({ repository }: ResolvedPlan): Promise<void> {
  if (repository.copies.length === 0) return;
  const { identifyLocation, relateLocations } = await import('../repository/index.ts');
  const places = await Promise.all(
    listPlaces(repository).map(async (place) => ({ place, identity: await identifyLocation(place.location) })),
  );
  const problems = places.flatMap(({ place, identity }, index) =>
    places.slice(0, index).flatMap((earlier) => {
      const relation = relateLocations(identity, earlier.identity);
      if (relation === 'apart') return [];
      const other = earlier.place.name === PRIMARY ? 'the primary' : `the copy "${earlier.place.name}"`;
      const where = { same: 'is the same place as', inside: 'lies inside', around: 'lies around' }[relation];
      const sentence = `The copy "${place.name}" ${where} ${other}: what happens to one happens to both.`;
      return [{ option: `${place.option}.location`, value: null, sentence, origin: place.origin }];
    }),
  );
  if (problems.length === 0) return;
  throw new PlanError(problems, [
    'Give every copy a directory, or a bucket and prefix, of its own.',
    'To read from one place alone, say so with --from; to make a copy the primary, exchange the two in the plan.',
  ]);
}
