import assert from 'node:assert/strict';
import { appendFile, chmod, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { silentProgress, systemClock } from '../../src/lib/index.ts';
import { keptFrom, readConfiguration, runBackup } from '../../src/protect/backup/index.ts';
import { findEntry, type SnapshotRecord } from '../../src/repository/index.ts';
import { runRestore } from '../../src/restore/index.ts';
import { documentOf, runHoldfast } from '../support/command-line.ts';
import { type PostgresServer, startPostgres } from '../support/postgres-server.ts';
import { makeRepository, type TestRepository, targetOf, testCredential } from '../support/repository.ts';
import { makeScratchDirectory } from '../support/scratch.ts';

const secret = 'geheim42';

for (const major of [18, 14] as const) {
  describe(`the configuration of PostgreSQL ${major} outside its data directory`, () => {
    let scratch: string;
    let etc: string;
    let server: PostgresServer;
    let place: TestRepository;
    before(async () => {
      scratch = await makeScratchDirectory('configuration');
      etc = join(scratch, 'etc');
      const dataDirectory = join(scratch, 'data');
      await (await startPostgres({ major, dataDirectory })).dispose();
      await layOutAsDebianDoes(dataDirectory, etc, major);
      server = await startPostgres({ major, dataDirectory, settings: { config_file: join(etc, 'postgresql.conf') } });
      place = await makeRepository(scratch);
    });
    after(async () => {
      await server?.dispose();
      await rm(scratch, { recursive: true, force: true });
    });

    async function backUp(url: string): Promise<SnapshotRecord> {
      const { repository, stateDirectory } = place;
      const common = { cluster: 'main', clock: systemClock, progress: silentProgress };
      const { snapshot, configurationGaps } = await runBackup({
        ...{ repository, stateDirectory, ...common },
        checkpoint: 'fast',
        source: targetOf(url),
      });
      assert.deepEqual(keptFrom(snapshot)!.gaps, configurationGaps);
      return snapshot;
    }

    const namesOf = (snapshot: SnapshotRecord) =>
      keptFrom(snapshot)!
        .files.map(({ path }) => path.replace(`${scratch}/`, ''))
        .sort();
    const all = [
      ...['data/postgresql.auto.conf', 'etc/conf.d/memory.conf', 'etc/pg_hba.conf', 'etc/pg_ident.conf'],
      ...['etc/postgresql.conf', 'etc/users', ...(major >= 16 ? ['etc/more_hba.conf'] : [])],
    ].sort();

    it('is missed by a role that may not read it, which is told with the statements that mend it', async () => {
      const poor = await backUp(server.backupUrl);
      const { gaps, settings } = keptFrom(poor)!;
      assert.deepEqual(namesOf(poor), ['data/postgresql.auto.conf']);
      assert.ok(settings! > 300);
      const missed = gaps.map(({ what }) => what);
      for (const name of ['postgresql.conf', 'pg_hba.conf', 'pg_ident.conf', 'conf.d/memory.conf']) {
        assert.ok(missed.includes(join(etc, name)), name);
      }
      const [connect, ...grants] = [...new Set(gaps.flatMap(({ mend }) => mend))];
      assert.equal(connect, '\\connect postgres');
      await server.query(grants.join('\n'));

      const rich = await backUp(server.backupUrl);
      assert.deepEqual(keptFrom(rich)!.gaps, []);
      assert.deepEqual(namesOf(rich), all);
      const { files } = await readConfiguration(place.repository, rich);
      for (const { path, content } of files) assert.deepEqual(content, await readFile(path), path);
      await server.query(grants.join('\n').replaceAll('GRANT', 'REVOKE').replaceAll(' TO ', ' FROM '));
    });

    it('is read from the disk when the server runs on this machine', async () => {
      const snapshot = await backUp(server.backupSocketUrl);
      assert.deepEqual(keptFrom(snapshot)!.gaps, []);
      assert.deepEqual(namesOf(snapshot), all);
      const index = await place.repository.loadIndex();
      const { readChunk } = place.repository.openChunkReader(index);
      const entry = await findEntry(snapshot.tree.root, `config/files${etc}/pg_hba.conf`, readChunk);
      assert.equal(entry?.mode, 0o644);
      index.close();

      // A restore puts back the data directory and nothing else.
      const into = join(scratch, `restored-${major}`);
      const { repository, stateDirectory } = place;
      const result = await runRestore({
        repository,
        stateDirectory,
        clock: systemClock,
        target: { kind: 'latest' },
        into,
      });
      assert.equal(result.proposal.snapshot.id, snapshot.id);
      await assert.rejects(readFile(join(into, 'config/settings.json')), { code: 'ENOENT' });
      assert.doesNotMatch(await readFile(join(into, 'pg_hba.conf'), 'utf8'), /@users/);
    });

    it('is shown and compared without its secrets', async () => {
      const before = await backUp(server.backupSocketUrl);
      await appendFile(join(etc, 'conf.d/memory.conf'), "work_mem = '77MB'\n");
      await appendFile(join(etc, 'users'), 'carol\n');
      await server.query('SELECT pg_reload_conf()');
      for (let value = ''; value !== '77MB'; ) {
        [{ value }] = (await server.query<{ value: string }>("SELECT current_setting('work_mem') AS value")) as [
          { value: string },
        ];
      }
      const after = await backUp(server.backupSocketUrl);
      const environment = {
        HOLDFAST_REPOSITORY: place.path,
        HOLDFAST_PASSPHRASE: testCredential.kind === 'passphrase' ? testCredential.passphrase : '',
        HOLDFAST_STATE_DIR: place.stateDirectory,
        DATABASE_URL: server.backupSocketUrl,
      };
      const run = (...words: string[]) => runHoldfast(words, { environment });

      const shown = await run('show', after.id, '--settings', '--json');
      const { settings } = documentOf<{ settings: { name: string; setting: string; changed: boolean }[] }>(shown);
      const firstKept = settings.findIndex(({ changed }) => !changed);
      assert.ok(
        settings.slice(firstKept).every(({ changed }) => !changed),
        'changed ones come first',
      );
      const find = (name: string) => settings.find((setting) => setting.name === name);
      assert.deepEqual([find('work_mem')!.setting, find('work_mem')!.changed], [String(77 * 1024), true]);
      assert.equal(find('primary_conninfo')!.setting, 'host=old.example password=[redacted] user=r');
      const stored = await readConfiguration(place.repository, after);
      assert.match(stored.settings!.find(({ name }) => name === 'primary_conninfo')!.setting!, new RegExp(secret));
      assert.match((await run('show', after.id, '--settings')).stdout, /work_mem +78848 kB +.*memory\.conf:\d+/);

      const compared = await run('settings', 'diff', before.id, after.id, '--json');
      assert.equal(compared.code, 0);
      const document = documentOf<{ same: boolean; settings: unknown[]; files: { path: string; lines: string[] }[] }>(
        compared,
      );
      assert.equal(document.same, false);
      assert.deepEqual(document.settings, [{ name: 'work_mem', unit: 'kB', from: '4096', to: String(77 * 1024) }]);
      assert.deepEqual(
        document.files.map(({ path, lines }) => [path, lines.at(-1)]),
        [
          [join(etc, 'conf.d/memory.conf'), "+work_mem = '77MB'"],
          [join(etc, 'users'), '+carol'],
        ],
      );
      const asked = await run('settings', 'diff', before.id.slice(0, 12), after.id.slice(0, 12), '--exit-code');
      assert.equal(asked.code, 3);
      const now = await run('settings', 'diff', after.id, 'now', '--exit-code');
      assert.equal(now.code, 0, now.stdout + now.stderr);
      for (const { stdout, stderr } of [shown, compared, asked, now])
        assert.doesNotMatch(stdout + stderr, new RegExp(secret));
      const unnamed = await runHoldfast(['settings', 'diff', after.id, 'now'], {
        environment: { ...environment, DATABASE_URL: '' },
      });
      assert.equal(unnamed.code, 2, unnamed.stderr);
    });

    it('is left out, with a word, where the role may replicate and not log in', async () => {
      const lines = (await readFile(join(etc, 'pg_hba.conf'), 'utf8')).split('\n');
      await writeFile(
        join(etc, 'pg_hba.conf'),
        ['host all backup all reject', 'local all backup reject', ...lines].join('\n'),
      );
      await server.query('SELECT pg_reload_conf()');
      for (let isRejected = false; !isRejected; ) {
        isRejected = await import('pg').then(async ({ default: pg }) => {
          const client = new pg.Client({ connectionString: server.backupUrl });
          const [failed] = await Promise.all([
            client.connect().then(
              () => false,
              () => true,
            ),
          ]);
          await client.end().catch(() => {}); // It may never have been connected.
          return failed;
        });
      }
      const snapshot = await backUp(server.backupUrl);
      const { gaps, settings } = keptFrom(snapshot)!;
      assert.equal(settings, null);
      assert.match(gaps.find(({ what }) => what === 'settings')!.reason, /"backup" could not log in for SQL/);
      assert.deepEqual(namesOf(snapshot), ['data/postgresql.auto.conf']);
    });
  });
}

/** Moves the files of settings out of the data directory, with everything that they may include. */
async function layOutAsDebianDoes(dataDirectory: string, etc: string, major: number): Promise<void> {
  await mkdir(join(etc, 'conf.d'), { recursive: true });
  for (const name of ['postgresql.conf', 'pg_hba.conf', 'pg_ident.conf']) {
    await rename(join(dataDirectory, name), join(etc, name));
    await chmod(join(etc, name), 0o644);
  }
  await appendFile(
    join(etc, 'postgresql.conf'),
    `data_directory = '${dataDirectory}'\nhba_file = '${etc}/pg_hba.conf'\nident_file = '${etc}/pg_ident.conf'\n` +
      `include_dir 'conf.d'\ninclude_if_exists 'missing.conf'\nprimary_conninfo = 'host=old.example password=${secret} user=r'\n`,
  );
  await writeFile(join(etc, 'conf.d/memory.conf'), "maintenance_work_mem = '70MB'\n");
  await writeFile(join(etc, 'conf.d/.hidden.conf'), 'this is no setting\n');
  await writeFile(join(etc, 'users'), 'alice\nbob\n');
  await appendFile(join(etc, 'pg_hba.conf'), 'host all @users 192.0.2.0/24 scram-sha-256\n');
  if (major >= 16) {
    await appendFile(join(etc, 'pg_hba.conf'), 'include more_hba.conf\n');
    await writeFile(join(etc, 'more_hba.conf'), 'host all all 198.51.100.0/24 reject\n');
  }
}
