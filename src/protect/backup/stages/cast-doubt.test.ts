import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { describe, it } from 'node:test';
import { findings, placeForDoubt } from '../../../../test/support/doubted-snapshots.ts';
import { targetOf } from '../../../../test/support/repository.ts';
import { silentProgress, systemClock } from '../../../lib/index.ts';
import { castDoubt } from './cast-doubt.ts';

describe('casting a doubt', () => {
  it('is done before the server is asked for any name, and whatever it answers', async (test) => {
    const { repository, ledger, add, doubted } = await placeForDoubt(test);
    const base = await add(null);
    const wasDoubted: boolean[] = [];
    const server = createServer((socket) => {
      socket.on('error', () => {}); // The client may hang up first.
      doubted(base).then((isDoubted) => {
        wasDoubted.push(isDoubted);
        socket.destroy();
      }, assert.ifError);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    test.after(() => server.close());
    const { port } = server.address() as { port: number };
    const cast = await castDoubt({
      ...{ repository, ledger, base, findings: findings('not-sent'), clock: systemClock, progress: silentProgress },
      source: targetOf(`postgres://nobody@127.0.0.1:${port}/postgres`),
    });
    assert.ok(wasDoubted.length > 0, 'the server was asked');
    assert.ok(wasDoubted.every(Boolean));
    assert.deepEqual(cast, { findings: findings('not-sent'), snapshots: [base.id] });
  });
});
