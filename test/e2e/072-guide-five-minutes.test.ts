import assert from 'node:assert/strict';
import { mkdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { type GuideBlock, readGuideBlocks, runGuideShell } from '../support/guide.ts';
import { type PostgresServer, startPostgres } from '../support/postgres-server.ts';
import { makeScratchDirectory } from '../support/scratch.ts';

async function runAll(blocks: readonly GuideBlock[], server: PostgresServer): Promise<void> {
  for (const { text } of blocks) await server.query(text);
}

describe('the guide of five minutes', () => {
  it('leads to a restored server, block by block, and takes itself back', async () => {
    const scratch = await makeScratchDirectory('five-minutes');
    const server = await startPostgres({ major: 18, walSegmentSizeMb: 1 });
    try {
      await server.query('CREATE TABLE item AS SELECT n FROM generate_series(1, 1000) n');
      const blocks = await readGuideBlocks('five-minutes');
      const [makeRole, undo] = blocks.filter(({ language }) => language === 'sql');
      const [install, ...typed] = blocks.filter(({ language }) => language === 'sh').map(({ text }) => text);
      assert.match(install!, /^npm install holdfast$/m);
      await runAll([makeRole!], server);
      const places = (text: string) =>
        text
          .replaceAll('127.0.0.1:5432', `127.0.0.1:${server.port}`)
          .replaceAll(
            '--start',
            `--start --bin-dir '${server.binDirectory}' --json | tail -n 1 > '${join(scratch, 'document')}'`,
          );
      // What stands in the background ends with the shell that began it, whatever becomes of the rest.
      const script = ["trap 'kill $! 2>/dev/null && wait $! || true' EXIT", 'holdfast --version', ...typed.map(places)];
      await mkdir(join(scratch, 'holdfast'));
      const { code, output } = await runGuideShell(script.join('\n'), scratch);
      assert.equal(code, 0, output);
      const document = await readFile(join(scratch, 'document'), 'utf8');
      const { instance } = JSON.parse(document) as { instance: { pid: number } };
      process.kill(instance.pid, 'SIGQUIT');
      assert.match(await readFile(join(scratch, 'holdfast/restored/PG_VERSION'), 'utf8'), /^18/);
      await runAll([undo!], server);
      assert.deepEqual(await server.query('SELECT FROM pg_replication_slots'), []);
    } finally {
      await server.dispose();
      await rm(scratch, { recursive: true, force: true });
    }
  });
});
