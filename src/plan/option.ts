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
  /** How the text of a flag or variable becomes a value as it would stand in a plan; the text itself when left out. */
  readonly fromText?: (text: string) => unknown;
  /** True when a relative value means: from the folder of the plan, or from the working directory for a flag or variable. */
  readonly isPath?: boolean;
}

/** How a variable is taken: as the value, as the name of a file that holds it, or as a reference to itself. */
export interface EnvironmentSource {
  readonly name: string;
  readonly as: 'value' | 'file' | 'reference';
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

/** One option as the schema declares it. */
export interface Option {
  /** Dotted, as in `repository.keyFile`. */
  readonly path: string;
  readonly schema: z.ZodType;
  readonly facts: OptionFacts;
}

/** The names that a group of options may hold, for telling an unrecognized one. */
export interface OptionGroup {
  readonly path: string;
  readonly keys: readonly string[];
}

/** All options and groups below a schema, in the order in which they are declared. */
export function listOptions(root: z.ZodObject): { options: Option[]; groups: OptionGroup[] } {
  const options: Option[] = [];
  const groups: OptionGroup[] = [];
  const walk = (group: z.ZodObject, prefix: string) => {
    groups.push({ path: prefix, keys: Object.keys(group.shape) });
    for (const [key, declared] of Object.entries(group.shape)) {
      const schema = declared instanceof z.ZodOptional ? (declared.unwrap() as z.ZodType) : (declared as z.ZodType);
      const path = prefix === '' ? key : `${prefix}.${key}`;
      const facts = optionFacts.get(schema);
      if (facts !== undefined) options.push({ path, schema, facts });
      else if (schema instanceof z.ZodObject) walk(schema, path);
      else throw new TypeError(`option "${path}" is declared without its facts`);
    }
  };
  walk(root, '');
  return { options, groups };
}
