import { z } from 'zod';

/** What is said of an option besides its type, once, for the loader, `--help` and the documentation. */
export interface OptionFacts {
  /** One sentence for people. */
  readonly help: string;
  /** The allowed values in words, to follow "Expected". */
  readonly expected: string;
  /** True when the value must never be shown; such an option takes a reference, not a text. */
  readonly secret?: boolean;
  /** As the command line writes it: `--cluster <name>`. */
  readonly flag?: string;
  /** Environment variables that give it; the first that is set counts, and two at once are a problem. */
  readonly environment?: readonly EnvironmentSource[];
  /** Taken when nobody says otherwise, and why it is this. `text` is for people. */
  readonly default?: OptionDefault;
  /**
   * How the text of a flag or variable becomes a value as it would stand in a plan; the text itself when left out. Of a list: how one text
   * becomes one entry.
   */
  readonly fromText?: (text: string) => unknown;
  /** How a plan states it, where that is not at the path of the option. */
  readonly inPlan?: string;
  /** True when a relative value means: from the folder of the plan, or from the working directory for a flag or variable. */
  readonly isPath?: boolean;
  /** Of a list whose entries have a `name`: what each is, in the words of a message, as in `contact`. No two have the same name. */
  readonly names?: string;
  /** Of a name or a list of names, and of a map for its keys: what they are names of. Each has to stand in the plan. */
  readonly refersTo?: readonly string[];
  /** How much of it this version does; that of the part that it stands in when left out, and of a part: all of it. */
  readonly carriedOut?: CarriedOut;
}

/** How much of what a plan declares is done by this version of the program. What is not is declared all the same, and the linter says so. */
export type CarriedOut = 'yes' | 'in-part' | 'no';

/**
 * How a variable is taken: as the value, as the name of a file that holds it, as a reference to itself, or as the entries of a list with blanks
 * between.
 */
export interface EnvironmentSource {
  readonly name: string;
  readonly as: 'value' | 'file' | 'reference' | 'words';
}

export interface OptionDefault {
  readonly value: (machine: Machine) => unknown;
  readonly text: string;
  readonly reason: string;
}

