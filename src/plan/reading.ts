import type { z } from 'zod';
import { lineOf, type PlanLines } from './find-lines.ts';
import { type CarriedOut, listOptions, type Machine, type Option } from './option.ts';
import { PlanError, type PlanProblem } from './plan-error.ts';
import { describeReference, followReference, type Reference } from './reference.ts';
import type { Resolved } from './resolved.ts';
import { chosenSchema, PRIMARY, planSchema } from './schema/index.ts';
import { collectGiven, type Flags, findMisplaced, type Given, nameOfFlag } from './sources.ts';
import { listStated, type StatedOption } from './stated.ts';
import { findUnknownNames } from './unknown-names.ts';
import { fromDirectory, INVALID, type Survey, validate, valueLeftOut } from './validate.ts';

/** `required`: absent is a problem. `wanted`: absent gives `null`. */
export type Need = 'required' | 'wanted';

/** A plan's file, what it says, and on which lines. */
export interface PlanFile extends PlanLines {
  readonly file: string;
  readonly document: unknown;
}

/** What one load reads from. */
export interface ReadingInputs {
  readonly plan: PlanFile | null;
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
  readonly #plan: PlanFile | null;
  readonly #machine: Machine;
  readonly #bySchema: Map<z.ZodType, Option>;
  readonly #given: Map<string, Given[]>;
  readonly #valid = new Map<string, Found>();
  readonly #problems: PlanProblem[] = [];
  readonly #survey: Survey;
  #stated: readonly StatedOption[] | null = null;

