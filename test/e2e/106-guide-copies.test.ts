import assert from 'node:assert/strict';
import { mkdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { readGuideBlocks, runGuideShell } from '../support/guide.ts';
import { startPostgres } from '../support/postgres-server.ts';
import { makeScratchDirectory } from '../support/scratch.ts';

describe('the guide to copies', () => {
  it('leads through a cut, the loss of the primary and a new one, block by block', async () => {
    const scratch = await makeScratchDirectory('guide-copies');
    const server = await startPostgres({ major: 18, walSegmentSizeMb: 1 });
    try {
      await server.query("CREATE ROLE holdfast LOGIN REPLICATION PASSWORD 'choose-one'; GRANT pg_monitor TO holdfast");
      for (const disk of ['disk-1', 'disk-2', 'disk-3']) await mkdir(join(scratch, disk));
      const typed = (await readGuideBlocks('copies')).filter(({ language }) => language === 'sh');
      assert.equal(typed.length, 5);
      const script = typed.map(({ text }, number) =>
        `echo "block ${number + 1}"\n${text}`.replaceAll('127.0.0.1:5432', `127.0.0.1:${server.port}`),
      );
      const { code, output } = await runGuideShell(script.join('\n'), scratch);
      assert.equal(code, 0, output);
      const said = output.split(/^block \d$/m);
      assert.match(said[2]!, /west +in step/);
      assert.match(said[3]!, /copy +"west" is away, and catches up when it is back/);
      assert.match(said[3]!, /it lacks \d+ objects[\s\S]*snapshots\/committed\//);
      assert.equal(said[4]!.match(/^[0-9a-f]{12} +main /gm)?.length, 2);
      assert.match(said[5]!, /copy "north" has \d+ objects, .* as the primary has them \(byte for byte\)/);
      assert.match(output, /The primary is not used: could not reach disk/);
      assert.match(await readFile(join(scratch, 'restored/PG_VERSION'), 'utf8'), /^18/);
    } finally {
      await server.dispose();
      await rm(scratch, { recursive: true, force: true });
    }
  });
});
