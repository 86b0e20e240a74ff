import type { Clock } from '../../../lib/index.ts';
import type { ConnectionTarget, PostgresConnection } from '../../../postgres/index.ts';
import {
  type CollectedConfiguration,
  collectConfiguration,
  encodeSettings,
  type ReceivedConfiguration,
  SETTINGS_PATH,
} from '../configuration/index.ts';
import type { FileAssembler } from '../file-assembler.ts';

/**
 * Asks the server for its configuration and stores, beside the files of the data directory, the settings and the files that lie elsewhere.
 *
 * It is asked at the end of the backup, so that what is kept belongs to the state from which a restore goes on. Nothing of it makes a backup fail but
 * the store itself.
 */
export async function keepConfiguration(options: {
  source: ConnectionTarget;
  connection: PostgresConnection;
  received: ReceivedConfiguration;
  assembler: FileAssembler;
  clock: Clock;
  signal?: AbortSignal | undefined;
}): Promise<CollectedConfiguration> {
  const { assembler, connection } = options;
  const collected = await collectConfiguration({ ...options, replication: connection });
  const settings = encodeSettings(collected);
  if (settings !== null) await store(assembler, { path: SETTINGS_PATH, content: settings, mode: 0o600, mtimeMs: 0 });
  for (const { treePath, content, mode, mtimeMs } of collected.files) {
    // What lies in the data directory came with the backup itself.
    if (!treePath.startsWith('data/')) await store(assembler, { path: treePath, content, mode, mtimeMs });
  }
  return collected;
}

async function store(
  assembler: FileAssembler,
  { path, content, mode, mtimeMs }: { path: string; content: Buffer; mode: number; mtimeMs: number },
): Promise<void> {
  assembler.beginFile({ path, mode, mtimeMs, size: content.length, paged: false });
  await assembler.write(content);
  assembler.endFile();
}
