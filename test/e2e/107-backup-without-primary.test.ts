import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { chown, mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { systemClock } from '../../src/lib/index.ts';
import { documentOf, type RunningCommand, startHoldfast } from '../support/command-line.ts';
import { type PostgresServer, startPostgres } from '../support/postgres-server.ts';
import { testPassphrase } from '../support/repository.ts';
import { readRestoredFiles } from '../support/restored-files.ts';
import { makeScratchDirectory, nobody, runsAsRoot } from '../support/scratch.ts';

/** Incompressible, so that a backup makes more than one pack and can be killed between them. */
const NOISE_BYTES = 100 << 20;

const stack = new AsyncDisposableStack();
let server: PostgresServer;
let scratch: string;

before(async () => {
  scratch = await makeScratchDirectory('backup-away');
  stack.defer(() => rm(scratch, { recursive: true, force: true }));
  server = stack.use(await startPostgres({ major: 18, settings: { summarize_wal: 'on' } }));
  await server.query('CREATE TABLE item AS SELECT i AS n FROM generate_series(1, 1000) i');
  for (const place of ['west', 'north']) await mkdir(path(place));
  const plan = {
    clusters: [{ name: 'shop' }],
    repository: {
      primary: path('primary'),
      copies: [
        { name: 'north', location: path('north') },
        { name: 'west', location: path('west'), required: true },
      ],
    },
  };
  await writeFile(path('holdfast.config.json'), JSON.stringify(plan));
  await succeed('repository', 'init');
});
after(() => stack.disposeAsync());

const path = (part: string) => join(scratch, part);

function start(words: readonly string[], state = 'state'): RunningCommand {
  const environment = {
    DATABASE_URL: server.backupUrl,
    HOLDFAST_PASSPHRASE: testPassphrase,
    HOLDFAST_STATE_DIR: path(state),
  };
  return startHoldfast([...words, '--plan', path('holdfast.config.json'), '--json'], { environment });
}

/** What these commands say, of all that they say. */
interface Said {
  readonly snapshot: string;
  readonly takenIn: string | null;
  readonly snapshots: readonly Listed[];
  readonly copies: readonly { readonly name: string; readonly state: string }[];
  readonly broughtHome: readonly { readonly error: unknown }[];
  readonly error?: { readonly code: string };
}

interface Listed {
  readonly snapshot: string;
  readonly onlyIn: readonly string[] | null;
}

const onlyInOf = ({ snapshot, onlyIn }: Listed) => [snapshot, onlyIn];

async function run(...words: string[]) {
  const ended = await start(words).ended;
  return { ...ended, document: documentOf<Said>(ended) };
}

async function succeed(...words: string[]) {
  const ended = await run(...words);
  assert.equal(ended.code, 0, `${words.join(' ')}: ${ended.stdout}${ended.stderr}`);
  return ended.document;
}

/** As an unmounted disk. */
const cut = (place: string) => rename(path(place), path(`${place}.away`));
const mend = (place: string) => rename(path(`${place}.away`), path(place));

const namesIn = (place: string, prefix: string) => readdir(join(path(place), prefix)).catch(() => [] as string[]);

/** The snapshots that a place lists by itself. */
const idsIn = async (place: string) => (await namesIn(place, 'snapshots/committed')).sort();

/** Kills the command as soon as it has stored one pack more. */
async function killInTheMiddle(command: RunningCommand, place: string): Promise<void> {
  const before = (await namesIn(place, 'packs')).length;
  let hasEnded = false;
  void command.ended.then(() => {
    hasEnded = true;
  });
  for (let tries = 0; tries < 1_500 && (await namesIn(place, 'packs')).length === before; tries++) {
    assert.ok(!hasEnded, 'it is still on its way');
    await systemClock.sleep(20);
  }
  command.child.kill('SIGKILL');
  await command.ended;
}

async function restoredFiles(from: string, snapshot: string): Promise<Map<string, Buffer>> {
  const into = path(`restored-${from}`);
  const ended = await run('restore', '--snapshot', snapshot, '--from', from, '--into', into);
  assert.equal(ended.code, 0, `${ended.stdout}${ended.stderr}`);
  const files = readRestoredFiles(into);
  await rm(into, { recursive: true });
  return files;
}

describe('a backup while the primary is away', () => {
  const taken: string[] = [];

  it('is refused before this machine ever saw the primary, as nothing says which history is the newest', async () => {
    await cut('primary');
    const refused = await run('backup', '--checkpoint', 'fast');
    await mend('primary');
    assert.equal(refused.code, 1, refused.stderr);
  });

  it('goes into the required copy, is listed as what copies alone have, and reaches the other copy', async () => {
    const before = await succeed('backup', '--checkpoint', 'fast');
    assert.equal(before.takenIn, null);
    await cut('primary');
    await server.query('INSERT INTO item SELECT generate_series(1001, 2000)');
    const backup = await succeed('backup', '--checkpoint', 'fast');
    assert.equal(backup.takenIn, 'west');
    taken.push(backup.snapshot);
    assert.deepEqual(
      backup.copies.map(({ name, state }) => [name, state]),
      [['north', 'in-step']],
    );
    const { snapshots } = await succeed('list');
    assert.deepEqual(snapshots.map(onlyInOf), [
      [before.snapshot, null],
      [backup.snapshot, ['north', 'west']],
    ]);
    const status = await run('status');
    assert.match(status.stdout, /snapshot-away/);
  });

  it('is refused while a required copy is away, too', async () => {
    await cut('west');
    const refused = await run('backup', '--checkpoint', 'fast');
    await mend('west');
    assert.deepEqual([refused.code, refused.document.error?.code], [1, 'REPOSITORY_PRIMARY_AWAY'], refused.stderr);
  });

  it('leaves nothing that is listed when it is killed, and the next one goes on', async () => {
    const noise = join(server.dataDirectory, 'noise');
    await writeFile(noise, randomBytes(NOISE_BYTES));
    if (runsAsRoot) await chown(noise, nobody.uid, nobody.gid);
    await killInTheMiddle(start(['backup', '--checkpoint', 'fast', '--type', 'full', '--max-rate', '64MB']), 'west');
    const { snapshots } = await succeed('list');
    assert.equal(snapshots.length, 2);
    await rm(noise);
    const backup = await succeed('backup', '--checkpoint', 'fast');
    taken.push(backup.snapshot);
  });

  it('has its WAL brought by the receiver of this machine, so that no segment is sealed in two ways', async () => {
    const receiver = start(['wal', 'stream', '--events']);
    try {
      await receiver.said(/"streaming"/);
      const command = start(['backup', '--checkpoint', 'fast', '--events']);
      await Promise.all([
        command.said(/the WAL receiver of this machine brings the WAL/),
        command.ended.then(({ code, stderr }) => assert.equal(code, 0, stderr)),
      ]);
      taken.push(documentOf<Said>(await command.ended).snapshot);
    } finally {
      receiver.child.kill('SIGTERM');
      await receiver.ended;
    }
  });

  it('is brought to the primary when that is back, also by a bringing that was killed, and every place has it whole', async () => {
    await mend('primary');
    const seen = await succeed('list');
    assert.deepEqual(seen.snapshots.at(-1)!.onlyIn, ['north', 'west']);
    assert.deepEqual(
      (await idsIn('primary')).filter((id) => taken.includes(id)),
      [],
    );
    await killInTheMiddle(start(['copies', 'sync']), 'primary');
    // Only the copy that is named gets anything meanwhile.
    // One that the primary has: what the killed backup left in the copies alone is needed by nobody, and nothing brings it back.
    const inPrimary = await namesIn('primary', 'packs');
    const lacked = (await namesIn('north', 'packs')).find((name) => inPrimary.includes(name));
    await rm(join(path('north'), 'packs', lacked!));
    const { broughtHome } = await succeed('copies', 'sync', 'west');
    assert.ok(broughtHome.length > 0 && broughtHome.every(({ error }) => error === null));
    assert.ok(!(await namesIn('north', 'packs')).includes(lacked!));
    const listed = (await succeed('list')).snapshots;
    assert.deepEqual(
      listed.slice(1).map(onlyInOf),
      taken.map((id) => [id, null]),
    );
    const after = await succeed('backup', '--checkpoint', 'fast');
    const all = [listed[0]!.snapshot, ...taken, after.snapshot].sort();
    await succeed('copies', 'compare');
    for (const place of ['primary', 'north', 'west']) {
      await succeed('verify', '--all', '--from', place);
      assert.deepEqual(await idsIn(place), all);
    }
    const truth = await restoredFiles('primary', taken[1]!);
    for (const place of ['north', 'west']) assert.deepEqual(await restoredFiles(place, taken[1]!), truth);
  });
});
