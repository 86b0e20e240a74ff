/**
 * Who is measured: pg_basebackup as the floor, pgBackRest as the one to beat, and ours. Each knows how it is prepared,
 * run and weighed; none of them measures anything.
 */
import type { Peers } from '../peers.ts';
import type { BenchServer } from '../server.ts';
import type { Contender, ContenderName, RoundDirectory } from './contender.ts';
import { createHoldfast } from './holdfast.ts';
import { createPgBasebackup } from './pg-basebackup.ts';
import { createPgbackrest } from './pgbackrest.ts';

export type { Contender, ContenderName, RoundDirectory } from './contender.ts';
export { measureDirectoryBytes } from './directories.ts';

/** In the order of the first round. */
export const contenderNames: readonly ContenderName[] = ['pg_basebackup', 'pgbackrest', 'holdfast'];

/** Makes one for one round. */
export function createContender(
  name: ContenderName,
  peers: Peers,
  server: BenchServer,
  round: RoundDirectory,
): Contender {
  if (name === 'pg_basebackup') return createPgBasebackup(peers, server);
  if (name === 'pgbackrest') return createPgbackrest(peers, server, round);
  return createHoldfast(server, round);
}
