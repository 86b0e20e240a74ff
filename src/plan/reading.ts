import type { z } from 'zod';
import { listOptions, type Machine, type Option } from './option.ts';
import { PlanError, type PlanProblem } from './plan-error.ts';
import { describeReference, followReference, type Reference } from './reference.ts';
import { planSchema } from './schema.ts';
import { collectGiven, type Flags, findMisplaced, type Given, nameOfFlag } from './sources.ts';
import { type Entry, fromDirectory, validate } from './validate.ts';

/** `required`: absent is a problem. `wanted`: absent gives `null`. */
export type Need = 'required' | 'wanted';

/** What one load reads from. */
export interface ReadingInputs {
  readonly plan: { readonly file: string; readonly document: unknown } | null;
  readonly flags: Flags;
  readonly directory: string;
  readonly machine: Machine;
}

/** A value and where it came from; `given` is `null` for a default. */
interface Found {
  readonly given: Given | null;
  readonly value: unknown;
}

/** The values of one load, with the problems found so far. */
export class Reading {
  readonly #machine: Machine;
  readonly #bySchema: Map<z.ZodType, Option>;
  readonly #given: Map<string, Given[]>;
  readonly #valid = new Map<string, Found>();
  readonly #problems: PlanProblem[] = [];

  constructor({ plan, flags, directory, machine }: ReadingInputs) {
    this.#machine = machine;
    const declared = listOptions(planSchema);
    const all = declared.options.flatMap((option) => [option, ...(option.entry ?? [])]);
    this.#bySchema = new Map(all.map((option) => [option.schema, option]));
    this.#problems.push(...findMisplaced(declared.groups, plan));
    const inputs = { plan, flags, directory, environment: machine.environment };
    this.#given = collectGiven(declared.options, inputs, this.#problems);
    for (const option of declared.options) this.#validate(option);
  }

  /** All that was given is checked, also what something else overrides: it would be wrong tomorrow. */
  #validate(option: Option): void {
    for (const given of this.#given.get(option.path) ?? []) {
      const validated = validate(option, given);
      if ('problems' in validated) this.#problems.push(...validated.problems);
      else if (!this.#valid.has(option.path)) this.#valid.set(option.path, { given, value: validated.value });
    }
    if (this.#valid.has(option.path) || option.facts.default === undefined) return;
    this.#valid.set(option.path, { given: null, value: this.#defaultOf(option) });
  }

  #defaultOf(option: Option): unknown {
    return option.schema.parse(option.facts.default!.value(this.#machine));
  }

  #option(schema: z.ZodType): Option {
    return this.#bySchema.get(schema)!;
  }

  #find(schema: z.ZodType, entry?: Entry): Found | undefined {
    const option = this.#option(schema);
    return entry === undefined ? this.#valid.get(option.path) : entry.values.get(option);
  }

  /** For an option that has a default. */
  read<Schema extends z.ZodType>(schema: Schema, entry?: Entry): z.output<Schema> {
    const found = this.#find(schema, entry);
    return (found === undefined ? this.#defaultOf(this.#option(schema)) : found.value) as z.output<Schema>;
  }

  readIfGiven<Schema extends z.ZodType>(schema: Schema, entry?: Entry): z.output<Schema> | null {
    const found = this.#find(schema, entry);
    return found === undefined ? null : (found.value as z.output<Schema>);
  }

  /** The entries of a list of objects; none when nobody gave it. */
  readEntries(schema: z.ZodType): readonly Entry[] {
    return (this.#find(schema)?.value ?? []) as readonly Entry[];
  }

  /** What a value was read from, `null` for a default and for what nobody gave. */
  sourceOf(schema: z.ZodType, entry?: Entry): Given | null {
    return this.#find(schema, entry)?.given ?? null;
  }

  /** The place of its source in the order of precedence, 0 first; `null` when nobody gave it. */
  countsAs(schema: z.ZodType): number | null {
    const [first] = this.#given.get(this.#option(schema).path) ?? [];
    return first === undefined ? null : ['flag', 'environment', 'plan'].indexOf(first.kind);
  }

  /** The text of an option that may be a reference; one that cannot be followed is a problem. */
  async follow(schema: z.ZodType<string | Reference>, need: Need | undefined, entry?: Entry): Promise<string | null> {
    if (need === undefined) return null;
    const option = this.#option(schema);
    const found = this.#find(schema, entry);
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
    const { environment } = this.#machine;
    if (need === 'wanted' && 'env' in value && (environment[value.env] ?? '') === '') return null;
    const outcome = await this.tryToFollow(value, given);
    if ('value' in outcome) return fromDirectory(option, outcome.value, given.directory) as string;
    const where = given.kind === 'plan' ? `${describeReference(value)}, as ${given.origin} says` : given.origin;
    this.#problems.push({ option: given.at, value: null, sentence: outcome.problem, origin: where });
    return null;
  }

  /** What a reference leads to, or one whole sentence on why it leads nowhere, which is left to the caller. */
  tryToFollow(reference: Reference, { directory }: Given): ReturnType<typeof followReference> {
    return followReference(reference, this.#machine.environment, directory);
  }

  /** `--key-file, HOLDFAST_KEY_FILE or repository.keyFile in a plan`. */
  waysToGive(schema: z.ZodType): string {
    const option = this.#option(schema);
    const names = (option.facts.environment ?? []).map(({ name }) => name);
    const inPlan = `${option.shorthandOf ?? option.path} in a plan`;
    return [nameOfFlag(option), ...names, inPlan].join(', ').replace(/, ([^,]*)$/, ' or $1');
  }

  complain(schema: z.ZodType, sentence: string): void {
    const option = this.#option(schema);
    this.#problems.push({ option: option.shorthandOf ?? option.path, value: null, sentence, origin: null });
  }

  refuseIfProblems(): void {
    if (this.#problems.length > 0) throw new PlanError(this.#problems);
  }
}
