import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { flipBit } from '../../test/support/bits.ts';
import { FaultyStore } from '../../test/support/faulty-store.ts';
import { createRepository, scratchFor } from '../../test/support/memory-repository.ts';
import { type JsonObject, memoryStore, openDiskStore, type Repository, signRecord } from '../repository/index.ts';
import { acknowledgeRegressions } from './acknowledge.ts';
import { entryName, hashEntry, type LedgerEvent, parseEntryName } from './entry.ts';
import { openLedger } from './ledger.ts';
import { RememberedHeads } from './remembered-heads.ts';
import { verifyLedger } from './verify-ledger.ts';
import { readWriterId } from './writer-id.ts';

const event: LedgerEvent = { action: 'backup', outcome: 'done', subject: 'ab'.repeat(32), facts: { bytes: 1 } };

async function setUp(test: TestContext) {
  const faulty = new FaultyStore(memoryStore());
  const made = await createRepository(test, { store: faulty });
  const state = join(await scratchFor(test, 'ledger'), 'state');
  return { ...made, faulty, state };
}

async function appendMany(repository: Repository, state: string, count: number) {
  const ledger = await openLedger(repository, state);
  for (let i = 0; i < count; i++) await ledger.append(event);
  return ledger;
}

async function replace(
  { store }: { store: FaultyStore | Repository['store'] },
  name: string,
  bytes: Uint8Array | null,
) {
  await store.delete(name);
  if (bytes !== null) await store.putIfAbsent(name, bytes);
}

async function problemsOf(repository: Repository, state: string): Promise<string[]> {
  return (await verifyLedger(repository, state)).problems.map(({ problem, name }) =>
    `${problem} ${parseEntryName(name)?.seq ?? ''}`.trim(),
  );
}

