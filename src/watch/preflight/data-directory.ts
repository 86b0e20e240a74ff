import { open } from 'node:fs/promises';
import { join } from 'node:path';
import type { ServerFacts } from './server-facts.ts';

/** pg_control begins with the system identifier, in the byte order of its host. Source: pg_control.h, ControlFileData. */
const IDENTIFIER_BYTES = 8;

/**
 * The server's data directory when it lies on this host; `null` when it does not, or may not be read.
 *
 * A path alone does not tell: that of a server in a container means another place here.
 */
export async function findDataDirectory({
  settings,
  system,
}: Pick<ServerFacts, 'settings' | 'system'>): Promise<string | null> {
  const path = settings.get('data_directory')?.value;
  if (path === undefined) return null;
  try {
    await using file = await open(join(path, 'global', 'pg_control'), 'r');
    const { buffer, bytesRead } = await file.read(Buffer.alloc(IDENTIFIER_BYTES), 0, IDENTIFIER_BYTES, 0);
    return bytesRead === IDENTIFIER_BYTES && String(buffer.readBigUInt64LE()) === system ? path : null;
  } catch {
    // Not there, or closed to us: then nothing is said about it.
    return null;
  }
}
