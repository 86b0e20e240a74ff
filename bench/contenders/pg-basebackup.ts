import { type Peers, peerUser } from '../peers.ts';
import type { BenchServer } from '../server.ts';
import type { Contender } from './contender.ts';

/** The least that any backup over the protocol costs: the server reads and sends, nothing is compressed or kept. */
export function createPgBasebackup(peers: Peers, server: BenchServer): Contender {
  const connection = ['-h', `${server.workplace.inside}/s`, '-p', String(server.port), '-U', 'postgres'];
  const options = ['-D', '-', '-F', 't', '-X', 'none', '-c', 'fast'];
  const program = `${peers.postgresBin}/pg_basebackup`;
  return {
    name: 'pg_basebackup',
    version: peers.postgresVersion,
    setup: 'one tar to /dev/null over the Unix socket, not compressed, no WAL',
    prepare: async () => {},
    backup: { program: 'chroot', args: [`--userspec=${peerUser}`, peers.root, program, ...connection, ...options] },
    restore: undefined,
    measureStoredBytes: async () => undefined,
  };
}
