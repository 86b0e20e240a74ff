import { randomBytes } from 'node:crypto';
import { openLedger } from '../../ledger/index.ts';
import type { Progress } from '../../lib/index.ts';
import { encodeJson, kindPrefix, type Repository, sealBody } from '../../repository/index.ts';
import {
  type AttackedPlace,
  type AttackResult,
  attackPlace,
  type Bait,
  isDangerous,
  isInDoubt,
} from './attack-place.ts';
import { type PlayedResult, playAttacks } from './play-attacks.ts';

/** What came of attacking a repository. */
export interface AttackTestResult {
  readonly places: readonly { readonly place: string; readonly results: readonly AttackResult[] }[];
  readonly played: readonly PlayedResult[];
  /** How many attacks there were that a backup can be lost by, and of which it could not be found out whether they succeed. */
  readonly inDoubt: number;
  /** False when something succeeded that can take a backup away, and when that is not known of something. */
  readonly isSafe: boolean;
}

/**
 * Tries with the credentials at hand whatever a thief of them would try, on objects that are made for it and in ways that cannot harm others.
 *
 * Baits are records of this very test, sealed like all others (`runs/attack-<id>/<number>`), the same in every place, and stay as such: what is locked cannot be taken away again.
 * Errors: those of storing baits and of the ledger.
 */
export async function runAttackTest(options: {
  repository: Repository;
  places: readonly AttackedPlace[];
  stateDirectory: string;
  progress: Progress;
  signal?: AbortSignal;
}): Promise<AttackTestResult> {
  const { repository, progress, signal } = options;
  const ledger = await openLedger(repository, options.stateDirectory);
  const run = `attack-${randomBytes(16).toString('hex')}`;
  let count = 0;
  const makeBait = async (place: string, attack: string): Promise<Bait> => {
    signal?.throwIfAborted();
    count += 1;
    const name = `${kindPrefix('run')}${run}/${count.toString(16).padStart(8, '0')}`;
    const body = encodeJson({ version: 1, kind: 'attack-test', place, attack });
    const bytes = Buffer.concat(sealBody(repository.keys, { kind: 'run', name }, body));
    for (const each of options.places) await (await each.open()).putIfAbsent(name, bytes);
    return { name, bytes };
  };
  const places = [];
  for (const place of options.places) {
    progress.begin(`attacking ${place.name}`);
    const results = await attackPlace(place, (id) => makeBait(place.name, id));
    places.push({ place: place.name, results });
  }
  const played = await playAttacks(repository);
  const dangerous = places.flatMap(({ results }) => results.filter(isDangerous));
  const inDoubt = places.flatMap(({ results }) => results.filter(isInDoubt));
  const isSafe =
    dangerous.length === 0 && inDoubt.length === 0 && played.every(({ outcome }) => outcome !== 'succeeded');
  const facts = { baits: count, succeeded: dangerous.map(({ id }) => id), notKnown: inDoubt.map(({ id }) => id) };
  await ledger.append({ action: 'attack-test', outcome: isSafe ? 'done' : 'failed', subject: run, facts });
  return { places, played, inDoubt: inDoubt.length, isSafe };
}
