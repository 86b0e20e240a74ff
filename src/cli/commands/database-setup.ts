import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { HoldfastError, messageOf, parseBytes, parseDuration, Secret } from '../../lib/index.ts';
import type { ConnectionTarget } from '../../postgres/index.ts';
import type { PreparedSetup, RoleWish, SetupOptions, SetupResult } from '../../watch/index.ts';
import { chooseCluster } from '../cluster.ts';
import type { Command, CommandContext, CommandInput } from '../command.ts';
import { readDatabase } from '../database.ts';
import { type Json, type Paint, shortId } from '../output/index.ts';

/** The environment variable with a superuser's connection, as one with a password does not belong into arguments. */
const ADMINISTRATOR_VARIABLE = 'HOLDFAST_ADMIN_URL';

/** A segment that was switched is there within seconds, or something is wrong. */
const WAIT_MS_DEFAULT = 60_000;

/** `holdfast database setup`. */
export const databaseSetup: Command = {
  path: ['database', 'setup'],
  summary: 'Bring the server to where backups and WAL can leave it, and see that they do.',
  details: [
    'It looks at what is there, shows what is missing (settings, a role, the slot, archive_command), asks, and does no more than that. It is done when the',
    'server was made to finish a WAL segment and that segment has arrived in the repository. Run again, it finds nothing to do and proves the same once more.',
    'A setting may need a restart of the server: it says so and ends with 3; with --restart-command it restarts it. Undoing is printed at the end.',
  ],
  examples: [
    { line: 'holdfast database setup --dry-run', does: 'Only say what is missing.' },
    {
      line: 'holdfast database setup --as postgresql://postgres@db/postgres --role holdfast --write-password ~/.pgpass',
      does: 'Make a role with a password that it draws, the settings and the slot.',
    },
  ],
  access: (input) => (isOnlyLooking(input) ? 'wanted' : 'write'),
  database: 'required',
  flags: [
    {
      flag: '--as <connection>',
      help: `A superuser's connection for the set-up alone, without a password in it. (environment: ${ADMINISTRATOR_VARIABLE}; default: --database)`,
    },
    {
      flag: '--role <name>',
      help: 'A role for backups, with LOGIN, REPLICATION and pg_monitor alone. (default: the one that connects, as it is)',
    },
    {
      flag: '--write-password <file>',
      help: 'Draw a password for the role and write it into this password file (~/.pgpass).',
    },
    { flag: '--role-password-file <file>', help: 'Give the role the password in this file.' },
    {
      flag: '--direct',
      help: 'Let the role read directly, too: grant it what holdfast backup --direct needs. (docs/direct.md)',
    },
    { flag: '--archive', help: 'Hand WAL over by archive_command, too: holdfast wal push.' },
    { flag: '--replace-archive-command', help: "With --archive, in the place of somebody else's archive_command." },
    {
      flag: '--slot-budget <bytes>',
      help: 'What a slot may keep at most. (default: a day of WAL at the rate so far, at least 4GiB)',
    },
    {
      flag: '--include-file <file>',
      help: 'Write the settings into this file on the host of the server. (default: ALTER SYSTEM)',
    },
    { flag: '--write-hba', help: 'Write the line that lets the role in into pg_hba.conf, on the host of the server.' },
    { flag: '--restart-command <command>', help: 'Restart the server with this command when a setting needs it.' },
    { flag: '--wait <duration>', help: 'How long the switched segment may take. (default: 60s)' },
    { flag: '--dry-run', help: 'Show what is missing, and change nothing.' },
    { flag: '--print-sql', help: 'Print the statements for somebody who may run them, and change nothing.' },
    { flag: '--yes', help: 'Do it without asking.' },
  ],
  run: async (context, input) => {
    const { executeSetup, listStatements, prepareSetup } = await import('../../watch/index.ts');
    const cluster = isOnlyLooking(input) ? context.plan.cluster.name : await chooseCluster(context, 'set up');
    const options = await readOptions(context, input, cluster);
    const prepared = await prepareSetup(options);
    const statements = listStatements(prepared.proposal);
    if (isOnlyLooking(input)) {
      return {
        json: { dryRun: true, proposal: proposalDocument(prepared), statements },
        text: (paint) => (input.isSet('print-sql') ? statements : proposalText(prepared, paint)),
      };
    }
    context.say((paint) => proposalText(prepared, paint));
    await askForConsent(context, input, prepared);
    const result = await executeSetup(prepared, options, {
      ...{ repository: context.repository, cluster, stateDirectory: context.plan.stateDirectory },
      waitMs: input.optional('wait') === undefined ? WAIT_MS_DEFAULT : parseDuration(input.required('wait')),
    });
    return {
      reason: result.whyNotProven === null ? 'done' : 'problemFound',
      json: resultDocument(prepared, result),
      text: (paint) => resultText(result, paint),
    };
  },
};

