import { z } from 'zod';
import { toBytes, toMilliseconds } from './amounts.ts';
import { groupFacts, type Machine, optionFacts } from './option.ts';
import { repositoryCopies, repositoryPrimary, repositoryProtect } from './places-schema.ts';
import { referenceSchema, textOrReference } from './reference.ts';

/** `holdfast_` and the name must fit the 63 bytes that PostgreSQL gives to the name of a replication slot. */
const clusterNameLengthMax = 54;

export const clusterName = z
  .string()
  .regex(new RegExp(`^[a-z0-9_]{1,${clusterNameLengthMax}}$`))
  .register(optionFacts, {
    help: 'Name of the protected PostgreSQL cluster in the repository, in its replication slot and in application_name.',
    expected: `1 to ${clusterNameLengthMax} lower-case letters, digits and underscores, as in a slot's name`,
    flag: '--cluster <name>',
    environment: [{ name: 'HOLDFAST_CLUSTER', as: 'value' }],
    default: {
      value: () => 'main',
      text: 'the only one that the repository keeps, in a new one main',
      reason:
        'Most repositories protect one cluster; where there are several, a command that needs one of them asks for its name.',
    },
  });

export const clusterConnection = textOrReference()
  .refine((value) => typeof value !== 'string' || !holdsPassword(value), { abort: true })
  .register(optionFacts, {
    help: 'How to reach the server: a URL or key words as libpq takes them; the role needs REPLICATION.',
    expected:
      'a connection string without a password (which belongs into DATABASE_URL or PGPASSWORD), or { env }, { file } or { command } that give one, with or without',
    secret: true,
    flag: '--database <connection>',
    environment: [{ name: 'DATABASE_URL', as: 'reference' }],
  });

export const repositoryPassphrase = referenceSchema.register(optionFacts, {
  help: 'The passphrase that opens the repository.',
  expected: '{ env }, { file } or { command }, never the passphrase itself',
  secret: true,
  flag: '--passphrase-file <file>',
  environment: [
    { name: 'HOLDFAST_PASSPHRASE', as: 'reference' },
    { name: 'HOLDFAST_PASSPHRASE_FILE', as: 'file' },
  ],
  fromText: (file) => ({ file }),
});

export const repositoryKeyFile = z
  .string()
  .min(1)
  .register(optionFacts, {
    help: 'File with the key that opens the repository, for hosts on which nobody types.',
    expected: 'a path',
    flag: '--key-file <file>',
    environment: [{ name: 'HOLDFAST_KEY_FILE', as: 'value' }],
    isPath: true,
  });

export const repositoryAgeIdentity = z
  .string()
  .min(1)
  .register(optionFacts, {
    help: 'File with an identity of age (X25519) that opens the repository.',
    expected: 'a path',
    flag: '--age-identity <file>',
    environment: [{ name: 'HOLDFAST_AGE_IDENTITY', as: 'value' }],
    isPath: true,
  });

export const repositoryKeyCommand = z.union([z.string().min(1), z.array(z.string()).min(1)]).register(optionFacts, {
  help: 'Command that opens the repository by asking a key service: called with wrap or unwrap, bytes in and out.',
  expected: 'a program with its words, or one line for sh; docs/keys.md has the protocol',
  flag: '--key-command <command>',
  environment: [{ name: 'HOLDFAST_KEY_COMMAND', as: 'value' }],
});

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

/** All that a plan may say. */
export const planSchema = z.strictObject({
  cluster: z.strictObject({ name: clusterName, connection: clusterConnection.optional() }),
  repository: z
    .strictObject({
      primary: repositoryPrimary,
      copies: repositoryCopies.optional(),
      passphrase: repositoryPassphrase.optional(),
      keyFile: repositoryKeyFile.optional(),
      ageIdentity: repositoryAgeIdentity.optional(),
      keyCommand: repositoryKeyCommand.optional(),
      protect: repositoryProtect.optional(),
    })
    .register(groupFacts, { renamed: { location: 'primary' } }),
  stateDirectory: stateDirectory.optional(),
  wal: z.strictObject({ flushInterval: walFlushInterval.optional(), budget: walBudget.optional() }).optional(),
  backup: z
    .strictObject({
      workers: backupWorkers.optional(),
      compressionLevel: backupCompressionLevel.optional(),
      maxRate: backupMaxRate.optional(),
    })
    .optional(),
});

/** A plan as its file states it. */
export type Plan = z.input<typeof planSchema>;

/** True for a password in a URL's user part, also of one inside key words, among its parameters, or as a key word. */
function holdsPassword(connection: string): boolean {
  return (
    /(^|['\s=])[a-z][a-z0-9+.-]*:\/\/[^/@]*:[^/]*@/i.test(connection) ||
    /[?&](ssl)?password=/i.test(connection) ||
    /(^|\s)(ssl)?password\s*=/i.test(connection)
  );
}

function defaultStateDirectory(machine: Machine): string {
  if (machine.isRoot) return '/var/lib/holdfast';
  const state = machine.environment.XDG_STATE_HOME;
  return `${state === undefined || state === '' ? `${machine.homeDirectory}/.local/state` : state}/holdfast`;
}

/** A text that is no number stays one, so that the refusal can quote it. */
function toNumber(text: string): unknown {
  return /^\d+$/.test(text) ? Number(text) : text;
}