  constructor({ plan, flags, directory, machine }: ReadingInputs) {
    this.#plan = plan;
    this.#machine = machine;
    const declared = listOptions(planSchema);
    const options = [...listOptions(chosenSchema).options, ...declared.options];
    this.#bySchema = new Map(options.map((option) => [option.schema, option]));
    this.#survey = {
      machine,
      problems: this.#problems,
      names: new Map(),
      mentions: [],
      references: [],
      declaredOnly: [],
    };
    // The first place is among those that rules may be given for, under the name that it has everywhere.
    this.#survey.names.set('copy', new Set([PRIMARY]));
    this.#problems.push(...findRepeated(plan), ...findMisplaced(declared.groups, plan));
    const inputs = { plan, flags, directory, environment: machine.environment };
    this.#given = collectGiven(options, inputs, this.#problems);
    for (const option of options) this.#validate(option);
    this.#problems.push(...findUnknownNames(this.#survey));
  }

  /** All that was given is checked, also what something else overrides: it would be wrong tomorrow. */
  #validate(option: Option): void {
    for (const given of this.#given.get(option.path) ?? []) {
      const value = validate(option, given, this.#survey);
      if (value !== INVALID && !this.#valid.has(option.path)) this.#valid.set(option.path, { given, value });
    }
    if (this.#valid.has(option.path) || option.facts.default === undefined) return;
    this.#valid.set(option.path, { given: null, value: valueLeftOut(option.schema, this.#machine) });
  }

  #option(schema: z.ZodType): Option {
    return this.#bySchema.get(schema)!;
  }

  #find(schema: z.ZodType): Found | undefined {
    return this.#valid.get(this.#option(schema).path);
  }

  /** For an option that has a default. */
  read<Schema extends z.ZodType>(schema: Schema): z.output<Schema> {
    return this.#find(schema)!.value as z.output<Schema>;
  }

  readIfGiven<Schema extends z.ZodType>(schema: Schema): z.output<Schema> | null {
    return (this.#find(schema)?.value ?? null) as z.output<Schema> | null;
  }

  /** A whole part of the plan with all that is in it, as it is declared for its key; with nothing in it when nobody gave it. */
  readPart<Declared extends z.ZodPrefault>(declared: Declared): Resolved<z.output<Declared>> {
    const found = this.#find(declared.unwrap() as z.ZodType);
    const value = found === undefined ? valueLeftOut(declared, this.#machine) : found.value;
    return value as Resolved<z.output<Declared>>;
  }

  /** What a value was read from, `null` for a default and for what nobody gave. */
  sourceOf(schema: z.ZodType): Given | null {
    return this.#find(schema)?.given ?? null;
  }

  /** Whether anybody gave it, also when it is wrong. */
  isGiven(schema: z.ZodType): boolean {
    return this.countsAs(schema) !== null;
  }

  /** The place of its source in the order of precedence, 0 first; `null` when nobody gave it. */
  countsAs(schema: z.ZodType): number | null {
    const [first] = this.#given.get(this.#option(schema).path) ?? [];
    return first === undefined ? null : ['flag', 'environment', 'plan'].indexOf(first.kind);
  }

  /** The text of an option that may be a reference; one that cannot be followed is a problem. */
  async follow(schema: z.ZodType<string | Reference>, need: Need | undefined): Promise<string | null> {
    if (need === undefined) return null;
    const option = this.#option(schema);
    const found = this.#find(schema);
    const given = found?.given ?? null;
    if (found === undefined || given === null) {
      // When a value was given but is wrong, that was said already.
      if (need === 'required' && (this.#given.get(option.path) ?? []).length === 0) {
        this.complain(schema, `Missing. Give ${this.waysToGive(schema)}.`);
      }
      return null;
    }
    const isPath = option.facts.isPath === true;
    return await this.followValue(found.value as string | Reference, given, need, isPath);
  }

  /** The text of a value inside of a part, of which `given` says where it stands. */
  async followValue(value: string | Reference, given: Given, need: Need, isPath: boolean): Promise<string | null> {
    if (typeof value === 'string') return value;
    const { environment } = this.#machine;
    if (need === 'wanted' && 'env' in value && (environment[value.env] ?? '') === '') return null;
    const outcome = await this.tryToFollow(value, given);
    if ('value' in outcome) return isPath ? fromDirectory(outcome.value, given.directory) : outcome.value;
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
    const inPlan = `${option.facts.inPlan ?? option.shorthandOf ?? option.path} in a plan`;
    return [nameOfFlag(option), ...names, inPlan].join(', ').replace(/, ([^,]*)$/, ' or $1');
  }

  complain(schema: z.ZodType, sentence: string): void {
    const option = this.#option(schema);
    this.#problems.push({ option: option.shorthandOf ?? option.path, value: null, sentence, origin: null });
  }

  /** Every value that was given, and every default, as a plan would write it; of several that were given, the one that counts. */
  listStated(): readonly StatedOption[] {
    this.#stated ??= [...this.#bySchema.values()].flatMap((option) => {
      const given = this.#find(option.schema)?.given ?? null;
      return given !== null || option.facts.inPlan === undefined ? listStated(option, given, this.#machine) : [];
    });
    return this.#stated;
  }

  /** What the plan declares and this version does not do, or not all of it. */
  get declaredOnly(): readonly { readonly option: string; readonly carriedOut: CarriedOut }[] {
    return this.#survey.declaredOnly;
  }

  /** Follows every reference of the plan; each that leads nowhere is a problem. */
  async followEverything(): Promise<void> {
    for (const { reference, given } of this.#survey.references) {
      const outcome = await this.tryToFollow(reference, given);
      if ('value' in outcome || this.#problems.some(({ option }) => option === given.at)) continue;
      this.#problems.push({ option: given.at, value: null, sentence: outcome.problem, origin: given.origin });
    }
  }

  refuseIfProblems(): void {
    if (this.#problems.length === 0) return;
    const plan = this.#plan;
    const located = this.#problems.map((problem) =>
      plan === null || problem.origin !== plan.file
        ? problem
        : { ...problem, line: problem.line ?? lineOf(plan.lines, problem.option) },
    );
    throw new PlanError(located);
  }
}

function findRepeated(plan: PlanFile | null): PlanProblem[] {
  return (plan?.repeated ?? []).map(({ option, line }) => {
    const sentence = 'Expected this once, found it again, and the last one alone would count.';
    return { option, value: null, sentence, origin: plan!.file, line };
  });
}
