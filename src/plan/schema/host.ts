import { z } from 'zod';
import { toBytes, toMilliseconds } from '../amounts.ts';
import { type Machine, optionFacts } from '../option.ts';

export const stateDirectory = z
  .string()
  .min(1)
  .register(optionFacts, {
    help: 'Directory for what this host remembers between runs; one for each host, never shared.',
    expected: 'a path',
    flag: '--state-dir <directory>',
    environment: [{ name: 'HOLDFAST_STATE_DIR', as: 'value' }],
    default: {
      value: defaultStateDirectory,
      text: '/var/lib/holdfast for root, otherwise $XDG_STATE_HOME/holdfast or ~/.local/state/holdfast',
      reason: 'It is where the system keeps such things; losing it costs a comparison, never data.',
    },
    isPath: true,
  });

const flushIntervalMsMin = 100;
const flushIntervalMsMax = 60_000;

export const walFlushInterval = z
  .string()
  .transform(toMilliseconds)
  .pipe(z.number().min(flushIntervalMsMin).max(flushIntervalMsMax))
  .register(optionFacts, {
    help: 'The longest that new WAL waits before it is made durable in the repository.',
    expected: 'a duration from 100ms to 60s',
    flag: '--flush-interval <duration>',
    default: { value: () => '1s', text: '1s', reason: 'One second of loss at most, for one small object a second.' },
  });

/** A budget below a few segments would be exceeded by what every server keeps. */
const walBudgetMin = 64 * 1024 * 1024;
const walBudgetDefault = 16 * 1024 * 1024 * 1024;

export const walBudget = z
  .union([z.number(), z.string().transform(toBytes)])
  .pipe(z.number().int().min(walBudgetMin))
  .register(optionFacts, {
    help: 'How much WAL the server may keep, by the slot or in pg_wal, before there is an alarm.',
    expected: 'bytes from 64MiB on, such as 16GiB',
    flag: '--wal-budget <bytes>',
    default: {
      value: () => walBudgetDefault,
      text: '16GiB',
      reason:
        'Well above what a server keeps by itself, and half an hour of writing at full speed: time to act before a usual disk is full.',
    },
  });

const workersMax = 64;

export const backupWorkers = z
  .number()
  .int()
  .min(1)
  .max(workersMax)
  .register(optionFacts, {
    help: 'Threads that compress and encrypt.',
    expected: `a whole number from 1 to ${workersMax}`,
    flag: '--workers <count>',
    fromText: toNumber,
    default: {
      value: (machine) => Math.min(workersMax, machine.cores),
      text: 'one for each core',
      reason: 'Compression is what a backup waits for.',
    },
  });

export const backupCompressionLevel = z.number().int().min(1).max(19).register(optionFacts, {
  help: 'Level of zstd, higher is smaller and slower; the one that the repository was made with when left out.',
  expected: 'a whole number from 1 to 19',
  flag: '--compression-level <level>',
  fromText: toNumber,
});

/** The range that the server's own MAX_RATE has: 32 kB to 1 GB in a second. */
const rateMin = 32 * 1024;
const rateMax = 1024 * 1024 * 1024;

export const backupMaxRate = z
  .union([z.number(), z.string().transform(toBytes)])
  .pipe(z.number().min(rateMin).max(rateMax))
  .register(optionFacts, {
    help: 'The most that a backup reads from the server in a second.',
    expected: 'bytes in a second from 32KiB to 1GiB, such as 50MiB',
    flag: '--max-rate <bytes>',
  });

export const backupCheckpoint = z.enum(['spread', 'fast']).register(optionFacts, {
  help: 'The checkpoint with which a backup begins. spread: the server takes minutes over it and hardly feels it. fast: at once, with a burst of writes.',
  expected: 'spread or fast',
  flag: '--checkpoint <kind>',
  environment: [{ name: 'HOLDFAST_CHECKPOINT', as: 'value' }],
  default: {
    value: () => 'spread',
    text: 'spread',
    reason: 'Backups are taken again and again while the server is in use, and a later beginning costs nothing.',
  },
});

export const wal = z.strictObject({ flushInterval: walFlushInterval.optional(), budget: walBudget.optional() });

export const backup = z.strictObject({
  workers: backupWorkers.optional(),
  compressionLevel: backupCompressionLevel.optional(),
  maxRate: backupMaxRate.optional(),
  checkpoint: backupCheckpoint.optional(),
});

function defaultStateDirectory(machine: Machine): string {
  if (machine.isRoot) return '/var/lib/holdfast';
  const state = machine.environment.XDG_STATE_HOME;
  return `${state === undefined || state === '' ? `${machine.homeDirectory}/.local/state` : state}/holdfast`;
}

/** A text that is no number stays one, so that the refusal can quote it. */
function toNumber(text: string): unknown {
  return /^\d+$/.test(text) ? Number(text) : text;
}
