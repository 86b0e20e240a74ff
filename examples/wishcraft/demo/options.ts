import { parseArgs } from 'node:util';
import { HoldfastError } from '../../../src/lib/index.ts';

/** What can happen to the shop. */
export const disasterNames = ['dropped-table', 'database-failure'] as const;

export type DisasterName = (typeof disasterNames)[number];

/** What was asked for on the command line. */
export interface DemoOptions {
  readonly disaster: DisasterName;
  /** How long the load runs before the disaster; longer when the backup takes longer. */
  readonly seconds: number;
  readonly keep: boolean;
  readonly json: boolean;
  readonly help: boolean;
}

export const usage = `usage: npm run demo -- [options]
  --disaster NAME   dropped-table (the default): the table "registries" is dropped while shops write;
                    database-failure: the server is killed with SIGKILL and its data directory destroyed
  --seconds N       how long the shops write before it happens (10)
  --keep            leave the recovered server running, with everything around it, and say how to look at it
  --json            print the numbers as one line of JSON; what happens is told on standard error
  --help            print this

Exit codes: 0 every write is there that should be · 1 one is not, or something failed · 2 wrong usage · 130 interrupted`;

const secondsDefault = 10;
/** Enough for the backup to begin under load. */
const secondsMin = 1;
/** An hour's load fits into memory and disk by far; a day's might not. */
const secondsMax = 3_600;

/** Reads the command line. Errors: USAGE_INVALID, for whatever is not known. */
export function parseOptions(commandLine: readonly string[]): DemoOptions {
  const flags = new Set<string>();
  const values = new Map<string, string>();
  const known = { disaster: 'value', seconds: 'value', keep: 'flag', json: 'flag', help: 'flag' } as const;
  const { tokens } = parseArgs({
    args: [...commandLine],
    strict: false,
    tokens: true,
    options: { disaster: { type: 'string' }, seconds: { type: 'string' } },
  });
  for (const token of tokens) {
    if (token.kind === 'option-terminator') continue;
    if (token.kind === 'positional') throw refuse(`unexpected argument "${token.value}"`);
    const kind = token.name in known ? known[token.name as keyof typeof known] : undefined;
    if (kind === undefined) throw refuse(`unrecognized option "${token.rawName}"`);
    if (kind === 'flag' && token.value !== undefined) throw refuse(`option "${token.rawName}" takes no value`);
    if (kind === 'value' && token.value === undefined) throw refuse(`option "${token.rawName}" needs a value`);
    if (kind === 'flag') flags.add(token.name);
    else values.set(token.name, token.value!);
  }
  return {
    disaster: parseDisaster(values.get('disaster') ?? 'dropped-table'),
    seconds: parseSeconds(values.get('seconds') ?? String(secondsDefault)),
    keep: flags.has('keep'),
    json: flags.has('json'),
    help: flags.has('help'),
  };
}

function parseDisaster(name: string): DisasterName {
  const found = disasterNames.find((candidate) => candidate === name);
  if (found !== undefined) return found;
  throw refuse(`unrecognized disaster "${name}"`, `Expected one of ${disasterNames.join(', ')}.`);
}

function parseSeconds(text: string): number {
  const seconds = /^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN;
  if (seconds >= secondsMin && seconds <= secondsMax) return seconds;
  throw refuse(`invalid number of seconds "${text}"`, `Expected a number from ${secondsMin} to ${secondsMax}.`);
}

function refuse(message: string, detail?: string): HoldfastError {
  return new HoldfastError('USAGE_INVALID', message, {
    ...(detail === undefined ? {} : { detail }),
    hints: ['Run `npm run demo -- --help` to see what there is.'],
  });
}
