import { stat } from 'node:fs/promises';
import { createConnection } from 'node:net';
import { codeOf } from '../../lib/index.ts';
import { pushSocketPath } from '../../protect/wal/push/index.ts';
import { type Check, checksOf, quoteWord, shell } from './check.ts';

const { ok, warning, problem } = checksOf('host');

/** The door for WAL files that a receiver on this host opens in the state directory; `null` when there is none. */
export interface PushSocketFacts {
  readonly path: string;
  readonly mode: number;
  /** Whether somebody listens behind it. */
  readonly answers: boolean;
}

/** Looks whether the socket is there and served; nothing is sent. `null` when there is none. */
export async function gatherPushSocket(stateDirectory: string, system: string): Promise<PushSocketFacts | null> {
  const path = pushSocketPath(stateDirectory, system);
  if (path === null) return null;
  try {
    const { mode } = await stat(path);
    return { path, mode: mode & 0o777, answers: await isServed(path) };
  } catch (error) {
    // Without a receiver on this host there is no socket, and files are kept without its help.
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'EACCES') return null;
    throw error;
  }
}

function isServed(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection(path);
    const end = (answer: boolean) => {
      socket.destroy();
      resolve(answer);
    };
    socket.once('connect', () => end(true));
    // Whatever keeps us out keeps `wal push` out, too.
    socket.once('error', () => end(false));
  });
}

/** Judges the door of the receiver for files. Pure. */
export function judgePushSocket(facts: PushSocketFacts | null): Check[] {
  if (facts === null) return [];
  const { path, mode, answers } = facts;
  if ((mode & 0o077) !== 0) {
    return [
      problem('push-socket', `Others on this host may hand files to the receiver at "${path}".`, {
        found: `mode ${mode.toString(8)}`,
        expected: 'mode 600',
        why: 'What somebody else hands over would be stored as WAL of this cluster.',
        mends: [shell(`chmod 600 ${quoteWord(path)}`)],
      }),
    ];
  }
  if (answers) return [ok('push-socket', 'The receiver takes files from wal push.')];
  return [
    warning('push-socket', `Nobody serves the socket "${path}": a receiver was killed.`, {
      found: 'a socket that refuses',
      expected: 'one that answers, or none',
      why: 'Every wal push opens the repository by itself until the receiver runs again, which takes longer.',
      mends: [shell(`rm ${quoteWord(path)}`), shell('holdfast wal stream')],
    }),
  ];
}
