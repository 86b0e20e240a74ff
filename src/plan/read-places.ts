import type { z } from 'zod';
import { Secret } from '../lib/index.ts';
import type { Need, Reading } from './reading.ts';
import type { Reference } from './reference.ts';
import type { PlaceCredentials, ResolvedCopy, ResolvedPlace } from './resolved-plan.ts';
import * as schema from './schema/places.ts';
import type { Given } from './sources.ts';

/**
 * The place that comes first; `null` when nobody named one.
 *
 * What belongs to it counts only beside the location that counts: the credentials of another place would open nothing here.
 */
export async function readPrimary(reading: Reading, need: Need | undefined): Promise<ResolvedPlace | null> {
  const location = await reading.follow(schema.primaryLocation, need);
  const source = reading.sourceOf(schema.primaryLocation);
  if (location === null || source === null) return null;
  const isWhole = source.kind === 'plan';
  const credentials = reading.readIfGiven(schema.primaryCredentials);
  return {
    ...{ name: schema.PRIMARY, option: 'repository.primary', origin: source.origin, location },
    credentials: await followCredentials(reading, isWhole ? credentials : null, source),
    lockMs: isWhole ? reading.readIfGiven(schema.primaryLock) : null,
  };
}

/** The other places. The list is taken whole from the source that counts most. */
export async function readCopies(reading: Reading, need: Need | undefined): Promise<ResolvedCopy[]> {
  const source = reading.sourceOf(schema.repositoryCopies);
  if (need === undefined || source === null) return [];
  const copies: ResolvedCopy[] = [];
  for (const [index, copy] of reading.read(schema.repositoryCopies).entries()) {
    const here = { ...source, at: `${source.at}[${index}]` };
    const whereabouts = { ...here, at: `${here.at}.location` };
    const location = await reading.followValue(copy.location, whereabouts, 'required', true);
    // Said already, with the option and where it was read.
    if (location === null) continue;
    copies.push({
      name: copy.name,
      option: here.at,
      origin: here.origin,
      location,
      credentials: await followCredentials(reading, copy.credentials ?? null, here),
      lockMs: copy.lock ?? null,
      required: copy.required,
    });
  }
  return copies;
}

type StatedCredentials = z.output<typeof schema.primaryCredentials>;

async function followCredentials(
  reading: Reading,
  stated: StatedCredentials | null,
  source: Given | null,
): Promise<PlaceCredentials> {
  if (stated === null || source === null) return { kind: 'chain' };
  if ('profile' in stated) return { kind: 'profile', profile: stated.profile };
  const problems: string[] = [];
  const textOf = async (value: string | Reference): Promise<string> => {
    if (typeof value === 'string') return value;
    const outcome = await reading.tryToFollow(value, source);
    if ('value' in outcome) return outcome.value;
    problems.push(outcome.problem);
    return '';
  };
  const secretOf = async (value: Reference) => new Secret(await textOf(value));
  const followed = await gatherCredentials(stated, textOf, secretOf);
  return problems.length === 0 ? followed : { kind: 'absent', problem: problems.join(' ') };
}

async function gatherCredentials(
  stated: Exclude<StatedCredentials, { profile: string }>,
  textOf: (value: string | Reference) => Promise<string>,
  secretOf: (value: Reference) => Promise<Secret>,
): Promise<PlaceCredentials> {
  if ('accountKey' in stated) return { kind: 'account-key', key: await secretOf(stated.accountKey) };
  if ('sas' in stated) return { kind: 'sas', token: await secretOf(stated.sas) };
  const { sessionToken } = stated;
  return {
    kind: 'access-key',
    accessKeyId: await textOf(stated.accessKeyId),
    secretAccessKey: await secretOf(stated.secretAccessKey),
    ...(sessionToken === undefined ? {} : { sessionToken: await secretOf(sessionToken) }),
  };
}