function isOnlyLooking(input: CommandInput): boolean {
  return input.isSet('dry-run') || input.isSet('print-sql');
}

async function readOptions(context: CommandContext, input: CommandInput, cluster: string): Promise<SetupOptions> {
  const { serverSideName } = await import('../../protect/wal/index.ts');
  const source = await readDatabase(context);
  const administrator = await readAdministrator(context, input, source);
  const passwordFile = input.optional('write-password') ?? null;
  return {
    wish: {
      slot: serverSideName(cluster),
      role: await readRoleWish(context, input, source),
      archiveCommand: input.isSet('archive') ? await composeArchiveCommand(context, input, cluster) : null,
      replacesArchive: input.isSet('replace-archive-command'),
      slotBudgetBytes: input.optional('slot-budget') === undefined ? null : parseBytes(input.required('slot-budget')),
    },
    ...{ administrator, source, passwordFile, looksOnly: isOnlyLooking(input) },
    includeFile: input.optional('include-file') ?? null,
    writesHba: input.isSet('write-hba'),
    readsDirectly: input.isSet('direct'),
    restartCommand: input.optional('restart-command') ?? null,
    clock: context.clock,
    signal: context.signal,
  };
}

async function readAdministrator(
  context: CommandContext,
  input: CommandInput,
  source: ConnectionTarget,
): Promise<ConnectionTarget> {
  const flag = input.optional('as');
  if (flag !== undefined && /^[a-z]+:\/\/[^/?#@]*:[^/?#@]*@|password=/i.test(flag)) {
    throw new HoldfastError('USAGE_INVALID', 'refused a password in an argument of the command line', {
      detail: 'Everybody on this host can read the arguments of a running program.',
      hints: [`Give the connection in ${ADMINISTRATOR_VARIABLE}, or the password in PGPASSWORD or a password file.`],
    });
  }
  const connection = flag ?? context.environment[ADMINISTRATOR_VARIABLE] ?? '';
  if (connection === '') return source;
  context.redaction.addConnection(connection);
  const { parseConnectionString } = await import('../../postgres/index.ts');
  return parseConnectionString(connection, { variables: context.environment });
}

async function readRoleWish(
  context: CommandContext,
  input: CommandInput,
  source: ConnectionTarget,
): Promise<RoleWish | null> {
  const name = input.optional('role');
  const [given, written] = [input.optional('role-password-file'), input.optional('write-password')];
  if (name === undefined) {
    if (given === undefined && written === undefined) return null;
    throw new HoldfastError('USAGE_INVALID', 'cannot give a password to a role that is not named', {
      hints: ['Name it with --role.'],
    });
  }
  if (given !== undefined && written !== undefined) {
    throw new HoldfastError('USAGE_INVALID', 'cannot both draw a password and take one from a file', {
      hints: ['Leave out --write-password or --role-password-file.'],
    });
  }
  if (given !== undefined) return { name, password: { text: hide(context, readSecret(given)), place: given } };
  if (written === undefined) return { name, password: null };
  const { drawPassword } = await import('../../watch/index.ts');
  // What an earlier set-up wrote there is used again.
  const known = source.with({ user: name, password: undefined, passwordFile: written }).findPassword(true).password;
  return { name, password: { text: hide(context, known ?? drawPassword()), place: written } };
}

function hide({ redaction }: CommandContext, password: string): Secret {
  redaction.add(password);
  return new Secret(password);
}

function readSecret(file: string): string {
  try {
    const text = readFileSync(file, 'utf8').replace(/\r?\n$/, '');
    if (text !== '') return text;
  } catch (error) {
    throw new HoldfastError('USAGE_INVALID', `could not read the password file "${file}"`, {
      detail: `The system said: ${messageOf(error)}.`,
      cause: error,
    });
  }
  throw new HoldfastError('USAGE_INVALID', `the password file "${file}" is empty`);
}

/** With paths and names written out, as the server's shell has neither our environment nor our working directory. */
async function composeArchiveCommand(
  { plan, environment }: CommandContext,
  input: CommandInput,
  cluster: string,
): Promise<string> {
  const { formatArchiveCommand } = await import('../../watch/index.ts');
  const { directoryOfLocation } = await import('../../repository/index.ts');
  const { primary, copies, credential } = plan.repository;
  const passphraseFile = input.optional('passphrase-file') ?? environment.HOLDFAST_PASSPHRASE_FILE;
  const keyIsInPlan =
    (credential?.kind === 'passphrase' && passphraseFile === undefined) ||
    (credential?.kind === 'command' && typeof credential.command !== 'string');
  // What opens a place, and what copies there are, is said by the plan alone; a flag would stand for the place without its credentials.
  const placesAreInPlan = [primary, ...copies].some((place) => place?.origin === plan.file);
  const usesPlan = plan.file !== null && (keyIsInPlan || placesAreInPlan);
  if (
    primary === null ||
    credential === null ||
    (credential.kind === 'passphrase' &&
      passphraseFile === undefined &&
      (!usesPlan || environment.HOLDFAST_PASSPHRASE !== undefined))
  ) {
    throw new HoldfastError(
      'USAGE_INVALID',
      'cannot compose an archive_command without a key that the server can read',
      {
        detail: 'The server runs the command without our environment, so a passphrase in it is not there.',
        hints: ['Name a key file with --key-file, or a file with the passphrase with --passphrase-file.'],
      },
    );
  }
  return formatArchiveCommand({
    // At the same place seen from the sources and from what is built of them.
    program: join(dirname(fileURLToPath(import.meta.url)), '../../../bin/holdfast'),
    planFile: usesPlan ? plan.file : null,
    flags: {
      ...(primary.origin === plan.file
        ? {}
        : { repository: directoryOfLocation(primary.location) ?? primary.location }),
      // A copy that only our environment names would be forgotten by the server's shell.
      ...(copies.some(({ origin }) => origin !== plan.file)
        ? { copy: copies.map(({ name, location }) => `${name}=${directoryOfLocation(location) ?? location}`) }
        : {}),
      ...(credential.kind === 'key-file' ? { 'key-file': credential.path } : {}),
      ...(credential.kind === 'age-identity' ? { 'age-identity': credential.path } : {}),
      ...(credential.kind === 'command' && typeof credential.command === 'string'
        ? { 'key-command': credential.command }
        : {}),
      ...(credential.kind === 'passphrase' && passphraseFile !== undefined
        ? { 'passphrase-file': passphraseFile }
        : {}),
      'state-dir': plan.stateDirectory,
      cluster,
    },
  });
}

async function askForConsent(
  { terminal }: CommandContext,
  input: CommandInput,
  { proposal }: PreparedSetup,
): Promise<void> {
  if (proposal.isEmpty || input.isSet('yes')) return;
  if (terminal !== null && /^y(es)?$/i.test((await terminal.askLine('Do this? [y/N]')).trim())) return;
  throw new HoldfastError('SETUP_NOT_CONFIRMED', 'did not change the server: nobody agreed', {
    detail: 'What would be done is shown above.',
    hints: ['Run again with --yes to do it, or with --print-sql for statements that somebody else can run.'],
  });
}

function proposalDocument({ proposal: { system, settings, role, direct, slot, needsRestart } }: PreparedSetup): Json {
  return {
    system,
    settings: settings.map(({ name, from, to, why, needsRestart: restarts, isWritten }) => ({
      name,
      from,
      to,
      why,
      needsRestart: restarts,
      written: isWritten,
    })),
    role:
      role === null
        ? null
        : { role: role.name, action: role.action, statements: role.statements, password: role.password?.place ?? null },
    direct: direct === null ? null : { role: direct.role, database: direct.database, statements: direct.statements },
    slot: slot === null ? null : { slot: slot.name, action: slot.action },
    needsRestart,
  };
}

function resultDocument(
  prepared: PreparedSetup,
  { done, waitsFor, whyNotProven, arrival, undo }: SetupResult,
): { readonly [key: string]: Json } {
  const mends = (list: SetupResult['undo']) => list.map(({ kind, text }) => ({ kind, text }));
  return {
    proven: whyNotProven === null,
    proposal: proposalDocument(prepared),
    ...{ done, whyNotProven, waitsFor: mends(waitsFor), undo: mends(undo) },
    arrival:
      arrival === null
        ? null
        : { segment: arrival.segment, way: arrival.way, lineage: arrival.kind === 'arrived' ? arrival.lineage : null },
  };
}

function proposalText(
  { proposal: { system, settings, role, direct, slot, isEmpty } }: PreparedSetup,
  paint: Paint,
): string[] {
  if (isEmpty) return [paint.good(`Nothing is missing on system ${system}.`)];
  return [
    paint.title(`What is missing on system ${system}`),
    ...settings.flatMap(({ name, from, to, why, needsRestart, isWritten }) => [
      `  ${paint.strong(name)}  ${from} → ${paint.accent(to)}${isWritten ? '  (written down already)' : ''}${needsRestart ? paint.warning('  needs a restart') : ''}`,
      `    ${paint.faint(why)}`,
    ]),
    ...(role === null
      ? []
      : [`  ${paint.strong(`role ${role.name}`)}`, ...role.statements.map((text) => `    ${text}`)]),
    ...(role?.password == null ? [] : [`    ${paint.faint(`a password, which is kept in "${role.password.place}"`)}`]),
    ...(direct === null
      ? []
      : [
          `  ${paint.strong(`direct reads by ${direct.role}`)}, in the database ${direct.database}`,
          ...direct.statements.map((text) => `    ${text}`),
        ]),
    ...(slot === null
      ? []
      : [
          `  ${paint.strong(`slot ${slot.name}`)}  ${slot.action === 'create' ? 'is made' : 'is made anew, as the server has given it up'}`,
        ]),
    '',
  ];
}

function resultText({ done, waitsFor, whyNotProven, arrival, undo }: SetupResult, paint: Paint): string[] {
  const lines = done.map((text) => `${paint.good('✓')} ${text}`);
  const mend = ({ kind, text }: SetupResult['undo'][number]) =>
    `    ${paint.accent(`→ ${kind === 'advice' ? '' : kind}`.trimEnd())}  ${text}`;
  const back = undo.length === 0 ? [] : ['', paint.faint('To take it back:'), ...undo.map(mend)];
  if (whyNotProven === null && arrival?.kind === 'arrived') {
    const next = arrival.hasReceiver
      ? []
      : [
          `${paint.warning('!')} No receiver runs, and the slot keeps WAL on the server until one takes it. Start one as a service:`,
          `    ${paint.accent('→ shell')}  holdfast wal stream`,
        ];
    return [
      ...lines,
      `${paint.good('proven')} segment ${arrival.segment} has arrived in lineage ${shortId(arrival.lineage)}`,
      ...next,
      ...back,
    ];
  }
  return [...lines, `${paint.bad('set up, not yet proven')}: ${whyNotProven}`, ...waitsFor.map(mend), ...back];
}
