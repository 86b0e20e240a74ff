import { type IncrementBase, parseLsn } from '../../../postgres/index.ts';
import type { PreviousFiles } from '../previous/index.ts';
import { serverPathOf } from '../tree-paths.ts';
import { mayComeAsIncrement } from './increment-path.ts';

/** What the server is told of an older backup, so that it sends the changes since. */
export function describeBase(base: PreviousFiles): IncrementBase {
  const { system, timeline, start, end } = base.snapshot.wal;
  return { systemId: system, timeline, startLsn: parseLsn(start), endLsn: parseLsn(end), files: listFiles(base) };
}

function* listFiles(base: PreviousFiles): Generator<{ path: string; size: number }, void> {
  for (const { path, size } of base.list()) {
    const serverPath = serverPathOf(path);
    if (serverPath !== null && mayComeAsIncrement(serverPath)) yield { path: serverPath, size };
  }
}
