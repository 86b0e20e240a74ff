import { z } from 'zod';
import { toMilliseconds } from '../amounts.ts';
import { groupFacts, optionFacts } from '../option.ts';
import { reference, textOrReference } from '../reference.ts';
import { filled } from './kinds.ts';

/** Where a repository lies, as every place of it says. */
const locationExpected =
  'a path, s3://bucket/prefix or azure://account/container/prefix, or { env }, { file } or { command } that give one';

export const primaryLocation = textOrReference().register(optionFacts, {
  help: 'Where the repository lies first of all: a directory, S3 or Azure Blob. Standing alone it is the whole of repository.primary.',
  expected: locationExpected,
  flag: '--repository <location>',
  environment: [{ name: 'HOLDFAST_REPOSITORY', as: 'value' }],
  isPath: true,
});

/** What names a secret: a reference, never the text itself. */
const secret = reference();

/** One schema for each place, as what is registered of a schema holds wherever it is used. */
const placeCredentials = () =>
  z
    .union([
      z.strictObject({
        accessKeyId: textOrReference(),
        secretAccessKey: secret,
        sessionToken: secret.optional(),
      }),
      z.strictObject({ profile: z.string().min(1) }),
      z.strictObject({ accountKey: secret }),
      z.strictObject({ sas: secret }),
    ])
    .register(optionFacts, {
      help: 'What opens the store of this place; the usual chain (environment, shared files, web identity, instance) when left out.',
      expected:
        '{ accessKeyId, secretAccessKey }, with sessionToken where there is one, { profile }, { accountKey } or { sas }, each secret as { env }, { file } or { command }',
      secret: true,
    });

const lockMsMin = 24 * 60 * 60 * 1000;
const lockMsMax = 3_650 * lockMsMin;

const placeLock = () =>
  z.string().transform(toMilliseconds).pipe(z.number().min(lockMsMin).max(lockMsMax)).register(optionFacts, {
    help: 'For how long objects are locked in this place, where its store can keep a lock; not at all when left out.',
    expected: 'a duration from 1d to 3650d',
  });

export const primaryCredentials = placeCredentials();
export const primaryLock = placeLock();

/** The name that the first place has in every output. */
export const PRIMARY = 'primary';

const copyNameLengthMax = 32;

const copyName = z
  .string()
  .regex(new RegExp(`^[a-z0-9][a-z0-9-]{0,${copyNameLengthMax - 1}}$`))
  .refine((name) => name !== PRIMARY)
  .register(optionFacts, {
    help: 'What this copy is called in every output and in every command that names one.',
    expected: `1 to ${copyNameLengthMax} lower-case letters, digits and hyphens, and not "${PRIMARY}"`,
  });

const copyLocation = textOrReference().register(optionFacts, {
  help: 'Where this copy lies: best in another region and under another account, never below the primary or another copy.',
  expected: locationExpected,
  isPath: true,
});

const copyCredentials = placeCredentials();
const copyLock = placeLock();

const copyRequired = z.boolean().register(optionFacts, {
  help: 'Whether a backup counts only once this copy has it, and what it needs, too.',
  expected: 'true or false',
  default: {
    value: () => false,
    text: 'false',
    reason: 'A copy that is away then stops no backup; it catches up, and how far it is behind is told.',
  },
});

export const repositoryCopies = z
  .array(
    z.strictObject({
      name: copyName,
      location: copyLocation,
      credentials: copyCredentials.optional(),
      required: filled(copyRequired),
      lock: copyLock.optional(),
    }),
  )
  .register(optionFacts, {
    help: 'Further places that get every object of the repository: other disks, regions, accounts.',
    expected:
      'a list of { name, location }, with credentials, required and lock where they are wanted, or NAME=LOCATION',
    flag: '--copy <name=location>',
    environment: [{ name: 'HOLDFAST_COPIES', as: 'words' }],
    fromText: splitCopy,
    names: 'copy',
  });

export const repositoryPrimary = z.union([
  primaryLocation,
  z
    .strictObject({
      location: primaryLocation,
      credentials: primaryCredentials.optional(),
      lock: primaryLock.optional(),
    })
    .register(groupFacts, { shorthand: 'location' }),
]);

export const repositoryProtect = z.enum(['writes', 'wal']).register(optionFacts, {
  help: 'What comes first while the primary place is away. writes: WAL is confirmed to the server once it is durable on this host, so that the database never stops. wal: only once it is durable away from here, in the primary or a required copy.',
  expected: 'writes or wal',
  default: {
    value: () => 'writes',
    text: 'writes',
    reason: 'A healthy database behind a broken network is left alone.',
  },
});

/**
 * A text without a name stays one, so that the refusal can quote it. An address whose parameters have a "=" is one, too: taken for a name it would be
 * refused as a name, which helps nobody.
 */
function splitCopy(text: string): unknown {
  const at = text.indexOf('=');
  return at < 1 || text.slice(0, at).includes('/') ? text : { name: text.slice(0, at), location: text.slice(at + 1) };
}
