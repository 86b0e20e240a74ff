import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { FaultyStore } from '../../../test/support/faulty-store.ts';
import { createRepository } from '../../../test/support/memory-repository.ts';
import { SteppedClock } from '../../../test/support/odd-clocks.ts';
import { memoryStore } from '../object-store/index.ts';
import { readRecord } from '../sealed/index.ts';
import { acquireLease, type Lease, leaseRecord } from './lease.ts';

const minute = 60_000;

async function setUp(test: TestContext) {
  const clock = new SteppedClock();
  const faulty = new FaultyStore(memoryStore({ clock }));
  const { repository } = await createRepository(test, { store: faulty, clock });
  const lease = await acquireLease(repository, { purpose: 'backup' });
  test.after(() => lease.release());
  const read = async (held: Lease) => readRecord(leaseRecord, held.name, await repository.getJson('lease', held.name));
  return { clock, faulty, repository, lease, read };
}

describe('a lease', () => {
  it('says who holds it, and is renewed for as long as it is held', async (test) => {
    const { clock, lease, read } = await setUp(test);
    const first = await read(lease);
    assert.equal(first.purpose, 'backup');
    assert.equal(first.pid, process.pid);
    assert.equal(Date.parse(first.expiresAt), clock.now() + 10 * minute);
    await clock.advance(60 * minute);
    const later = await read(lease);
    assert.ok(Date.parse(later.expiresAt) > clock.now() + 8 * minute);
    assert.equal(later.startedAt, first.startedAt);
    lease.assertHeld();
  });

  it('is gone when it was given up, and nothing renews it afterwards', async (test) => {
    const { clock, faulty, lease } = await setUp(test);
    await lease.release();
    await lease.release();
    assert.equal(await faulty.stat(lease.name), null);
    await clock.advance(30 * minute);
    assert.equal(await faulty.stat(lease.name), null);
  });

  it('survives some renewals that fail', async (test) => {
    const { clock, faulty, lease } = await setUp(test);
    for (const nth of [1, 2, 3]) faulty.plan({ kind: 'fail', call: 'putVolatile', nth });
    await clock.advance(7 * minute);
    lease.assertHeld();
  });

  it('is lost before others take it for lost when no renewal succeeds, and stays lost', async (test) => {
    const { clock, faulty, lease, read } = await setUp(test);
    faulty.plan({ kind: 'fail', call: 'putVolatile' });
    await clock.advance(8 * minute);
    lease.assertHeld();
    await clock.advance(minute);
    assert.throws(() => lease.assertHeld(), { code: 'LEASE_LOST', detail: /planned by the test/ });
    assert.ok(Date.parse((await read(lease)).expiresAt) > clock.now());
    faulty.heal();
    await clock.advance(5 * minute);
    assert.throws(() => lease.assertHeld(), { code: 'LEASE_LOST' });
  });

  it('is lost when the machine slept through it, although its own clock stood still', async (test) => {
    const { clock, lease } = await setUp(test);
    clock.step(9 * minute);
    assert.throws(() => lease.assertHeld(), { code: 'LEASE_LOST' });
    clock.step(-9 * minute);
    assert.throws(() => lease.assertHeld(), { code: 'LEASE_LOST' });
  });

  it('is not prolonged by a clock that was set back', async (test) => {
    const { clock, faulty, lease } = await setUp(test);
    faulty.plan({ kind: 'fail', call: 'putVolatile' });
    await clock.advance(5 * minute);
    clock.step(-60 * minute);
    await clock.advance(4 * minute);
    assert.throws(() => lease.assertHeld(), { code: 'LEASE_LOST' });
  });

  it('is lost when somebody removed it, and is not put back', async (test) => {
    const { clock, faulty, lease } = await setUp(test);
    await faulty.delete(lease.name);
    await clock.advance(2 * minute);
    assert.throws(() => lease.assertHeld(), { code: 'LEASE_LOST', detail: /removed/ });
    assert.equal(await faulty.stat(lease.name), null);
  });

  it('is not taken when it cannot be written', async (test) => {
    const { faulty, repository } = await setUp(test);
    faulty.plan({ kind: 'fail', call: 'putVolatile' });
    await assert.rejects(acquireLease(repository, { purpose: 'backup' }), { code: 'STORE_UNAVAILABLE' });
  });

  it('can be given up although the store is not there any more', async (test) => {
    const { faulty, lease } = await setUp(test);
    faulty.plan({ kind: 'fail', call: 'delete' });
    await lease.release();
  });
});
