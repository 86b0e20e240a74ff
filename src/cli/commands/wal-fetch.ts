import { resolve } from 'node:path';
import { HoldfastError } from '../../lib/index.ts';
import type { Command } from '../command.ts';
import { postgresqlExitCodes } from '../exit-code.ts';
import { refuseWithoutWaiting } from '../waiting-wal.ts';

/** `holdfast wal fetch`. */
export const walFetch: Command = {
  path: ['wal', 'fetch'],
  summary: 'Give PostgreSQL a WAL file while it recovers: for restore_command.',
  details: [
    `In postgresql.conf: restore_command = 'holdfast wal fetch "%f" "%p"'`,
    'PostgreSQL runs it in its data directory; the system is read from the pg_control there unless it is named.',
  ],
  examples: [
    {
      line: 'holdfast wal fetch 000000010000000000000003 pg_wal/RECOVERYXLOG',
      does: 'As PostgreSQL calls it, in the data directory.',
    },
  ],
  access: 'read',
  database: 'none',
  exitCodes: 'postgresql',
  arguments: [
    { name: 'file', help: 'The name of the segment or history file (%f).' },
    { name: 'destination', help: 'Where it is placed (%p).' },
  ],
  flags: [
    { flag: '--system <identifier>', help: 'The system identifier of the cluster, a decimal number.' },
    { flag: '--lineage <id>', help: 'Needed when the system has more than one lineage; see holdfast wal status.' },
    { flag: '--timeline <number>', help: 'The timeline to recover to. (default: the newest of the lineage)' },
  ],
  run: async ({ repository, unreadWal }, input) => {
    const { fetchWalFile } = await import('../../protect/wal/index.ts');
    const [lineage, timeline] = [input.optional('lineage'), input.optional('timeline')];
    const name = input.required('file');
    const result = await fetchWalFile(repository, {
      system: input.optional('system') ?? (await readSystem()),
      name,
      destination: resolve(input.required('destination')),
      ...(lineage === undefined ? {} : { lineage }),
      ...(timeline === undefined ? {} : { timeline: readTimeline(timeline) }),
    });
    const { exitCode, reason, error } = result;
    if (exitCode === postgresqlExitCodes.failed.code) {
      throw error ?? new HoldfastError('WAL_FETCH_FAILED', `could not fetch "${name}"`, { detail: reason });
    }
    // Rule A3: as long as some WAL cannot be looked at, nobody knows that there is none.
    if (exitCode === postgresqlExitCodes.absent.code)
      refuseWithoutWaiting(unreadWal, `say that there is no "${name}"`, []);
    return {
      code: exitCode,
      json: { file: name, outcome: exitCode === postgresqlExitCodes.placed.code ? 'placed' : 'absent', reason },
      // What was placed, the server's own log says.
      text: () => (exitCode === postgresqlExitCodes.placed.code ? [] : [reason]),
    };
  },
};

async function readSystem(): Promise<string> {
  const { readControlFile } = await import('../../postgres/index.ts');
  const { systemId } = await readControlFile(process.cwd());
  return systemId;
}

function readTimeline(text: string): number {
  if (/^[1-9][0-9]{0,9}$/.test(text)) return Number(text);
  throw new HoldfastError('USAGE_INVALID', `invalid timeline "${text}"`, {
    detail: 'Expected a whole number from 1 on.',
  });
}
