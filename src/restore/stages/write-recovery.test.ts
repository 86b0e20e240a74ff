import assert from 'node:assert/strict';
import { mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { scratchFor } from '../../../test/support/memory-repository.ts';
import { startPostgres } from '../../../test/support/postgres-server.ts';
import type { RestoreProposal } from '../proposal.ts';
import { BLOCK_BEGIN, BLOCK_END } from '../recovery-settings.ts';
import { ClaimedTarget } from './claim-target.ts';
import { WAITING_CONTROL_FILE } from './extract-files.ts';
import type { TreeOutline } from './read-outline.ts';
import { writeRecovery } from './write-recovery.ts';

const automatic = 'postgresql.auto.conf';

/** Only what the stage looks at. */
function proposalOf(major: number, start: boolean): RestoreProposal {
  const target = { recordLsn: 0x16b374d848n, inclusive: false, timeline: 3 };
  const survey = { settings: null, tablespaces: [], extensions: [] };
  return { snapshot: { serverMajor: major }, start, target, survey, tablespaces: [] } as unknown as RestoreProposal;
}

async function write(
  test: TestContext,
  files: Record<string, string>,
  options: { major?: number; start?: boolean } = {},
) {
  const path = await scratchFor(test, 'recovery');
  for (const [name, content] of Object.entries(files)) await writeFile(join(path, name), content);
  const outline = { configuration: new Set(Object.keys(files)) } as unknown as TreeOutline;
  const target = new ClaimedTarget({ path, owner: undefined, marker: undefined as never });
  const proposal = proposalOf(options.major ?? 18, options.start ?? false);
  const written = await writeRecovery({ proposal, outline, target });
  return { path, written, settings: await readFile(join(path, automatic), 'utf8') };
}

describe('the recovery that a server is told of', () => {
  it('is a block behind what was restored, which is kept', async (test) => {
    const { path, settings } = await write(test, { 'postgresql.conf': '', [automatic]: "work_mem = '5MB'" });
    const [before, block] = settings.split(BLOCK_BEGIN);
    assert.equal(before, "work_mem = '5MB'\n");
    assert.ok(block!.trimEnd().endsWith(BLOCK_END));
    assert.equal(await readFile(join(path, 'recovery.signal'), 'utf8'), '');
  });

  it('names a position, a timeline by its number, and no other target', async (test) => {
    const { settings } = await write(test, { 'postgresql.conf': '' });
    for (const line of [
      "recovery_target_lsn = '16/B374D848'",
      "recovery_target_inclusive = 'off'",
      "recovery_target_timeline = '3'",
      "recovery_target_action = 'promote'",
      "recovery_target_time = ''",
      "recovery_target_xid = ''",
      "recovery_target_name = ''",
      "recovery_target = ''",
    ]) {
      assert.ok(settings.includes(`\n${line}\n`), line);
    }
    assert.ok(settings.indexOf("recovery_target_time = ''") < settings.indexOf('recovery_target_lsn'), 'emptied first');
    assert.match(settings, /restore_command = 'test -r holdfast-recovery\/restore-wal .* "%f" "%p"'/);
  });

  it('cuts every tie to the old world', async (test) => {
    const { settings } = await write(test, { 'postgresql.conf': '' }, { major: 14 });
    for (const line of [
      "archive_mode = 'off'",
      "primary_conninfo = ''",
      "primary_slot_name = ''",
      "synchronous_standby_names = ''",
      "archive_cleanup_command = ''",
      "recovery_end_command = ''",
      "recovery_min_apply_delay = '0'",
      "promote_trigger_file = ''",
    ]) {
      assert.ok(settings.includes(`\n${line}\n`), line);
    }
    const { settings: newer } = await write(test, { 'postgresql.conf': '' }, { major: 18 });
    assert.ok(
      !newer.includes('promote_trigger_file'),
      'a setting that 16 and later do not know would keep them from starting',
    );
  });

  it('is not written down for a server that we start ourselves, so that nobody else recovers with half of it', async (test) => {
    const { settings } = await write(test, { 'postgresql.conf': '' }, { start: true });
    assert.ok(!settings.includes('recovery_target_lsn'));
    assert.ok(!settings.includes('restore_command'));
    assert.ok(settings.includes("archive_mode = 'off'"));
  });

  it('comes with a minimal configuration when the server keeps its own elsewhere, and says so', async (test) => {
    await using server = await startPostgres({ major: 18 });
    const path = await scratchFor(test, 'recovery');
    await mkdir(join(path, 'global'));
    await writeFile(
      join(path, WAITING_CONTROL_FILE),
      await readFile(join(server.dataDirectory, 'global', 'pg_control')),
    );
    const target = new ClaimedTarget({ path, owner: undefined, marker: undefined as never });
    const outline = { configuration: new Set([automatic]) } as unknown as TreeOutline;
    const { notes, files } = await writeRecovery({ proposal: proposalOf(18, false), outline, target });
    assert.match(
      notes.join(),
      /no postgresql\.conf, pg_hba\.conf, pg_ident\.conf, .* a minimal configuration was made/,
    );
    assert.deepEqual(files, ['postgresql.conf', 'pg_hba.conf', 'pg_ident.conf', automatic, 'recovery.signal']);
    const made = await readFile(join(path, 'postgresql.conf'), 'utf8');
    assert.match(made, /max_connections = '100'/);
    assert.match(made, /listen_addresses = 'localhost'/);
    for (const name of files) assert.equal((await stat(join(path, name))).mode & 0o777, 0o600, name);
  });

  it('says when the restored configuration leads elsewhere', async (test) => {
    const { written } = await write(test, {
      'postgresql.conf':
        "data_directory = '/var/lib/postgresql/15/main'\n#hba_file = '/etc/commented'\ninclude_dir '/etc/conf.d'\n",
    });
    assert.match(
      written.notes.join(),
      /leads outside the restored directory \(data_directory = \/var\/lib\/postgresql\/15\/main; include_dir = \/etc\/conf\.d\)/,
    );
  });
});
