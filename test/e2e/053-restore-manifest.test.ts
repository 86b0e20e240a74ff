import assert from 'node:assert/strict';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { silentProgress } from '../../src/lib/index.ts';
import { MARKER_NAME } from '../../src/restore/index.ts';
import { type ProtectedServer, startProtectedServer } from '../support/protected-server.ts';
import { fetchRefereeTools, type RefereeTools, whyNoReferees } from '../support/referee-tools.ts';
import { nobody, runsAsRoot } from '../support/scratch.ts';

const owner = runsAsRoot ? { owner: nobody } : {};
const latest = { target: { kind: 'latest' }, manifest: true, ...owner } as const;
/** What a restore has besides the files of the backup. */
const OURS = [MARKER_NAME, 'holdfast-recovery'].map((name) => `--ignore=${name}`);

function flipByte(path: string): void {
  const bytes = readFileSync(path);
  bytes[5000]! ^= 0x10;
  writeFileSync(path, bytes);
}

describe('restore --manifest', { skip: whyNoReferees() }, () => {
  let world: ProtectedServer;
  let tools: RefereeTools;
  before(async () => {
    tools = await fetchRefereeTools();
    world = await startProtectedServer(18);
    await world.backUp();
    await world.settle();
  });
  after(() => world?.dispose());

  it('makes a manifest that pg_verifybackup accepts, and by which it finds what changed later', async () => {
    const restored = await world.restore(latest);
    const { into } = restored.proposal;
    const judge = () => tools.run('pg_verifybackup', ['--no-parse-wal', ...OURS, into]);
    assert.equal(restored.manifest, join(into, 'backup_manifest'));
    assert.ok(
      restored.notes.some((note) => note.includes(`pg_verifybackup --no-parse-wal ${OURS.join(' ')} "${into}"`)),
    );
    const verdict = await judge();
    assert.equal(verdict.code, 0, verdict.stderr);
    assert.match(verdict.stdout, /backup successfully verified/);

    flipByte(join(into, 'global', '1262'));
    assert.match((await judge()).stderr, /checksum mismatch for file "global\/1262"/);
    flipByte(join(into, 'global', '1262'));
    rmSync(join(into, 'global', '1260'));
    assert.match((await judge()).stderr, /"global\/1260" is present in the manifest but not on disk/);
  });

  it('ends in an error when a file reads back otherwise, and the same command mends just that', async () => {
    const into = join(world.scratch, 'differs');
    const damaged = join(into, 'global', '1262');
    const progress = {
      ...silentProgress,
      begin: (stage: string) => {
        if (stage === 'reading it back') flipByte(damaged);
      },
    };
    await assert.rejects(world.restore({ ...latest, into, progress }), {
      code: 'RESTORE_READ_BACK_DIFFERS',
      message: /global\/1262/,
    });
    assert.equal(existsSync(join(into, 'global', 'pg_control')), false);
    const again = await world.restore({ ...latest, into });
    assert.equal(again.reuse!.writtenBytes, 8192);
    assert.equal((await tools.run('pg_verifybackup', ['--no-parse-wal', ...OURS, into])).code, 0);
  });
});
