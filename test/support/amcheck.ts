import type { Instance } from '../../src/postgres/index.ts';
import type { RefereeTools, Verdict } from './referee-tools.ts';

/** Has pg_amcheck look at every table and index of every database of a server that a restore started. */
export function runAmcheck(tools: RefereeTools, instance: Instance): Promise<Verdict> {
  const { host, port, user } = instance.target;
  return tools.run('pg_amcheck', ['--all', '--heapallindexed', '--install-missing', '--verbose', '--no-password'], {
    PGHOST: host,
    PGPORT: String(port),
    PGUSER: user,
  });
}
