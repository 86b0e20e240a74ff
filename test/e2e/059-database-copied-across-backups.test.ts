import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type ProtectedServer, startProtectedServer } from '../support/protected-server.ts';
import { until } from '../support/until.ts';

/** A server that does not copy a database's files within this time never will. */
const COPY_MS_MAX = 20_000;

describe('a database that is copied by files while two backups are taken', () => {
  let kit: ProtectedServer;
  let mould: string;
  before(async () => {
    kit = await startProtectedServer(18, { autovacuum: 'off' });
    await kit.server.query('CREATE DATABASE mould');
    const [row] = await kit.server.query<{ oid: number }>("SELECT oid::int FROM pg_database WHERE datname = 'mould'");
    mould = join(kit.server.dataDirectory, 'base', String(row!.oid));
  });
  after(() => kit.dispose());

  it('gives no finding, although no WAL tells yet of what the second one has more', async () => {
    const { server, backUp } = kit;
    const base = join(server.dataDirectory, 'base');
    const directories = () => readdirSync(base).filter((name) => /^\d+$/.test(name));
    const known = new Set(directories());
    const copying = server.query('CREATE DATABASE copied TEMPLATE mould STRATEGY file_copy');
    copying.catch(() => {}); // Awaited below.
    let pid = 0;
    await until('the copying to begin', async () => {
      const [row] = await server.query<{ pid: number }>(
        "SELECT pid FROM pg_stat_activity WHERE query LIKE 'CREATE DATABASE copied%' AND pid <> pg_backend_pid()",
      );
      pid = row?.pid ?? 0;
      return pid > 0;
    });
    const copied = () => {
      const made = directories().find((name) => !known.has(name));
      return made === undefined ? 0 : readdirSync(join(base, made)).length;
    };
    // Between two files of a copy there is no time to ask otherwise.
    const stopAfter = (files: number) => {
      const begun = performance.now();
      while (copied() < files) assert.ok(performance.now() - begun < COPY_MS_MAX);
      process.kill(pid, 'SIGSTOP');
      return copied();
    };
    try {
      const one = stopAfter(1);
      await backUp({ type: 'full' });
      process.kill(pid, 'SIGCONT');
      const other = stopAfter(one + 50);
      const all = readdirSync(mould).length;
      assert.ok(other < all, `stopped with ${one} and ${other} of ${all} files`);
      const second = await backUp({ type: 'full' });
      assert.equal(second.doubt, null, JSON.stringify(second.doubt?.findings.first[0]?.path));
      assert.ok(second.compared!.blocks! > 100, 'its pages were looked at');
    } finally {
      process.kill(pid, 'SIGCONT');
    }
    await copying;
    const third = await backUp({ type: 'full' });
    assert.equal(third.doubt, null);
  });
});
