import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { systemClock } from '../../../lib/index.ts';
import { PageFindings } from './page-findings.ts';

const files = new Map([
  [1, { number: 1, path: 'data/base/5/16384', from: '', segment: 0 }],
  [2, { number: 2, path: 'space/16400/PG_18_202506291/5/16401.1', from: '', segment: 1 }],
]);
const wrong = (file: number, block: number) =>
  ({ kind: 'checksum', file, block, computed: 0xab, stored: 0xcd }) as const;
const ahead = (lsn: bigint) => ({ kind: 'ahead', file: 1, block: 3, lsn }) as const;

describe('what is told of damaged pages', () => {
  it('names file and block in the words of the server, five of a file and then how many', async () => {
    const findings = new PageFindings({ askFlushed: async () => 0n, clock: systemClock, flushedLsn: 0n });
    findings.note([wrong(2, 7)], files);
    findings.note(
      [0, 1, 2, 3, 4, 5, 6].map((block) => wrong(1, block)),
      files,
    );
    const told = await findings.finish();
    assert.equal(told.length, 7);
    assert.equal(
      told[0],
      'checksum verification failed in file "./pg_tblspc/16400/PG_18_202506291/5/16401.1", block 7: calculated AB but expected CD',
    );
    assert.match(told[5]!, /"\.\/base\/5\/16384", block 4:/);
    assert.equal(told[6], 'file "./base/5/16384" has a total of 7 damaged pages');
  });

  it('takes a page for damaged only if WAL has still not come so far after it was read', async () => {
    const answers = [90n, 90n, 120n, 120n, 120n];
    const findings = new PageFindings({
      askFlushed: async () => answers.shift() ?? 120n,
      clock: systemClock,
      flushedLsn: 50n,
    });
    findings.note([ahead(60n), ahead(100n), ahead(130n)], files);
    assert.deepEqual(await findings.finish(), [
      'page is newer than all WAL in file "./base/5/16384", block 3: its LSN is 0/82, and WAL was written up to 0/78',
    ]);
    assert.equal(findings.flushedLsn, 120n);
  });

  it('forgets no page when the session could not be asked once', async () => {
    const answers = [() => Promise.reject(new Error('gone')), async () => 120n];
    const findings = new PageFindings({
      askFlushed: () => (answers.shift() ?? (async () => 120n))(),
      clock: systemClock,
      flushedLsn: 50n,
    });
    findings.note([ahead(130n)], files);
    // The question is answered, and nobody waits for it.
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(answers.length, 1);
    assert.match((await findings.finish())[0]!, /block 3: its LSN is 0\/82/);
  });

  it('ends with the error of a session that cannot be asked', async () => {
    const askFlushed = async () => Promise.reject(new Error('gone'));
    const findings = new PageFindings({ askFlushed, clock: systemClock, flushedLsn: 0n });
    findings.note([ahead(60n)], files);
    await new Promise((resolve) => setImmediate(resolve));
    await assert.rejects(findings.finish(), /gone/);
  });
});
