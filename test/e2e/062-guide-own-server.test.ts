import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type PostgresServer, startPostgres } from '../support/postgres-server.ts';
import { makeScratchDirectory } from '../support/scratch.ts';

const guide = new URL('../../docs/guides/own-server.md', import.meta.url);
const binDirectory = fileURLToPath(new URL('../../bin/', import.meta.url));

/** The blocks of the guide that a shell runs, in their order. */
async function readBlocks(): Promise<string[]> {
  return [...(await readFile(guide, 'utf8')).matchAll(/^```sh\n([\s\S]*?)^```$/gm)].map(([, block]) => block!);
}

/** The guide's places as they are here. */
function settle(text: string, scratch: string, server: PostgresServer): string {
  return text
    .replaceAll('127.0.0.1:5432', `127.0.0.1:${server.port}`)
    .replaceAll(/=?\/(backups|var\/lib\/holdfast)/g, (place) =>
      place.startsWith('=') ? `=${scratch}${place.slice(1)}` : `${scratch}${place}`,
    );
}

function runShell(script: string, home: string): Promise<{ code: number; output: string }> {
  return new Promise((resolve) => {
    const environment = { PATH: `${binDirectory}:${process.env.PATH}`, HOME: home };
    execFile('/bin/sh', ['-eu', '-c', script], { env: environment, timeout: 120_000 }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code ?? 1), output: `${stdout}${stderr}` });
    });
  });
}

describe('the guide for a server of your own', () => {
  it('leads from a server that nobody has prepared to a restore, block by block', async () => {
    const scratch = await makeScratchDirectory('guide');
    const server = await startPostgres({ major: 18, walSegmentSizeMb: 1 });
    try {
      for (const place of ['backups', 'var/lib']) await mkdir(join(scratch, place), { recursive: true });
      const superuser = `127.0.0.1:${server.port}:*:postgres:${server.password}\n`;
      await writeFile(join(scratch, '.pgpass'), superuser, { mode: 0o600 });
      const blocks = (await readBlocks()).map((block) => settle(block, scratch, server));
      assert.equal(blocks.length, 8);
      // The receiver in the background ends with the shell that began it, whatever becomes of the rest.
      const script = [
        "trap 'kill $! 2>/dev/null || true' EXIT",
        ...blocks.map((block, number) => `echo "block ${number + 1}"\n${block}`),
      ];
      const { code, output } = await runShell(script.join('\n'), scratch);
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
