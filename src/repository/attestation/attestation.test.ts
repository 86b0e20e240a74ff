import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createRepository, randomKeys } from '../../../test/support/memory-repository.ts';
import { storeWith } from '../../../test/support/store-with.ts';
import { signRecord } from '../key/index.ts';
import { encodeJson } from '../sealed/index.ts';
import { newSnapshotId } from '../snapshot/index.ts';
import { attest, listAttestations } from './attestation-record.ts';

describe('attestations', () => {
  it('are listed for their snapshot, with all that was said', async (test) => {
    const { repository } = await createRepository(test);
    const [snapshot, other] = [newSnapshotId(), newSnapshotId()];
    await attest(repository, { snapshot, level: 'stored', facts: { wal: { start: '0/1' } } });
    await attest(repository, { snapshot, level: 'verified', facts: {} });
    await attest(repository, { snapshot: other, level: 'proven', facts: {} });
    const { attestations, refused } = await listAttestations(repository, snapshot);
    assert.deepEqual(attestations.map(({ level, facts }) => [level, facts]).sort(), [
      ['stored', { wal: { start: '0/1' } }],
      ['verified', {}],
    ]);
    assert.deepEqual(refused, []);
    assert.deepEqual(await listAttestations(repository, newSnapshotId()), { attestations: [], refused: [] });
  });

  it('are refused when they are forged, changed, moved or damaged, and say why', async (test) => {
    const { repository, store } = await createRepository(test);
    const [snapshot, other] = [newSnapshotId(), newSnapshotId()];
    const good = await attest(repository, { snapshot, level: 'stored', facts: {} });
    const put = (record: object) =>
      repository.putDrawn('attestation', `attest/${snapshot}/`, encodeJson({ ...record }));
    const { publicKey, signature, ...plain } = good;
    assert.ok(publicKey && signature);
    const forged = {
      [await put({ ...good, level: 'proven' })]: /invalid/,
      [await put(signRecord(randomKeys(), plain))]: /other-key/,
      [await put(plain)]: /not recognized|publicKey/,
      [await put(signRecord(repository.keys, { ...plain, snapshot: other }))]: new RegExp(`found one about ${other}`),
    };
    const noise = `attest/${snapshot}/${'0'.repeat(64)}`;
    await store.putIfAbsent(noise, Buffer.alloc(300, 7));
    const { attestations, refused } = await listAttestations(repository, snapshot);
    assert.deepEqual(attestations, [good]);
    assert.deepEqual(refused.map(({ name }) => name).sort(), [...Object.keys(forged), noise].sort());
    for (const { name, reason } of refused) assert.match(reason, forged[name] ?? /HFOB/);
  });

  it('are refused under a name that nothing of a repository has, as somebody put it there or a listing was harmed on its way', async (test) => {
    const { store, open } = await createRepository(test);
    const snapshot = newSnapshotId();
    const strange = { name: `attest/${snapshot}/\`bc`, size: 300, modifiedAt: 0 };
    const listed = storeWith(store, {
      async *list(prefix, options) {
        if (strange.name.startsWith(prefix)) yield strange;
        yield* store.list(prefix, options);
      },
    });
    const { attestations, refused } = await listAttestations(await open({ store: listed }), snapshot);
    assert.deepEqual(attestations, []);
    assert.deepEqual(
      refused.map(({ name }) => name),
      [strange.name],
    );
    assert.match(refused[0]!.reason, /somebody else put it there/);
  });
});
