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
  /** True when a relative value means: from the folder of the plan, or from the working directory for a flag or variable. */
  readonly isPath?: boolean;
  /** Of a list: the option by which its entries are told apart, so that no two may have the same. */
  readonly uniqueBy?: string;
}

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
  /** Names that options had before, and what they are called now. */
  readonly renamed?: Readonly<Record<string, string>>;
}

export const groupFacts = z.registry<GroupFacts>();

/** One option as the schema declares it. */
export interface Option {
  /** Dotted, as in `repository.keyFile`; of an option in the entries of a list, `repository.copies[].name`. */
  readonly path: string;
  readonly schema: z.ZodType;
  readonly facts: OptionFacts;
  /** The group that may be written as the value of this option alone. */
  readonly shorthandOf: string | null;
  /** The options of each entry of a list of objects; `null` for any other option. */
  readonly entry: readonly Option[] | null;
  readonly isRequired: boolean;
}

/** The names that a group of options may hold, for telling an unrecognized one. */
export interface OptionGroup {
  readonly path: string;
  readonly keys: readonly string[];
  readonly facts: GroupFacts;
}

/** All options and groups below a schema, in the order in which they are declared. Options in entries of lists hang on their list. */
export function listOptions(root: z.ZodObject): { options: Option[]; groups: OptionGroup[] } {
  const options: Option[] = [];
  const groups: OptionGroup[] = [];
  const walk = (group: z.ZodObject, prefix: string) => {
    const about = groupFacts.get(group) ?? {};
    groups.push({ path: prefix, keys: Object.keys(group.shape), facts: about });
    for (const [key, declared] of Object.entries(group.shape)) {
      const isRequired = !(declared instanceof z.ZodOptional);
      const schema = isRequired ? (declared as z.ZodType) : (declared.unwrap() as z.ZodType);
      const path = prefix === '' ? key : `${prefix}.${key}`;
      const facts = optionFacts.get(schema);
      const shorthandOf = about.shorthand === key ? prefix : null;
      const inner = groupIn(schema);
      if (facts !== undefined) {
        options.push({ path, schema, facts, shorthandOf, isRequired, entry: entryOptions(schema, path) });
      } else if (inner !== null) walk(inner, path);
      else throw new TypeError(`option "${path}" is declared without its facts`);
    }
  };
  walk(root, '');
  return { options, groups };
}

/** The same, with those of the entries of each list behind it. */
export function listAllOptions(root: z.ZodObject): Option[] {
  return listOptions(root).options.flatMap((option) => [option, ...(option.entry ?? [])]);
}

/** A group, also one that may be written in short. */
function groupIn(schema: z.ZodType): z.ZodObject | null {
  if (schema instanceof z.ZodObject) return schema;
  if (!(schema instanceof z.ZodUnion)) return null;
  return schema.options.find((form) => form instanceof z.ZodObject) ?? null;
}

function entryOptions(schema: z.ZodType, path: string): readonly Option[] | null {
  if (!(schema instanceof z.ZodArray) || !(schema.element instanceof z.ZodObject)) return null;
  const { options } = listOptions(schema.element);
  return options.map((option) => ({ ...option, path: `${path}[].${option.path}` }));
}
