import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { formatMoment, HoldfastError, messageOf } from '../../lib/index.ts';
import type { ResolvedPlace } from '../../plan/index.ts';
import type { KitFinding, KitPlace, KitVariable } from '../../protect/keys/index.ts';
import type { Command, CommandContext, CommandInput } from '../command.ts';
import { listPlaces } from '../open-places.ts';
import type { Outcome, Paint } from '../output/index.ts';
import { packageVersion } from '../package-version.ts';

/** More than any page has, and less than a wrong file would fill memory with. */
const KIT_BYTES_MAX = 16 << 20;

/** `holdfast recovery-kit`. */
export const recoveryKit: Command = {
  path: ['recovery-kit'],
  summary: 'Make a page to print, with which everything can be restored when all else is lost.',
  details: [
    'It says what to type on an empty machine, where the primary and the copies are, which keys open them, and how to tell that it is right.',
    'With --with-key it holds a key of its own, drawn for this page and kept nowhere else: whoever has the page and can reach the store can read everything.',
    'Secrets of the stores are not on it, unless --with-store-secrets asks for those that the plan names.',
  ],
  examples: [
    {
      line: 'holdfast recovery-kit --with-key --out ~/kit.html',
      does: 'A page with a key of its own, to be printed and locked away.',
    },
    { line: 'holdfast recovery-kit --check ~/kit.html', does: 'Whether the page still fits the repository.' },
  ],
  access: (input) => (input.isSet('with-key') ? 'write' : 'read'),
  database: 'none',
  flags: [
    { flag: '--out <file>', help: 'Where the page is written. (default: recovery-kit-ID.html here)' },
    { flag: '--with-key', help: 'Draw a key for this page alone, and print it there.' },
    { flag: '--label <text>', help: 'A name for that key, shown in lists of them. (default: recovery kit of DATE)' },
    {
      flag: '--with-store-secrets',
      help: 'Print the secrets that the plan names for the stores, so that the page alone lets one in there: to read, and to delete whatever they may.',
    },
    {
      flag: '--check <file>',
      help: 'Compare a page, or a file with nothing but the key as you typed it, with the repository.',
    },
  ],
  run: async (context, input) => {
    const checked = input.optional('check');
    return checked === undefined ? make(context, input) : check(context, input, resolve(checked));
  },
};

async function make(context: CommandContext, input: CommandInput): Promise<Outcome> {
  const { repository, plan, clock } = context;
  const { makeKit } = await import('../../protect/keys/index.ts');
  const path = resolve(input.optional('out') ?? `recovery-kit-${repository.id.slice(0, 8)}.html`);
  const withSecrets = input.isSet('with-store-secrets');
  const { slot, facts } = await makeKit({
    repository,
    stateDirectory: plan.stateDirectory,
    places: listPlaces(plan.repository).map((place) => toKitPlace(place, withSecrets)),
    contacts: [],
    version: packageVersion(),
    path,
    // Pages are told apart by it when one is lost and its key is to be removed.
    withKey: input.isSet('with-key')
      ? { label: input.optional('label') ?? `recovery kit of ${formatMoment(clock.now())}` }
      : null,
  });
  const places = facts.places.map(({ name, location }) => ({ name, location }));
  return {
    json: {
      file: path,
      keySlot: slot,
      storeSecrets: withSecrets,
      places,
      keySlots: facts.slots.map((each) => each.slot),
    },
    text: (paint) => [
      `${paint.good('wrote')} the recovery kit ${paint.strong(path)}`,
      ...(slot === null
        ? ['It holds no key: keep one beside it, or make a page with --with-key.']
        : [
            `Its key opens key slot ${slot}, and stands nowhere else.`,
            paint.warning('Print it, put it where the loss of everything cannot reach it, and delete the file.'),
          ]),
      ...(withSecrets
        ? [paint.warning('It holds secrets of the stores: whoever has it can do there whatever those allow.')]
        : []),
      'Try it before you need it: docs/guides/recovery-kit.md.',
    ],
  };
}

async function check(context: CommandContext, input: CommandInput, path: string): Promise<Outcome> {
  if (input.isSet('with-key') || input.isSet('with-store-secrets') || input.optional('out') !== undefined) {
    throw new HoldfastError('USAGE_INVALID', 'cannot make a recovery kit and check one at once', {
      hints: ['Give --check alone.'],
    });
  }
  const { checkKit, readKit } = await import('../../protect/keys/index.ts');
  const kit = readKit(await readPage(path));
  if (kit.kind === 'neither') {
    throw new HoldfastError('KIT_UNRECOGNIZED', `cannot read "${path}" as a recovery kit`, {
      detail: 'Expected the page as it was written, its text, or nothing but the key as it was typed from it.',
      hints: ['Type the two lines of the key into a file of their own, and check that.'],
    });
  }
  const locations = listPlaces(context.plan.repository).map(({ location }) => location);
  const findings = await checkKit(context.repository, kit, locations);
  const isRight = findings.every(({ verdict }) => verdict !== 'wrong');
  return {
    ...(isRight ? {} : { reason: 'problemFound' as const }),
    json: {
      file: path,
      right: isRight,
      what: kit.kind,
      madeAt: kit.kind === 'page' ? kit.madeAt : null,
      findings: findings.map((finding) => ({ ...finding })),
    },
    text: (paint) => findings.map((finding) => findingLine(finding, paint)),
  };
}

function findingLine({ verdict, sentence }: KitFinding, paint: Paint): string {
  const marks = { right: paint.good('right '), notice: paint.warning('notice'), wrong: paint.bad('wrong ') };
  return `${marks[verdict]}  ${sentence}`;
}

async function readPage(path: string): Promise<string> {
  try {
    const bytes = await readFile(path);
    return bytes.length > KIT_BYTES_MAX ? '' : bytes.toString('utf8');
  } catch (error) {
    throw new HoldfastError('KIT_FILE_UNREADABLE', `could not read the recovery kit "${path}"`, {
      detail: `The system said: ${messageOf(error)}.`,
      hints: ['Check the path, and that you may read the file.'],
      cause: error,
    });
  }
}

/** What whoever recovers has to give to the store, under the names by which its driver finds it in the environment. */
function toKitPlace({ name, location, credentials }: ResolvedPlace, withSecrets: boolean): KitPlace {
  const secret = (variable: string, value: { reveal(): string }): KitVariable => ({
    name: variable,
    value: withSecrets ? value.reveal() : null,
    secret: true,
  });
  const variables = (...all: KitVariable[]): KitPlace => ({
    name,
    location,
    access: { kind: 'variables', variables: all },
  });
  switch (credentials.kind) {
    case 'access-key':
      return variables(
        { name: 'AWS_ACCESS_KEY_ID', value: credentials.accessKeyId, secret: false },
        secret('AWS_SECRET_ACCESS_KEY', credentials.secretAccessKey),
        ...(credentials.sessionToken === undefined ? [] : [secret('AWS_SESSION_TOKEN', credentials.sessionToken)]),
      );
    case 'profile':
      return variables({ name: 'AWS_PROFILE', value: credentials.profile, secret: false });
    case 'account-key':
      return variables(secret('AZURE_STORAGE_KEY', credentials.key));
    case 'sas':
      return variables(secret('AZURE_STORAGE_SAS_TOKEN', credentials.token));
    case 'chain':
    case 'absent':
      return { name, location, access: { kind: 'environment' } };
  }
}
