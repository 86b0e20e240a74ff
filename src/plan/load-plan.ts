import { Secret } from '../lib/index.ts';
import { findPlanFile } from './find-plan.ts';
import type { Machine } from './option.ts';
import { readCluster } from './read-cluster.ts';
import { readCopies, readPrimary } from './read-places.ts';
import { readPlanFile, readPlanLines } from './read-plan.ts';
import { type Need, type PlanFile, Reading } from './reading.ts';
import type { Resolved } from './resolved.ts';
import type { PlanCredential, PlanParts, ResolvedPlan, StatedParts } from './resolved-plan.ts';
import * as schema from './schema/index.ts';
import type { Flags } from './sources.ts';

/** Where to read, and what is needed of it. */
export interface LoadOptions {
  /** The file named by the user; without one the working directory is searched. */
  readonly planFile?: string;
  readonly directory: string;
  readonly flags: Flags;
  readonly machine: Machine;
  /** The module that a plan's `import … from 'holdfast'` gives. */
  readonly libraryUrl: string;
  /** What the caller is going to use; references to anything else are not followed. */
  readonly needs: PlanNeeds;
}

/** `required`: absent is a problem. `wanted`: absent gives `null`. */
export interface PlanNeeds {
  readonly connection?: Need;
  readonly primary?: Need;
  /** Their list may always be empty; what stands in it is followed. */
  readonly copies?: Need;
  readonly credential?: Need;
  /** `required`: every reference that the plan makes to a secret, or to anything else, has to lead to a value. Commands in it are run. */
  readonly secrets?: 'required';
}

/**
 * Reads plan, environment and flags and gives what they come to: flag before environment before plan before default.
 *
 * Errors: PLAN_INVALID (a `PlanError` with all problems), PLAN_NOT_FOUND, PLAN_AMBIGUOUS, PLAN_FORMAT_UNSUPPORTED, PLAN_UNREADABLE.
 */
export async function loadPlan(options: LoadOptions): Promise<ResolvedPlan> {
  const file = await findPlanFile(options.planFile, options.directory);
  const plan = file === null ? null : await readPlan(file, options.libraryUrl);
  const reading = new Reading({ ...options, plan });
  const resolved: ResolvedPlan = {
    ...readParts(reading),
    file,
    cluster: await readCluster(reading, options.needs.connection),
    repository: {
      primary: await readPrimary(reading, options.needs.primary),
      copies: await readCopies(reading, options.needs.copies),
      credential: await readCredential(reading, options.needs.credential),
      protect: reading.read(schema.repositoryProtect),
    },
    stateDirectory: reading.read(schema.stateDirectory),
    wal: {
      flushIntervalMs: reading.read(schema.walFlushInterval),
      budgetBytes: reading.read(schema.walBudget),
    },
    backup: {
      workers: reading.read(schema.backupWorkers),
      compressionLevel: reading.readIfGiven(schema.backupCompressionLevel),
      maxRate: reading.readIfGiven(schema.backupMaxRate),
      checkpoint: reading.read(schema.backupCheckpoint),
    },
    declaredOnly: reading.declaredOnly,
    lines: plan?.lines ?? new Map(),
    // Only few commands ask for it, and all commands load the plan.
    get stated() {
      return reading.listStated();
    },
  };
  if (options.needs.secrets === 'required') await reading.followEverything();
  reading.refuseIfProblems();
  return resolved;
}

async function readPlan(file: string, libraryUrl: string): Promise<PlanFile> {
  const document = await readPlanFile(file, libraryUrl);
  return { file, document, ...(await readPlanLines(file)) };
}

/** The nouns of the plan. How a server is reached is told of the chosen one only. */
function readParts(reading: Reading): PlanParts {
  const parts = Object.entries(schema.parts).map(([name, declared]) => [name, reading.readPart(declared)]);
  const { clusters, ...others } = Object.fromEntries(parts) as Resolved<StatedParts>;
  return { ...others, clusters: clusters.map(({ connection: _, ...cluster }) => cluster) };
}

/** Either opens the repository, so the one from the source that counts more is taken; two from one source contradict. */
async function readCredential(reading: Reading, need: Need | undefined): Promise<PlanCredential | null> {
  const given = credentialOptions.flatMap(({ option, name }) => {
    const rank = reading.countsAs(option);
    return rank === null ? [] : [{ option, name, rank }];
  });
  if (need === undefined) return null;
  given.sort((a, b) => a.rank - b.rank);
  const [first, second] = given;
  if (first === undefined) {
    if (need === 'required') {
      const ways = credentialOptions.map(({ option }) => reading.waysToGive(option));
      const sentence = `Missing, as is every other key. Give one of them: ${ways.join(', ')}.`;
      reading.complain(schema.repositoryPassphrase, sentence);
    }
    return null;
  }
  if (second !== undefined && second.rank === first.rank) {
    reading.complain(second.option, `Expected one key, found ${first.name} and ${second.name}.`);
    return null;
  }
  return await followCredential(reading, first.option, need);
}

/** Each way to open the repository, in the words of a message. */
const credentialOptions = [
  { option: schema.repositoryPassphrase, name: 'a passphrase' },
  { option: schema.repositoryKeyFile, name: 'a key file' },
  { option: schema.repositoryAgeIdentity, name: 'an age identity' },
  { option: schema.repositoryKeyCommand, name: 'a key command' },
] as const;

async function followCredential(
  reading: Reading,
  option: (typeof credentialOptions)[number]['option'],
  need: Need,
): Promise<PlanCredential | null> {
  switch (option) {
    case schema.repositoryPassphrase: {
      const text = await reading.follow(schema.repositoryPassphrase, need);
      return text === null ? null : { kind: 'passphrase', passphrase: new Secret(text) };
    }
    case schema.repositoryKeyCommand: {
      const command = reading.readIfGiven(schema.repositoryKeyCommand);
      return command === null ? null : { kind: 'command', command };
    }
    case schema.repositoryAgeIdentity: {
      const path = reading.readIfGiven(schema.repositoryAgeIdentity);
      return path === null ? null : { kind: 'age-identity', path };
    }
    default: {
      const path = reading.readIfGiven(schema.repositoryKeyFile);
      return path === null ? null : { kind: 'key-file', path };
    }
  }
}
