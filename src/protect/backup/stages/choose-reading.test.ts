import assert from 'node:assert/strict';
import { it } from 'node:test';
import { placeForDoubt } from '../../../../test/support/doubted-snapshots.ts';
import { loadIndex } from '../../../repository/index.ts';
import { whyNoBlockNumbersOf } from '../file-size.ts';
import type { CheckedServer } from './check-server.ts';
import { chooseReading } from './choose-reading.ts';
import type { BackupStores } from './open-stores.ts';

it('a server that cuts the files of relations at another size than 1 GiB is read whole, and its snapshots are not compared', async (test) => {
  const { repository, add } = await placeForDoubt(test);
  const index = await loadIndex(repository);
  test.after(() => index.close());
  const choose = async (settings: Record<string, string>) => {
    const server = { version: { major: 18 }, identity: { systemId: '7', timeline: 1 }, settings };
    const wal = { lineage: 'ab'.repeat(32), streamsFrom: null };
    const reading = await chooseReading({
      ...{ repository, cluster: 'main', wal, type: 'incremental' },
      ...{ stores: { index } as BackupStores, server: server as unknown as CheckedServer },
    });
    assert.ok(reading.manner === 'everything');
    return reading.why;
  };
  const refused = 'the server was built to cut the files of relations at 2GB, not at 1 GiB';
  assert.equal(await choose({ summarize_wal: 'on', segment_size: '2GB' }), refused);
  assert.equal(await choose({ summarize_wal: 'on', segment_size: '1GB' }), 'there is no earlier backup of this server');

  const snapshot = await add(null);
  const withSize = (size: string) => ({ ...snapshot, details: { settings: { segment_size: size } } });
  assert.equal(whyNoBlockNumbersOf(withSize('2GB')), refused);
  assert.equal(whyNoBlockNumbersOf(withSize('1GB')), null);
  assert.equal(whyNoBlockNumbersOf(snapshot), null, 'an older version did not keep the setting');
});
