import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { chmod, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { promisify } from 'node:util';
import { FaultyStore } from '../../../../test/support/faulty-store.ts';
import { createRepository } from '../../../../test/support/memory-repository.ts';
import { HoldfastError, systemClock } from '../../../lib/index.ts';
import { beginEpoch, listSlots, openRepository, removeSlot } from '../../../repository/index.ts';
import { checkKit } from './check-kit.ts';
import { composeKit, textOfBlocks } from './kit-blocks.ts';
import type { KitFacts, KitPlace } from './kit-facts.ts';
import { renderKit } from './kit-page.ts';
import { SCRIPT_BEGIN, SCRIPT_END, writeScript } from './kit-script.ts';
import { makeKit } from './make-kit.ts';
import { readKit, textOfPage } from './read-kit.ts';

const run = promisify(execFile);
const clock = systemClock;

const disk: KitPlace = { name: 'primary', location: '/backups/shop', access: { kind: 'environment' } };
const places: readonly KitPlace[] = [
  {
    name: 'primary',
    location: 's3://shop-backups/main?region=eu-central-1&endpoint=https%3A%2F%2Fs3.example.net',
    access: {
      kind: 'variables',
      variables: [
        { name: 'AWS_ACCESS_KEY_ID', value: 'AKIAEXAMPLE', secret: false },
        { name: 'AWS_SECRET_ACCESS_KEY', value: null, secret: true },
      ],
    },
  },
  { name: 'west', location: "/mnt/o'brien & <sons>", access: { kind: 'environment' } },
  { name: 'azure', location: 'azure://account/container/main', access: { kind: 'environment' } },
];

async function makeIn(test: TestContext, options: { withKey: boolean; places?: readonly KitPlace[] }) {
  const made = await createRepository(test);
  const path = join(made.scratch, 'kit.html');
  const { slot, facts } = await makeKit({
    repository: made.repository,
    stateDirectory: made.scratch,
    places: options.places ?? [disk],
    contacts: [],
    version: '1.2.3',
    path,
    withKey: options.withKey ? { label: 'recovery kit' } : null,
  });
  return { ...made, path, slot, facts, html: await readFile(path, 'utf8') };
}

const wrongOf = (findings: Awaited<ReturnType<typeof checkKit>>) =>
  findings.filter(({ verdict }) => verdict === 'wrong').map(({ sentence }) => sentence);

describe('a recovery kit', () => {
  it('is one page without scripts and without anything from elsewhere, which only its owner may read', async (test) => {
    const { html, path } = await makeIn(test, { withKey: true, places });
    assert.doesNotMatch(html, /<script|<link|<img|<iframe|\bon\w+=|javascript:|url\(|@import|src=|href=/i);
    assert.match(html, /default-src 'none'/);
    assert.match(html, /@page/);
    const open = [...html.matchAll(/<(\/?)([a-z][a-z0-9]*)\b[^>]*?(\/?)>/g)].filter(
      ([, , name, closed]) => closed !== '/' && name !== 'meta',
    );
    const depth: string[] = [];
    for (const [, slash, name] of open) slash === '/' ? assert.equal(depth.pop(), name) : depth.push(name!);
    assert.deepEqual(depth, []);
    assert.equal((await stat(path)).mode & 0o777, 0o600);
  });

  it('says the same as text and as a page, whatever stands in names and places', async (test) => {
    const { facts, html } = await makeIn(test, { withKey: true, places });
    const flat = (text: string) => text.replaceAll(/\s+/g, ' ').trim();
    assert.equal(flat(textOfPage(html)), flat(textOfBlocks(composeKit(facts))));
    assert.match(html, /\/mnt\/o'brien &amp; &lt;sons&gt;/);
  });

  it('has a script that a shell understands, with every place and no secret that it was not given', async (test) => {
    const { html, scratch } = await makeIn(test, { withKey: true, places });
    const text = textOfPage(html);
    const script = text.slice(text.indexOf(SCRIPT_BEGIN), text.indexOf(SCRIPT_END));
    const bin = join(scratch, 'npx');
    await writeFile(
      bin,
      '#!/bin/sh\necho "$@" "$HOLDFAST_REPOSITORY|$HOLDFAST_COPIES|$AWS_ACCESS_KEY_ID|$AWS_SECRET_ACCESS_KEY"\n',
    );
    await chmod(bin, 0o755);
    await writeFile(join(scratch, 'npm'), '#!/bin/sh\n');
    await chmod(join(scratch, 'npm'), 0o755);
    const shell = run('/bin/sh', ['-eu', '-c', script], {
      env: { PATH: `${scratch}:${process.env.PATH}`, HOME: scratch },
    });
    shell.child.stdin!.end('typed-secret\n');
    const { stdout } = await shell;
    // A location with blanks cannot stand in the list of copies.
    assert.match(
      stdout,
      /^AWS_SECRET_ACCESS_KEY: holdfast keys list s3:\/\/shop-backups\/main\?region=eu-central-1&endpoint=https%3A%2F%2Fs3\.example\.net\|azure=azure:\/\/account\/container\/main\|AKIAEXAMPLE\|typed-secret$/m,
    );
    assert.match(script, /The copy "west" is named alone/);
    assert.match(script, /npm install holdfast@1\.2\.3 @azure\/storage-blob/);
    const key = (await readFile(join(scratch, 'holdfast-recovery', 'recovery.key'), 'utf8')).trim();
    assert.ok(text.includes(key));
  });

  it('has a script in which no name that is stored becomes a command or leaves its comment', async (test) => {
    const { facts, scratch } = await makeIn(test, { withKey: false, places });
    const hostile = [
      ...['shop', 'a; touch made-1', '$(touch made-2)', "o'; touch made-3; '", '../../out', '`touch made-4`'],
      ...['x\ntouch made-5', 'turned \u202e'],
    ];
    const cluster = { serverVersion: '18.0', bytes: 1, snapshots: 1, newestAt: '', tablespaces: ['/t\ntouch made-6'] };
    const copy = { name: 'w\ntouch made-7', location: '/mnt/a b\ntouch made-8', access: disk.access };
    const script = writeScript({
      ...facts,
      places: [disk, copy],
      clusters: hostile.map((name) => ({ ...cluster, name })),
    });
    await writeFile(join(scratch, 'npx'), '#!/bin/sh\nfor word; do echo "<$word>"; done\n', { mode: 0o755 });
    await writeFile(join(scratch, 'npm'), '#!/bin/sh\n', { mode: 0o755 });
    const { stdout } = await run('/bin/sh', ['-eu', '-c', script.join('\n')], {
      env: { PATH: `${scratch}:${process.env.PATH}`, HOME: scratch },
    });
    const home = join(scratch, 'holdfast-recovery');
    assert.deepEqual(await readdir(home), []);
    const words = [...stdout.matchAll(/<--cluster>\n<(.*)>\n<--into>\n<(.*)>/g)].map(([, name, into]) => [name, into]);
    assert.deepEqual(
      words,
      hostile.slice(0, 6).map((name, i) => [name, join(home, i === 0 ? 'shop' : `_cluster-${i + 1}`)]),
    );
    assert.ok(script.some((line) => line.startsWith('# "turned \\u{202e}": needs')));
  });

  it('agrees with its repository, and its key opens that', async (test) => {
    const { repository, store, html, slot } = await makeIn(test, { withKey: true });
    for (const form of [html, textOfPage(html), textOfPage(html).replaceAll(/\n/g, ' \r\n')]) {
      const kit = readKit(form);
      assert.ok(kit.kind === 'page');
      assert.deepEqual(wrongOf(await checkKit(repository, kit, ['/backups/shop'])), []);
    }
    const page = readKit(html);
    assert.ok(page.kind === 'page' && page.key !== null && 'bytes' in page.key);
    const credential = { kind: 'key', bytes: page.key.bytes } as const;
    assert.equal((await openRepository({ store, credential, access: 'write', clock })).slot, slot);
    const typed = readKit(`${/^(?:[0-9A-Z]{5}-){6}[0-9A-Z]{5}\n.*$/m.exec(textOfPage(html))![0]}\n`);
    assert.ok(typed.kind === 'key');
    assert.deepEqual(wrongOf(await checkKit(repository, typed, [])), []);
  });

  it('is found wrong when it was changed, is of another repository, or its key was removed', async (test) => {
    const { repository, html, slot } = await makeIn(test, { withKey: true });
    const other = await createRepository(test);
    const check = async (text: string, against = repository) => {
      const kit = readKit(text);
      assert.ok(kit.kind !== 'neither');
      return wrongOf(await checkKit(against, kit, ['/backups/shop']));
    };
    assert.match((await check(html.replace('/backups/shop', '/backups/other')))[0]!, /was changed/);
    assert.match((await check(html.slice(0, html.indexOf('SHA-256 of the text'))))[0]!, /no checksum/);
    assert.deepEqual((await check(html, other.repository)).length, 4);
    await beginEpoch(repository);
    assert.deepEqual(await check(html), []);
    await removeSlot(repository, slot!);
    assert.deepEqual(await check(html), ['The key does not open the repository.']);
    assert.equal(readKit('hello').kind, 'neither');
  });

  it('tells what has changed since it was made without calling it wrong', async (test) => {
    const { repository, html, slot } = await makeIn(test, { withKey: false });
    assert.equal(slot, null);
    const kit = readKit(html);
    assert.ok(kit.kind === 'page' && kit.key === null);
    const findings = await checkKit(repository, kit, ['/backups/shop', 's3://new/one']);
    assert.deepEqual(
      findings.filter(({ verdict }) => verdict !== 'right').map(({ verdict, sentence }) => [verdict, sentence]),
      [['notice', 'The page does not name a place in which the repository is kept: s3://new/one.']],
    );
  });

  it('is never written over a file, and leaves neither file nor slot when it cannot be written', async (test) => {
    const { repository, scratch } = await createRepository(test);
    const options = { repository, stateDirectory: scratch, places: [disk], contacts: [], version: '1.2.3' };
    const path = join(scratch, 'taken.html');
    await writeFile(path, 'mine');
    const withKey = { label: 'kit' };
    await assert.rejects(makeKit({ ...options, path, withKey }), { code: 'KIT_FILE_EXISTS' });
    await writeFile(join(scratch, 'killed.html'), '');
    await assert.rejects(makeKit({ ...options, path: join(scratch, 'killed.html'), withKey }), {
      ...{
        code: 'KIT_FILE_EXISTS',
        hints: ['Delete it, if no other holdfast recovery-kit is at work; no key stands in it.'],
      },
    });
    await assert.rejects(makeKit({ ...options, path: join(scratch, 'none', 'kit.html'), withKey }), {
      code: 'KIT_FILE_UNWRITABLE',
    });
    // A code for a camera holds no more than some thousand characters.
    const tooLong: KitFacts['places'] = [{ ...disk, location: `s3://bucket/${'x'.repeat(5000)}` }];
    await assert.rejects(makeKit({ ...options, places: tooLong, path: join(scratch, 'kit.html'), withKey }));
    assert.deepEqual(
      (await readdir(scratch)).filter((name) => name.endsWith('.html')),
      ['killed.html', 'taken.html'],
    );
    assert.equal((await listSlots(repository)).slots.length, 1);
  });

  it('leaves no empty page behind when the store does not take its key, so that the next run is not refused', async (test) => {
    const { store, open, scratch } = await createRepository(test);
    const denied = new HoldfastError('STORE_DENIED', 'cannot write: planned by the test');
    const faulty = new FaultyStore(store).plan({ kind: 'fail', call: 'putIfAbsent', nth: 1, error: () => denied });
    const repository = await open({ store: faulty });
    const options = { repository, stateDirectory: scratch, places: [disk], contacts: [], version: '1.2.3' };
    const make = () => makeKit({ ...options, path: join(scratch, 'kit.html'), withKey: { label: 'kit' } });
    await assert.rejects(make(), { code: 'STORE_DENIED' });
    assert.equal(typeof (await make()).slot, 'string');
  });

  it('draws codes of the key and of addresses that say what stands beside them', () => {
    const page = renderKit([{ kind: 'code', caption: 'c', content: 'HOLDFAST' }], 't');
    const dark = [...page.matchAll(/M(\d+) (\d+)h1v1h-1z/g)].map(([, x, y]) => [Number(x), Number(y)] as const);
    const side = Math.max(...dark.flat()) + 1;
    // Version 1 has 21 modules a side, and a finder pattern in three of its corners.
    assert.equal(side, 21);
    const isDark = (x: number, y: number) => dark.some(([column, row]) => column === x && row === y);
    for (const [x, y] of [
      [0, 0],
      [14, 0],
      [0, 14],
    ] as const) {
      for (let i = 0; i < 7; i++)
        assert.ok(isDark(x + i, y) && isDark(x, y + i) && isDark(x + 6, y + i) && isDark(x + i, y + 6));
      assert.ok(!isDark(x + 1, y + 1) && isDark(x + 3, y + 3));
    }
    assert.match(page, /viewBox="-4 -4 29 29"/);
  });
});
