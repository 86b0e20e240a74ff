import assert from 'node:assert/strict';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { readGuideBlocks, runGuideShell } from '../support/guide.ts';
import { type PostgresServer, startPostgres } from '../support/postgres-server.ts';
import { makeScratchDirectory } from '../support/scratch.ts';

/** The guide's places as they are here. */
function settle(text: string, scratch: string, server: PostgresServer): string {
  return text
    .replaceAll('127.0.0.1:5432', `127.0.0.1:${server.port}`)
    .replaceAll(/=?\/(backups|var\/lib\/holdfast)/g, (place) =>
      place.startsWith('=') ? `=${scratch}${place.slice(1)}` : `${scratch}${place}`,
    );
}

describe('the guide for a server of your own', () => {
  it('leads from a server that nobody has prepared to a restore, block by block', async () => {
    const scratch = await makeScratchDirectory('guide');
    const server = await startPostgres({ major: 18, walSegmentSizeMb: 1 });
    try {
      for (const place of ['backups', 'var/lib']) await mkdir(join(scratch, place), { recursive: true });
      const superuser = `127.0.0.1:${server.port}:*:postgres:${server.password}\n`;
      await writeFile(join(scratch, '.pgpass'), superuser, { mode: 0o600 });
      const typed = (await readGuideBlocks('own-server')).filter(({ language }) => language === 'sh');
      const blocks = typed.map(({ text }) => settle(text, scratch, server));
      assert.equal(blocks.length, 8);
      // The receiver in the background ends with the shell that began it, whatever becomes of the rest.
      const script = [
        "trap 'kill $! 2>/dev/null || true' EXIT",
        ...blocks.map((block, number) => `echo "block ${number + 1}"\n${block}`),
      ];
      const { code, output } = await runGuideShell(script.join('\n'), scratch);
      assert.equal(code, 0, output);
      assert.match(output, /proven segment [0-9A-F]{24} has arrived/);
      assert.match(output, /No problem was found/);
      assert.match(await readFile(join(scratch, 'backups/tried/PG_VERSION'), 'utf8'), /^18/);
    } finally {
      await server.dispose();
      await rm(scratch, { recursive: true, force: true });
    }
  });
});