/** What defaults may depend on, handed in so that they can be tested. */
export interface Machine {
  readonly cores: number;
  readonly homeDirectory: string;
  readonly isRoot: boolean;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/** Where the facts of each option's schema are kept. */
export const optionFacts = z.registry<OptionFacts>();

/** What is said of a group of options besides its names. */
export interface GroupFacts {
  /** The option that may stand for the whole group: `primary: '/backups'` is `primary: { location: '/backups' }`. */
  readonly shorthand?: string;
  /** Names that options had before, and what is to be written now. */
  readonly renamed?: Readonly<Record<string, Renamed>>;
  /** What is wrong with options that are right each by itself, as one whole sentence; `null` when nothing is. */
  readonly check?: (group: Readonly<Record<string, unknown>>) => string | null;
}

export interface Renamed {
  readonly to: string;
  /** How a value was written and how it is written now, where it is not the same. */
  readonly before?: string;
  readonly now?: string;
}

export const groupFacts = z.registry<GroupFacts>();

/** One option as the schema declares it. */
export interface Option {
  /** Dotted, as in `repository.keyFile`; below a list `repository.copies[].name`, below a map `retention.clusters.<name>.daily`. */
  readonly path: string;
  readonly schema: z.ZodType;
  readonly facts: OptionFacts;
  /** The group that may be written as the value of this option alone. */
  readonly shorthandOf: string | null;
  /** What its value is made of; `null` for a plain value. */
  readonly structure: Structure | null;
  /** The options inside of it, in the order in which they are declared; none for a plain value. */
  readonly inner: readonly Option[];
  /** All that it may be, where that is a few words; `null` for any other option. */
  readonly choices: readonly string[] | null;
  readonly isRequired: boolean;
  readonly carriedOut: CarriedOut;
}

/** The names that a group of options may hold, for telling an unrecognized one. */
export interface OptionGroup {
  readonly path: string;
  readonly keys: readonly string[];
  readonly facts: GroupFacts;
}

/** What a value is made of: named options, a list of groups of them, or groups of them under names. */
export interface Structure {
  readonly form: 'group' | 'list' | 'map';
  readonly group: z.ZodObject;
}

/** All options and groups below a schema, in the order in which they are declared. What lies inside an option hangs on it. */
export function listOptions(root: z.ZodObject): { options: Option[]; groups: OptionGroup[] } {
  const options: Option[] = [];
  const groups: OptionGroup[] = [];
  const walk = (group: z.ZodObject, prefix: string) => {
    const about = groupFacts.get(group) ?? {};
    groups.push({ path: prefix, keys: Object.keys(group.shape), facts: about });
    for (const [key, declared] of Object.entries(group.shape)) {
      const { schema, isRequired } = unwrap(declared as z.ZodType);
      const path = prefix === '' ? key : `${prefix}.${key}`;
      const facts = optionFacts.get(schema);
      const inner = groupIn(schema);
      if (facts !== undefined) {
        const shorthandOf = about.shorthand === key ? prefix : null;
        options.push({ ...describeOption(path, schema, facts, 'yes'), shorthandOf, isRequired });
      } else if (inner !== null) walk(inner, path);
      else throw new TypeError(`option "${path}" is declared without its facts`);
    }
  };
  walk(root, '');
  return { options, groups };
}

/** The same, with those inside of each option behind it. */
export function listAllOptions(root: z.ZodObject): Option[] {
  return withInner(listOptions(root).options);
}

function withInner(options: readonly Option[]): Option[] {
  return options.flatMap((option) => [option, ...withInner(option.inner)]);
}

/** A schema as it is declared for a key, without what only says that the key may be left out. */
export function unwrap(declared: z.ZodType): { schema: z.ZodType; isRequired: boolean } {
  if (declared instanceof z.ZodOptional || declared instanceof z.ZodPrefault) {
    return { schema: declared.unwrap() as z.ZodType, isRequired: false };
  }
  return { schema: declared, isRequired: true };
}

export function structureOf(schema: z.ZodType): Structure | null {
  if (schema instanceof z.ZodObject) return { form: 'group', group: schema };
  if (schema instanceof z.ZodArray && schema.element instanceof z.ZodObject) {
    return { form: 'list', group: schema.element };
  }
  if (schema instanceof z.ZodRecord && schema.valueType instanceof z.ZodObject) {
    return { form: 'map', group: schema.valueType };
  }
  return null;
}

function describeOption(path: string, schema: z.ZodType, facts: OptionFacts, inherited: CarriedOut): Option {
  const structure = structureOf(schema);
  const carriedOut = facts.carriedOut ?? inherited;
  const inner = structure === null ? [] : describeInner(structure, path, carriedOut);
  const choices = choicesOf(schema);
  return { path, schema, facts, shorthandOf: null, structure, inner, choices, isRequired: true, carriedOut };
}

function describeInner({ form, group }: Structure, path: string, carriedOut: CarriedOut): Option[] {
  const prefix = { group: path, list: `${path}[]`, map: `${path}.<name>` }[form];
  return Object.entries(group.shape).map(([key, declared]) => {
    const { schema, isRequired } = unwrap(declared as z.ZodType);
    const facts = optionFacts.get(schema);
    if (facts === undefined) throw new TypeError(`option "${prefix}.${key}" is declared without its facts`);
    return { ...describeOption(`${prefix}.${key}`, schema, facts, carriedOut), isRequired };
  });
}

/** A group, also one that may be written in short. */
function groupIn(schema: z.ZodType): z.ZodObject | null {
  if (schema instanceof z.ZodObject) return schema;
  if (!(schema instanceof z.ZodUnion)) return null;
  return schema.options.find((form) => form instanceof z.ZodObject) ?? null;
}

function choicesOf(schema: z.ZodType): readonly string[] | null {
  return schema instanceof z.ZodEnum ? schema.options.map(String) : null;
}
