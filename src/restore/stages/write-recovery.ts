import { appendFile, chown, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { codeOf } from '../../lib/index.ts';
import { type ControlFile, parseControlFile } from '../../postgres/index.ts';
import type { RestoreProposal } from '../proposal.ts';
import {
  formatBlock,
  formatSettings,
  inPlaceSettings,
  preparedSettings,
  recoverySettings,
  separationSettings,
} from '../recovery-settings.ts';
import type { ClaimedTarget } from './claim-target.ts';
import { WAITING_CONTROL_FILE } from './extract-files.ts';
import type { TreeOutline } from './read-outline.ts';

/** What was written beside the restored files. */
export interface WrittenRecovery {
  /** Relative paths. */
  readonly files: readonly string[];
  /** What a person should know of the configuration. */
  readonly notes: readonly string[];
}

/** All that is made in the directory besides what the snapshot has. */
export const MADE_NAMES = [
  'postgresql.auto.conf',
  'postgresql.conf',
  'pg_hba.conf',
  'pg_ident.conf',
  'recovery.signal',
  'backup_manifest',
  'pg_wal',
];

/** Settings of a configuration file that lead out of the data directory. */
const OUTWARD_SETTINGS = ['data_directory', 'hba_file', 'ident_file', 'include', 'include_if_exists', 'include_dir'];

/**
 * Tells the server to recover: `recovery.signal`, and settings in a marked block at the end of `postgresql.auto.conf`.
 *
 * When the server is started by us, the settings of the recovery itself are only given to that start: whoever starts the directory after a
 * failure is then refused by the server instead of waiting for WAL that nobody brings.
 */
export async function writeRecovery(options: {
  proposal: RestoreProposal;
  outline: TreeOutline;
  target: ClaimedTarget;
}): Promise<WrittenRecovery> {
  const { proposal, outline, target } = options;
  const major = proposal.snapshot.serverMajor;
  const settings = {
    ...separationSettings(major),
    ...(proposal.survey.settings === null ? {} : preparedSettings(proposal.survey, await readControl(target))),
    ...inPlaceSettings(proposal.survey, proposal.tablespaces),
    ...(proposal.start ? {} : recoverySettings(proposal.target)),
  };
  const made = await makeConfiguration(target, outline);
  const automatic = join(target.path, 'postgresql.auto.conf');
  const separator = (await endsInLine(automatic)) ? '' : '\n';
  await appendFile(automatic, separator + formatBlock(settings), { mode: 0o600 });
  await writeFile(join(target.path, 'recovery.signal'), '', { mode: 0o600 });
  const files = [...new Set([...made, 'postgresql.auto.conf', 'recovery.signal'])];
  for (const name of files) {
    if (target.owner !== undefined) await chown(join(target.path, name), target.owner.uid, target.owner.gid);
  }
  return { files, notes: [...describeMade(made), ...(await describeOutward(target.path))] };
}

/**
 * Debian keeps configuration outside the data directory, where no backup sees it. Without any the server does not start, so it gets one that
 * is enough to look at the data.
 */
async function makeConfiguration(target: ClaimedTarget, { configuration }: TreeOutline): Promise<string[]> {
  if (configuration.has('postgresql.conf')) return [];
  const control = await readControl(target);
  const settings = formatSettings({
    listen_addresses: 'localhost',
    max_connections: String(control.maxConnections),
    max_worker_processes: String(control.maxWorkerProcesses),
    max_wal_senders: String(control.maxWalSenders),
    max_prepared_transactions: String(control.maxPreparedTransactions),
    max_locks_per_transaction: String(control.maxLocksPerTransaction),
    // Recovery must have room for the progress of every subscription that there was, and nothing tells how many those were.
    max_replication_slots: '1000',
  });
  const contents: Record<string, string> = {
    'postgresql.conf': `# Made by Holdfast: the backup had no postgresql.conf in the data directory.\n${settings}`,
    'pg_hba.conf': `# Made by Holdfast: the backup had no pg_hba.conf in the data directory.\nlocal all all peer\nhost all all localhost scram-sha-256\n`,
    'pg_ident.conf': '# Made by Holdfast.\n',
  };
  const made: string[] = [];
  for (const [name, content] of Object.entries(contents)) {
    if (configuration.has(name)) continue;
    await writeFile(join(target.path, name), content, { mode: 0o600, flag: 'wx' });
    made.push(name);
  }
  return made;
}

async function readControl(target: ClaimedTarget): Promise<ControlFile> {
  return parseControlFile(await readFile(join(target.path, WAITING_CONTROL_FILE)));
}

function describeMade(made: readonly string[]): string[] {
  if (made.length === 0) return [];
  return [
    `The backup holds no ${made.join(', ')}, as the server keeps them outside its data directory; a minimal configuration was made. Bring back your own before use.`,
  ];
}

/** A restored configuration may lead to files of the old server; nothing is changed in it, but it is said. */
async function describeOutward(directory: string): Promise<string[]> {
  const text = await readFile(join(directory, 'postgresql.conf'), 'utf8');
  const found = text.split('\n').flatMap((line) => {
    const match = /^\s*([a-z_]+)\s*=?\s*'?(\/[^'#\s]*)/i.exec(line);
    const name = match?.[1]?.toLowerCase() ?? '';
    return match !== null && OUTWARD_SETTINGS.includes(name) ? [`${name} = ${match[2]}`] : [];
  });
  if (found.length === 0) return [];
  return [
    `Its postgresql.conf leads outside the restored directory (${found.join('; ')}): check these lines before a start.`,
  ];
}

async function endsInLine(path: string): Promise<boolean> {
  try {
    const text = await readFile(path, 'utf8');
    return text === '' || text.endsWith('\n');
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return true;
    throw error;
  }
}
