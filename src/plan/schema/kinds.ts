import { z } from 'zod';
import { parseDuration } from '../../lib/index.ts';
import { toMilliseconds } from '../amounts.ts';
import { type OptionFacts, optionFacts } from '../option.ts';
import { reference } from '../reference.ts';
import { toSchedule } from '../schedule.ts';

/** What one option adds to the facts of its kind. */
type More = Omit<Partial<OptionFacts>, 'help'>;

const nameLengthMax = 48;

/** What an entry of a list is called, in every output and wherever something else of the plan refers to it. */
export const nameOf = (kind: string) =>
  z
    .string()
    .regex(new RegExp(`^[a-z0-9][a-z0-9-]{0,${nameLengthMax - 1}}$`))
    .register(optionFacts, {
      help: `What this ${kind} is called in the plan and in every output.`,
      expected: `1 to ${nameLengthMax} lower-case letters, digits and hyphens`,
    });

const textLengthMax = 2_000;

export const text = (help: string, more: More = {}) =>
  z
    .string()
    .min(1)
    .max(textLengthMax)
    .register(optionFacts, { help, expected: 'a text', ...more });

const textCountMax = 1_000;

export const texts = (help: string, more: More = {}) =>
  z
    .array(z.string().min(1).max(textLengthMax))
    .max(textCountMax)
    .register(optionFacts, { help, expected: 'a list of texts', ...more });

/** What must not stand in a plan: a reference to it. */
export const secretReference = (help: string, more: More = {}) =>
  reference().register(optionFacts, {
    help,
    expected: '{ env }, { file } or { command }, never the secret itself',
    secret: true,
    ...more,
  });

export const yesOrNo = (help: string, more: More = {}) =>
  z.boolean().register(optionFacts, { help, expected: 'true or false', ...more });

export const choice = <const Values extends readonly [string, ...string[]]>(
  values: Values,
  help: string,
  more: More = {},
) => z.enum(values).register(optionFacts, { help, expected: formatChoices(values), ...more });

export const choices = <const Values extends readonly [string, ...string[]]>(
  values: Values,
  help: string,
  more: More = {},
) =>
  z
    .array(z.enum(values))
    .min(1)
    .register(optionFacts, { help, expected: `a list of some of ${values.join(', ')}`, ...more });

export const wholeNumber = (from: number, to: number, help: string, more: More = {}) =>
  z
    .number()
    .int()
    .min(from)
    .max(to)
    .register(optionFacts, { help, expected: `a whole number from ${from} to ${to}`, ...more });

/** A share of a whole, of which nothing and all are no sensible values. */
export const percentage = (help: string, more: More = {}) =>
  z
    .number()
    .gt(0)
    .lt(100)
    .register(optionFacts, { help, expected: 'a percentage above 0 and below 100, such as 99.9', ...more });

/** Milliseconds, from a text. */
export const duration = (from: string, to: string, help: string, more: More = {}) =>
  z
    .string()
    .transform(toMilliseconds)
    .pipe(z.number().min(parseDuration(from)).max(parseDuration(to)))
    .register(optionFacts, { help, expected: `a duration from ${from} to ${to}`, ...more });

/** The longest that anything of a plan is counted in: longer than any law asks for. */
export const LONGEST = '100y';

/** How long anything may take, or how much may be lost: nothing at all is a promise, too. */
export const promise = (help: string, more: More = {}) => duration('0s', '366d', help, more);

/** A day, as in `2027-03-31`. */
export const day = (help: string, more: More = {}) =>
  z.iso.date().register(optionFacts, { help, expected: 'a day of the calendar, such as 2027-03-31', ...more });

/** When something is done: a line of cron, an interval, or all the time. */
export const schedule = (help: string, more: More = {}) =>
  z
    .string()
    .transform(toSchedule)
    .register(optionFacts, {
      help,
      expected:
        'a line of cron with five fields that comes up at some time, "every" with a duration from 1m on, or continuous',
      ...more,
    });

export const timeZone = (help: string) =>
  z
    .string()
    .refine(isTimeZone)
    .register(optionFacts, {
      help,
      expected: 'a time zone of the IANA database, such as UTC or Europe/Berlin',
      default: { value: () => 'UTC', text: 'UTC', reason: 'It has no hour that comes twice or not at all.' },
    });

/** The name of one thing that the plan declares elsewhere. */
export const nameFrom = (kind: string | readonly string[], help: string, more: More = {}) => {
  const refersTo = typeof kind === 'string' ? [kind] : kind;
  const expected = `the name of a ${refersTo.join(' or a ')} in this plan`;
  return z
    .string()
    .min(1)
    .register(optionFacts, { help, expected, refersTo, ...more });
};

export const namesFrom = (kind: string | readonly string[], help: string, more: More = {}) => {
  const refersTo = typeof kind === 'string' ? [kind] : kind;
  const expected = `a list of names, each of a ${refersTo.join(' or a ')} in this plan`;
  return z.array(z.string().min(1)).register(optionFacts, { help, expected, refersTo, ...more });
};

/** A list of things that have names; none when nobody gives one. */
export const listOf = <Shape extends z.ZodObject>(kind: string, entry: Shape, help: string, more: More = {}) =>
  z
    .array(entry)
    .register(optionFacts, { help, expected: `a list of ${formatEntry(entry)}`, names: kind, ...more })
    .prefault([]);

/** The same of things without names. */
export const listWithoutNames = <Shape extends z.ZodObject>(entry: Shape, help: string, more: More = {}) =>
  z
    .array(entry)
    .register(optionFacts, { help, expected: `a list of ${formatEntry(entry)}`, ...more })
    .prefault([]);

/** A list of texts or names that is empty when nobody gives one. */
export const orNone = <Element extends z.ZodType>(list: z.ZodArray<Element>): z.ZodPrefault<z.ZodArray<Element>> =>
  z.prefault(list, []);

/** Options that belong together, of which each may be left out. */
export const groupOf = <Shape extends z.ZodObject>(group: Shape, help: string, more: More = {}) =>
  withFacts(group, help, more).prefault({} as z.input<Shape>);

/** Options that belong together, of which some must stand when one does; `null` when nobody gives any. */
export const groupIfGiven = <Shape extends z.ZodObject>(group: Shape, help: string, more: More = {}) =>
  withFacts(group, help, more).optional();

/** One option whose value when left out is the default among its facts. */
export const filled = <Schema extends z.ZodType>(schema: Schema): z.ZodPrefault<Schema> => {
  const { default: byDefault } = optionFacts.get(schema)!;
  // Those of a plan's nouns depend on no machine.
  return z.prefault(schema, byDefault!.value({ cores: 1, homeDirectory: '', isRoot: false, environment: {} }) as never);
};

function withFacts<Shape extends z.ZodObject>(group: Shape, help: string, more: More): Shape {
  const expected = `an object with the options ${Object.keys(group.shape).join(', ')}`;
  optionFacts.add(group, { help, expected, ...more });
  return group;
}

function formatEntry(entry: z.ZodObject): string {
  return `objects with the options ${Object.keys(entry.shape).join(', ')}`;
}

function formatChoices(values: readonly string[]): string {
  return values.join(', ').replace(/, ([^,]*)$/, ' or $1');
}

function isTimeZone(name: string): boolean {
  try {
    new Intl.DateTimeFormat('en', { timeZone: name });
    // An offset such as +01:00 is no zone: it knows no summer time.
    return /^[A-Za-z]/.test(name);
  } catch {
    return false;
  }
}
