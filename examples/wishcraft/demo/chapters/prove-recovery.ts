import { setTimeout as sleep } from 'node:timers/promises';
import { formatCount, formatQuantity } from '../../../../src/lib/index.ts';
import { connect } from '../../database.ts';
import type { AcknowledgedWrite, LoadReport } from '../../load.ts';
import { verifyWrites } from '../../verify-writes.ts';
import { acknowledgedSince, type Division, type Findings, lookForWrites } from '../account.ts';
import type { Shop } from '../shop.ts';
import type { World } from '../world.ts';

/** Looks for each write by itself in the database that the shop uses now. */
export async function proveRecovery(
  world: World,
  shop: Shop,
  division: Division,
  report: LoadReport,
): Promise<Findings> {
  const { screen } = world;
  screen.chapter('The proof');
  return await screen.step(
    'looking for every write, one by one',
    async () => {
      const client = await connect(shop.databaseUrl);
      try {
        return await lookForWrites(client, division, report.unknown);
      } finally {
        await client.end();
      }
    },
    ({ expected, leftOut, unanswered, broken }) =>
      [
        `looked for ${formatQuantity(expected.length, 'write')} one by one`,
        ...(leftOut.length === 0 ? [] : [`for ${formatCount(leftOut.length)} that may not be there`]),
        ...(unanswered.count === 0
          ? []
          : [
              `for ${formatCount(unanswered.count)} that were never answered (${formatCount(unanswered.there)} are there, and either is right)`,
            ]),
        broken.length === 0 ? 'and the rules of the data hold' : `and ${broken.length} rules of the data do not hold`,
      ].join(', '),
  );
}

const resumedLoadMs = 2_000;

/** Lets the shops write on the recovered server, and gives what it acknowledged. Each of these is looked for as well. */
export async function resumeWriting(world: World, shop: Shop, earlier: LoadReport): Promise<AcknowledgedWrite[]> {
  const { screen, signal } = world;
  const { writes } = await screen.step(
    'the shops write again',
    async () => {
      await shop.load.start();
      await sleep(resumedLoadMs, undefined, { signal });
      const writes = acknowledgedSince(earlier, await shop.load.stop());
      const client = await connect(shop.databaseUrl);
      try {
        const { missing, altered } = await verifyWrites(client, writes);
        return { writes, lost: missing.length + altered.length };
      } finally {
        await client.end();
      }
    },
    ({ writes, lost }) =>
      `the shops write again, on the recovered server: ${formatQuantity(writes.length, 'write')} acknowledged, ${lost === 0 ? 'all' : formatCount(writes.length - lost)} of them there`,
  );
  return writes;
}
