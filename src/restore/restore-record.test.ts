import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { createRepository } from '../../test/support/memory-repository.ts';
import { openLedger } from '../ledger/index.ts';
import type { RestoreProposal } from './proposal.ts';
import type { RecoveryTarget } from './recovery-target.ts';
import { openRestoreRecord } from './restore-record.ts';

/** Only what the record looks at. */
function proposalTo(asked: RecoveryTarget): RestoreProposal {
  return {
    snapshot: { id: 'ab'.repeat(32), cluster: 'main' },
    target: { asked, reachedLsn: 0x3000028n, timeline: 1 },
    into: '/restored',
  } as unknown as RestoreProposal;
}

const latest = proposalTo({ kind: 'latest' });
const position = proposalTo({ kind: 'lsn', lsn: 0x3000028n });

/** A repository that has lost an entry which the state directory remembers. */
async function regressed(test: TestContext) {
  const made = await createRepository(test);
  const ledger = await openLedger(made.repository, made.scratch);
  await ledger.append({ action: 'backup', outcome: 'done', subject: 'x', facts: {} });
  for await (const { name } of made.store.list('ledger/')) await made.store.delete(name);
  return { repository: made.repository, stateDirectory: made.scratch, open: made.open };
}

describe('the record of a restore', () => {
  it('is an entry when it begins and one for its outcome', async (test) => {
    const { repository, scratch } = await createRepository(test);
    const record = await openRestoreRecord({ repository, stateDirectory: scratch }, latest);
    await record.started();
    await record.failed(new Error('the disk is full'));
    assert.deepEqual(record.notes, []);
    const entries: { outcome: string; facts: Record<string, unknown> }[] = [];
    for await (const { name } of repository.store.list('ledger/')) {
      entries.push((await repository.getJson('ledger', name)) as never);
    }
    assert.deepEqual(
      entries.map(({ outcome, facts }) => [outcome, facts.position, facts.reason ?? null]),
      [
        ['started', '0/3000028', null],
        ['failed', '0/3000028', 'the disk is full'],
      ],
    );
  });

  it('may be missing where the credentials only read: the restore goes on and says so', async (test) => {
    const { open, scratch } = await createRepository(test);
    const repository = await open({ access: 'read' });
    const record = await openRestoreRecord({ repository, stateDirectory: scratch }, latest);
    await record.started();
    assert.match(record.notes.join(), /opened for reading: the ledger has no entry/);
  });

  it('says to whoever only reads that newest entries may be missing', async (test) => {
    const { repository, stateDirectory, open } = await regressed(test);
    assert.equal(repository.access, 'write');
    const { notes } = await openRestoreRecord({ repository: await open({ access: 'read' }), stateDirectory }, latest);
    assert.match(notes.join(), /lacks entries that this host has seen/);
  });

  it('keeps a restore to the latest from a store that hides what it had, but not one to a position', async (test) => {
    const options = await regressed(test);
    await assert.rejects(openRestoreRecord(options, latest), { code: 'LEDGER_HEAD_REGRESSED' });
    const record = await openRestoreRecord(options, position);
    assert.match(record.notes.join(), /The ledger has no entry of this restore/);
  });
});
