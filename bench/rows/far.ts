import { join } from 'node:path';
import { type FaultProxy, startFaultProxy } from '../../test/support/fault-proxy.ts';
import { type S3Server, startS3Server } from '../../test/support/s3-server.ts';
import { type Measurement, measureCommand } from '../measure.ts';
import { requireRestored } from '../restored.ts';
import { type BenchRow, inTurn, type RowContext } from '../row.ts';
import { Holdfast, measureTables } from '../tools/index.ts';
import { checkpoint } from '../workload.ts';

/** What the line between us and the store adds to each answer, and once more where a connection is opened. */
const farDelayMs = 50;

export const farBackup: BenchRow = {
  name: 'far-backup',
  title: `full backup over S3, each answer ${farDelayMs} ms later`,
  comparisons: [{ ours: 'holdfast, 50 ms', against: 'holdfast, 0 ms', aims: { wall: 1.3 } }],
  run: (context) => measureNearAndFar(context, 'backup'),
};

export const farRestore: BenchRow = {
  name: 'far-restore',
  title: `restore over S3, each answer ${farDelayMs} ms later`,
  comparisons: [{ ours: 'holdfast, 50 ms', against: 'holdfast, 0 ms', aims: { wall: 1.3 } }],
  run: (context) => measureNearAndFar(context, 'restore'),
};

/** Near and far go through the same proxy, so that what it costs itself is on both sides. */
async function measureNearAndFar(context: RowContext, what: 'backup' | 'restore'): Promise<void> {
  await using store = await startS3Server();
  await using proxy = await startFaultProxy({ target: store.endpoint });
  for (let round = 1; round <= context.rounds; round++) {
    for (const delayMs of inTurn([0, farDelayMs], round)) {
      const { measurement, tool, requests } = await measureOnce(context, { store, proxy, delayMs, what, round });
      const setup = `Ceph ${store.version}, its store in memory on the same machine, behind a proxy`;
      context.add(tool.entrant(`holdfast, ${delayMs} ms`, setup), round, measurement);
      if (round === context.rounds) context.note(`${what} at ${delayMs} ms: ${requests} requests.`);
    }
  }
}

async function measureOnce(
  context: RowContext,
  run: { store: S3Server; proxy: FaultProxy; delayMs: number; what: 'backup' | 'restore'; round: number },
): Promise<{ measurement: Measurement; tool: Holdfast; requests: number }> {
  const { server } = context;
  const { store, proxy, delayMs, what, round } = run;
  const directory = await context.directory(`${what}-${round}-${delayMs}`);
  const location = `s3://${await store.makeBucket()}/bench?region=${store.region}&endpoint=${proxy.endpoint}&pathStyle=true`;
  const { accessKeyId, secretAccessKey } = store.admin;
  const env = { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey };
  const tool = new Holdfast(server, directory, { location, env });
  proxy.delay(0);
  await tool.prepare();
  await checkpoint(server);
  const restored = join(directory.outside, 'restored');
  const measured = async (command: Parameters<typeof measureCommand>[0]) => {
    proxy.delay(delayMs);
    const before = proxy.requests;
    const measurement = await measureCommand(command, server.pid);
    return { measurement, tool, requests: proxy.requests - before };
  };
  const backup = tool.backup({ type: 'full' });
  if (what === 'backup') return await measured(backup);
  await measureCommand(backup, server.pid);
  const result = await measured(tool.restore(restored));
  await requireRestored(restored, await measureTables(join(server.workplace.outside, 'data')));
  return result;
}
