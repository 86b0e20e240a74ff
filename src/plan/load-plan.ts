import { resolve } from 'node:path';
import type { z } from 'zod';
import { Secret } from '../lib/index.ts';
import { findPlanFile } from './find-plan.ts';
import { listOptions, type Machine, type Option } from './option.ts';
import { PlanError, type PlanProblem } from './plan-error.ts';
import { readPlanFile } from './read-plan.ts';
import { describeReference, followReference, type Reference } from './reference.ts';
import type { PlanCredential, ResolvedPlan } from './resolved-plan.ts';
import * as schema from './schema.ts';
import { collectGiven, findMisplaced, type Given, nameOfFlag } from './sources.ts';

/** Where to read, and what is needed of it. */
export interface LoadOptions {
  /** The file named by the user; without one the working directory is searched. */
  readonly planFile?: string;
  readonly directory: string;
  /** By dotted path of the option, as texts. */
  readonly flags: Readonly<Record<string, string>>;
  readonly machine: Machine;
  /** The module that a plan's `import … from 'holdfast'` gives. */
  readonly libraryUrl: string;
  /** What the caller is going to use; references to anything else are not followed. */
  readonly needs: PlanNeeds;
}

/** `required`: absent is a problem. `wanted`: absent gives `null`. */
export interface PlanNeeds {
  readonly connection?: Need;
  readonly location?: Need;
  readonly credential?: Need;
}
type Need = 'required' | 'wanted';

/**
 * Reads plan, environment and flags and gives what they come to: flag before environment before plan before default.
 *
 * Errors: PLAN_INVALID (a `PlanError` with all problems), PLAN_NOT_FOUND, PLAN_AMBIGUOUS, PLAN_FORMAT_UNSUPPORTED, PLAN_UNREADABLE.
 */
export async function loadPlan(options: LoadOptions): Promise<ResolvedPlan> {
  const file = await findPlanFile(options.planFile, options.directory);
  const plan = file === null ? null : { file, document: await readPlanFile(file, options.libraryUrl) };
  const reading = new Reading(options, plan);
  const nameOrigin = reading.originOf(schema.clusterName);
  const resolved: ResolvedPlan = {
    file,
    cluster: {
      name: reading.read(schema.clusterName),
      nameOrigin,
      connection: toSecret(await reading.follow(schema.clusterConnection, options.needs.connection)),
    },
    repository: {
      location: await reading.follow(schema.repositoryLocation, options.needs.location),
      credential: await readCredential(reading, options.needs.credential),
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
    },
  };
  reading.refuseIfProblems();
  return resolved;
}

function toSecret(text: string | null): Secret | null {
  return text === null ? null : new Secret(text);
}

/** Either opens the repository, so the one from the source that counts more is taken; two from one source contradict. */
async function readCredential(reading: Reading, need: Need | undefined): Promise<PlanCredential | null> {
  const passphrase = reading.countsAs(schema.repositoryPassphrase);
  const keyFile = reading.countsAs(schema.repositoryKeyFile);
  if (need === undefined) return null;
  if (passphrase === keyFile) {
    if (passphrase !== null)
      reading.complain(schema.repositoryKeyFile, 'Expected a passphrase or a key file, found both.');
    else if (need === 'required') {
      const ways = [schema.repositoryPassphrase, schema.repositoryKeyFile].map((option) => reading.waysToGive(option));
      reading.complain(
        schema.repositoryPassphrase,
        `Missing, and repository.keyFile too. Give one of them: ${ways.join(', ')}.`,
      );
    }
    return null;
  }
  if (passphrase === null || (keyFile !== null && keyFile < passphrase)) {
    const path = reading.readIfGiven(schema.repositoryKeyFile);
    return path === null ? null : { kind: 'key-file', path };
  }
  const text = await reading.follow(schema.repositoryPassphrase, need);
  return text === null ? null : { kind: 'passphrase', passphrase: new Secret(text) };
}

/** The values of one load, with the problems found so far. */
class Reading {
  readonly #options: LoadOptions;
  readonly #bySchema: Map<z.ZodType, Option>;
  readonly #given: Map<string, Given[]>;
  readonly #valid = new Map<string, { given: Given | null; value: unknown }>();
  readonly #problems: PlanProblem[] = [];