describe('the ledger', () => {
  it('counts entries from one, each following the one before, also over several openings', async (test) => {
    const { repository, state } = await setUp(test);
    const first = await (await openLedger(repository, state)).append(event);
    const second = await (await openLedger(repository, state)).append({
      ...event,
      action: 'restore',
      facts: { reached: '0/1' },
    });
    assert.deepEqual([first.seq, second.seq], [1, 2]);
    assert.equal(first.previous, null);
    assert.equal(second.previous, hashEntry(await repository.store.get(entryName(first.writer, 1))));
    assert.equal(second.writer, first.writer);
    const { writers, problems } = await verifyLedger(repository, state);
    assert.deepEqual(problems, []);
    assert.deepEqual(
      writers.map(({ writer, entries, head }) => [writer, entries, head.seq]),
      [[first.writer, 2, 2]],
    );
  });

  it('gives each state directory a chain of its own', async (test) => {
    const { repository, state } = await setUp(test);
    const [one, two] = [await appendMany(repository, `${state}-1`, 3), await appendMany(repository, `${state}-2`, 2)];
    assert.notEqual(one.writer, two.writer);
    const { writers, problems } = await verifyLedger(repository, state);
    assert.deepEqual(problems, []);
    assert.deepEqual(
      new Map(writers.map(({ writer, entries }) => [writer, entries])),
      new Map([
        [one.writer, 3],
        [two.writer, 2],
      ]),
    );
  });

  it('is empty at first', async (test) => {
    const { repository, state } = await setUp(test);
    assert.deepEqual(await verifyLedger(repository, state), { writers: [], problems: [] });
    assert.equal((await openLedger(repository, state)).head, null);
  });

  it('puts overlapping entries of one process behind each other', async (test) => {
    const { repository, state } = await setUp(test);
    const ledger = await openLedger(repository, state);
    const entries = await Promise.all(Array.from({ length: 10 }, () => ledger.append(event)));
    assert.deepEqual(
      entries.map(({ seq }) => seq),
      [1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
    );
    assert.deepEqual(await problemsOf(repository, state), []);
  });

  it('goes on after an entry that could not be stored', async (test) => {
    const { repository, faulty, state } = await setUp(test);
    const ledger = await openLedger(repository, state);
    faulty.plan({ kind: 'fail', call: 'putIfAbsent', nth: 2 });
    const outcomes = await Promise.allSettled([ledger.append(event), ledger.append(event), ledger.append(event)]);
    assert.deepEqual(
      outcomes.map(({ status }) => status),
      ['fulfilled', 'rejected', 'fulfilled'],
    );
    assert.deepEqual(await problemsOf(repository, state), []);
  });

  it('takes over an entry whose answer was lost, or that was written just before a crash', async (test) => {
    const { repository, faulty, state } = await setUp(test);
    const ledger = await appendMany(repository, state, 2);
    faulty.plan({ kind: 'lose-answer', call: 'putIfAbsent', nth: 1 });
    await assert.rejects(ledger.append(event), { code: 'STORE_UNAVAILABLE' });
    assert.equal((await openLedger(repository, state)).head?.seq, 3);
    assert.equal((await ledger.append(event)).seq, 4);
    assert.deepEqual(await problemsOf(repository, state), []);
  });

  it('lets several writers of one state directory append at once, without a gap', async (test) => {
    const { repository, state } = await setUp(test);
    const ledgers = await Promise.all(Array.from({ length: 5 }, () => openLedger(repository, state)));
    assert.equal(new Set(ledgers.map(({ writer }) => writer)).size, 1);
    await Promise.all(ledgers.flatMap((ledger) => Array.from({ length: 6 }, () => ledger.append(event))));
    const { writers, problems } = await verifyLedger(repository, state);
    assert.deepEqual(problems, []);
    assert.equal(writers[0]?.entries, 30);
    const heads = await readdir(join(state, 'heads', repository.id));
    assert.deepEqual(heads, [`${ledgers[0]!.writer}.${'30'.padStart(16, '0')}`]);
  });

  it('lets several processes append at once, without a gap', async (test) => {
    const scratch = await scratchFor(test, 'ledger');
    const place = join(scratch, 'repository');
    const { repository, credential } = await createRepository(test, { store: openDiskStore(place) });
    const script = fileURLToPath(new URL('../../test/support/append-to-ledger.ts', import.meta.url));
    const options = JSON.stringify({ place, credential, state: join(scratch, 'state'), count: 8 });
    const children = Array.from({ length: 3 }, () =>
      spawn(process.execPath, [script, options], { stdio: ['ignore', 'inherit', 'inherit'] }),
    );
    test.after(() => {
      for (const child of children) child.kill('SIGKILL');
    });
    assert.deepEqual(await Promise.all(children.map(async (child) => (await once(child, 'exit'))[0])), [0, 0, 0]);
    const { writers, problems } = await verifyLedger(repository, join(scratch, 'state'));
    assert.deepEqual(problems, []);
    assert.deepEqual(
      writers.map(({ entries }) => entries),
      [24],
    );
  });

  it('is not written by somebody who opened the repository to read', async (test) => {
    const { open, state } = await setUp(test);
    const ledger = await openLedger(await open({ access: 'read' }), state);
    await assert.rejects(ledger.append(event), { code: 'REPOSITORY_READ_ONLY' });
  });
});

describe('walking the ledger', () => {
  it('finds every entry that is gone, whichever it is, but the last without a remembered head', async (test) => {
    const made = await setUp(test);
    const { repository, state } = made;
    const { writer } = await appendMany(repository, state, 4);
    for (const [seq, expected] of [
      [1, ['gap 2']],
      [2, ['gap 3']],
      [3, ['gap 4']],
      [4, []],
    ] as const) {
      const bytes = await repository.store.get(entryName(writer, seq));
      await replace(made, entryName(writer, seq), null);
      assert.deepEqual(await problemsOf(repository, `${state}-of-a-stranger-${seq}`), expected);
      await replace(made, entryName(writer, seq), bytes);
    }
  });

  it('finds every bit that was turned over', async (test) => {
    const made = await setUp(test);
    const { repository, state } = made;
    const { writer } = await appendMany(repository, state, 2);
    const bytes = await repository.store.get(entryName(writer, 1));
    for (let bit = 0; bit < bytes.length * 8; bit += 37) {
      await replace(made, entryName(writer, 1), flipBit(bytes, bit));
      assert.deepEqual(await problemsOf(repository, `${state}-x`), ['not-readable 1', 'broken-chain 2'], `bit ${bit}`);
    }
  });

  it('finds an entry that was moved, exchanged, replaced, or signed by somebody else', async (test) => {
    const made = await setUp(test);
    const { repository, state } = made;
    const { writer } = await appendMany(repository, state, 3);
    const names = [1, 2, 3].map((seq) => entryName(writer, seq));
    const [first, second, third] = (await Promise.all(names.map((name) => repository.store.get(name)))) as [
      Buffer,
      Buffer,
      Buffer,
    ];
    const stranger = `${state}-x`;

    await replace(made, names[1]!, third);
    assert.deepEqual(await problemsOf(repository, stranger), ['not-readable 2', 'broken-chain 3']);
    await replace(made, names[1]!, second);

    // Somebody with the keys rewrites history from the second entry on: the third betrays it.
    const entry = (await repository.getJson('ledger', names[1]!)) as Record<string, unknown>;
    const { publicKey, signature, ...plain } = entry;
    assert.ok(publicKey && signature);
    await replace(made, names[1]!, null);
    await repository.putJson('ledger', names[1]!, {
      ...signRecord(repository.keys, { ...plain, action: 'nothing' }),
    } as JsonObject);
    assert.deepEqual(await problemsOf(repository, stranger), ['broken-chain 3']);

    // Without the signing key not even that: the signature is checked beside the envelope.
    await replace(made, names[1]!, null);
    await repository.putJson('ledger', names[1]!, { ...entry, action: 'nothing' } as JsonObject);
    assert.deepEqual(await problemsOf(repository, stranger), ['not-readable 2', 'broken-chain 3']);

    await replace(made, names[1]!, second);
    await repository.store.putIfAbsent('ledger/somebody', first);
    assert.deepEqual(await problemsOf(repository, stranger), ['foreign']);
  });

  it('remembers the heads of all writers, so that what is hidden later is noticed', async (test) => {
    const made = await setUp(test);
    const { repository, state } = made;
    const other = await appendMany(repository, `${state}-other`, 3);
    assert.deepEqual(await problemsOf(repository, state), []);
    await replace(made, entryName(other.writer, 3), null);
    assert.deepEqual(await problemsOf(repository, state), ['regressed']);
    await assert.rejects(openLedger(repository, state), {
      code: 'LEDGER_HEAD_REGRESSED',
      detail: new RegExp(other.writer),
    });
  });
});

describe('a remembered head', () => {
  it('stops every write when its entry is gone, or is another', async (test) => {
    const made = await setUp(test);
    const { repository, state } = made;
    const { writer } = await appendMany(repository, state, 3);
    const bytes = await repository.store.get(entryName(writer, 3));
    for (const replaced of [null, flipBit(bytes, 900), await repository.store.get(entryName(writer, 2))]) {
      await replace(made, entryName(writer, 3), replaced);
      await assert.rejects(openLedger(repository, state), { code: 'LEDGER_HEAD_REGRESSED' });
    }
    await replace(made, entryName(writer, 3), bytes);
    assert.equal((await openLedger(repository, state)).head?.seq, 3);
  });

  it('stops every write when the whole repository was put back to an earlier state', async (test) => {
    const made = await setUp(test);
    const { repository, state } = made;
    const { writer } = await appendMany(repository, state, 5);
    for (const seq of [3, 4, 5]) await replace(made, entryName(writer, seq), null);
    await assert.rejects(openLedger(repository, state), { code: 'LEDGER_HEAD_REGRESSED', detail: /Entry 5 .* gone/ });
  });

  it('is replaced when somebody acknowledges what happened, which the ledger then tells', async (test) => {
    const made = await setUp(test);
    const { repository, state } = made;
    const { writer } = await appendMany(repository, state, 5);
    for (const seq of [4, 5]) await replace(made, entryName(writer, seq), null);
    const [regression] = await acknowledgeRegressions(repository, state);
    assert.deepEqual([regression?.writer, regression?.remembered?.seq, regression?.found], [writer, 5, 'gone']);
    const ledger = await openLedger(repository, state);
    assert.equal(ledger.head?.seq, 4);
    const entry = (await repository.getJson('ledger', entryName(writer, 4))) as {
      action: string;
      facts: { seq: number };
    };
    assert.deepEqual([entry.action, entry.facts.seq], ['ledger.acknowledge', 5]);
    assert.deepEqual(await problemsOf(repository, state), []);
    assert.deepEqual(await acknowledgeRegressions(repository, state), []);
  });

  it('can be led past an entry behind it that is damaged, by acknowledging', async (test) => {
    const made = await setUp(test);
    const { repository, state } = made;
    const { writer } = await appendMany(repository, state, 1);
    await repository.store.putIfAbsent(entryName(writer, 2), Buffer.from('noise'));
    await assert.rejects(openLedger(repository, state), { code: 'OBJECT_DAMAGED' });
    assert.equal((await acknowledgeRegressions(repository, state))[0]?.found, 'broken');
    assert.equal((await (await openLedger(repository, state)).append(event)).seq, 4);
    assert.deepEqual(await problemsOf(repository, state), ['not-readable 2']);
  });

  it('is not pushed back by a slower process, and survives with its directory lost', async (test) => {
    const { repository, state } = await setUp(test);
    const heads = new RememberedHeads(state, repository.id);
    const writer = await readWriterId(state);
    await heads.remember(writer, { seq: 7, sha256: 'aa'.repeat(32) });
    await heads.remember(writer, { seq: 5, sha256: 'bb'.repeat(32) });
    assert.deepEqual((await heads.read()).get(writer), { seq: 7, sha256: 'aa'.repeat(32) });
    await rm(join(state, 'heads'), { recursive: true });
    await appendMany(repository, state, 2);
    await rm(join(state, 'heads'), { recursive: true });
    assert.equal((await openLedger(repository, state)).head?.seq, 2);
  });

  it('that cannot be read is said, not ignored', async (test) => {
    const { repository, state } = await setUp(test);
    const { writer } = await appendMany(repository, state, 1);
    await writeFile(join(state, 'heads', repository.id, `${writer}.${'1'.padStart(16, '0')}`), 'noise');
    await assert.rejects(openLedger(repository, state), { code: 'STATE_UNREADABLE' });
  });

  it('is not found missing because the store failed', async (test) => {
    const { repository, faulty, state } = await setUp(test);
    await appendMany(repository, state, 2);
    faulty.plan({ kind: 'fail', call: 'get', name: 'ledger/' });
    await assert.rejects(openLedger(repository, state), { code: 'STORE_UNAVAILABLE' });
    await assert.rejects(verifyLedger(repository, state), { code: 'STORE_UNAVAILABLE' });
  });
});

describe('the id of a writer', () => {
  it('is drawn once, also by several who come first', async (test) => {
    const state = join(await scratchFor(test, 'ledger'), 'a', 'state');
    const ids = await Promise.all(Array.from({ length: 8 }, () => readWriterId(state)));
    assert.equal(new Set(ids).size, 1);
    assert.equal(await readWriterId(state), ids[0]);
    assert.deepEqual(await readdir(state), ['writer']);
    assert.equal(await readFile(join(state, 'writer'), 'utf8'), `${ids[0]}\n`);
  });

  it('that cannot be read or written is said', async (test) => {
    const scratch = await scratchFor(test, 'ledger');
    await writeFile(join(scratch, 'writer'), 'noise');
    await assert.rejects(readWriterId(scratch), { code: 'STATE_UNREADABLE' });
    await mkdir(join(scratch, 'other'));
    await writeFile(join(scratch, 'other', 'state'), 'a file');
    await assert.rejects(readWriterId(join(scratch, 'other', 'state')), { code: /^STATE_UN(READABLE|WRITABLE)$/ });
  });
});
