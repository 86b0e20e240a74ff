import { appendFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { systemClock } from '../../src/lib/index.ts';
import type { PostgresServer } from './postgres-server.ts';

/** Lets the server recover from its own WAL as from an archive, at the end of which it begins a timeline. */
export async function promoteInPlace(server: PostgresServer): Promise<void> {
  await server.stop();
  await writeFile(join(server.dataDirectory, 'recovery.signal'), '', { mode: 0o644 });
  await appendFile(join(server.dataDirectory, 'postgresql.conf'), "restore_command = 'false'\n");
  await server.restart();
  for (;;) {
    const [row] = await server.query<{ recovering: boolean }>('SELECT pg_is_in_recovery() AS recovering');
    if (row!.recovering === false) return;
    await systemClock.sleep(50);
  }
}