  constructor(options: LoadOptions, plan: { file: string; document: unknown } | null) {
    this.#options = options;
    const declared = listOptions(schema.planSchema);
    this.#bySchema = new Map(declared.options.map((option) => [option.schema, option]));
    this.#problems.push(...findMisplaced(declared.groups, plan));
    const { flags, directory, machine } = options;
    const inputs = { plan, flags, directory, environment: machine.environment };
    this.#given = collectGiven(declared.options, inputs, this.#problems);
    for (const option of declared.options) this.#validate(option);
  }

  /** All that was given is checked, also what something else overrides: it would be wrong tomorrow. */
  #validate(option: Option): void {
    for (const given of this.#given.get(option.path) ?? []) {
      const parsed = option.schema.safeParse(given.value);
      if (parsed.success) {
        if (!this.#valid.has(option.path)) {
          this.#valid.set(option.path, { given, value: fromDirectory(option, parsed.data, given.directory) });
        }
        continue;
      }
      const value = option.facts.secret === true ? null : JSON.stringify(given.value);
      this.#problems.push({
        option: option.path,
        value,
        sentence: `Expected ${option.facts.expected}.`,
        origin: given.origin,
      });
    }
    if (this.#valid.has(option.path) || option.facts.default === undefined) return;
    const value = option.schema.parse(option.facts.default.value(this.#options.machine));
    this.#valid.set(option.path, { given: null, value });
  }

  #option(schema: z.ZodType): Option {
    return this.#bySchema.get(schema)!;
  }

  /** For an option that has a default. */
  read<Schema extends z.ZodType>(schema: Schema): z.output<Schema> {
    return this.#valid.get(this.#option(schema).path)!.value as z.output<Schema>;
  }

  readIfGiven<Schema extends z.ZodType>(schema: Schema): z.output<Schema> | null {
    const found = this.#valid.get(this.#option(schema).path);
    return found === undefined ? null : (found.value as z.output<Schema>);
  }

  /** Where the value was read, `null` for a default. */
  originOf(schema: z.ZodType): string | null {
    return this.#valid.get(this.#option(schema).path)?.given?.origin ?? null;
  }

  /** The place of its source in the order of precedence, 0 first; `null` when nobody gave it. */
  countsAs(schema: z.ZodType): number | null {
    const [first] = this.#given.get(this.#option(schema).path) ?? [];
    return first === undefined ? null : ['flag', 'environment', 'plan'].indexOf(first.kind);
  }

  /** The text of an option that may be a reference. */
  async follow(schema: z.ZodType<string | Reference>, need: Need | undefined): Promise<string | null> {
    if (need === undefined) return null;
    const option = this.#option(schema);
    const found = this.#valid.get(option.path);
    const given = found?.given ?? null;
    if (found === undefined || given === null) {
      // When a value was given but is wrong, that was said already.
      if (need === 'required' && (this.#given.get(option.path) ?? []).length === 0) {
        this.complain(schema, `Missing. Give ${this.waysToGive(schema)}.`);
      }
      return null;
    }
    const value = found.value as string | Reference;
    if (typeof value === 'string') return value;
    const { environment } = this.#options.machine;
    if (need === 'wanted' && 'env' in value && (environment[value.env] ?? '') === '') return null;
    const outcome = await followReference(value, environment, given.directory);
    if ('value' in outcome) return fromDirectory(option, outcome.value, given.directory) as string;
    const where = given.kind === 'plan' ? `${describeReference(value)}, as ${given.origin} says` : given.origin;
    this.#problems.push({ option: option.path, value: null, sentence: outcome.problem, origin: where });
    return null;
  }

  /** `--repository, HOLDFAST_REPOSITORY or repository.location in a plan`. */
  waysToGive(schema: z.ZodType): string {
    const option = this.#option(schema);
    const names = (option.facts.environment ?? []).map(({ name }) => name);
    return [nameOfFlag(option), ...names, `${option.path} in a plan`].join(', ').replace(/, ([^,]*)$/, ' or $1');
  }

  complain(schema: z.ZodType, sentence: string): void {
    const option = this.#option(schema);
    this.#problems.push({ option: option.path, value: null, sentence, origin: null });
  }

  refuseIfProblems(): void {
    if (this.#problems.length > 0) throw new PlanError(this.#problems);
  }
}

/** A relative path means: from where it was written. A URL has no such beginning. */
function fromDirectory(option: Option, value: unknown, directory: string): unknown {
  if (option.facts.isPath !== true || typeof value !== 'string' || /^[a-z][a-z0-9+.-]*:\/\//i.test(value)) return value;
  return resolve(directory, value);
}
