import { formatDuration, formatQuantity } from '../../../../src/lib/index.ts';
import type { LoadReport } from '../../load.ts';
import { type Disaster, disasters } from '../disaster.ts';
import { formatProbe, isGreen, waitForAlarm } from '../probes.ts';
import type { Shop } from '../shop.ts';
import type { World } from '../world.ts';

/** A disaster, and what the shops had seen when they were told to stop. */
export interface SufferedDisaster {
  readonly disaster: Disaster;
  readonly report: LoadReport;
}

/** Lets the disaster happen, waits until somebody notices, and stops the writes: what comes after is lost or in the way. */
export async function sufferDisaster(world: World, shop: Shop): Promise<SufferedDisaster> {
  const { screen, signal, options } = world;
  screen.chapter('The disaster');
  signal.throwIfAborted();
  const disaster = await disasters[options.disaster](shop);
  const at = new Date(disaster.atMs).toISOString();
  screen.tell('bad', `${at} ${screen.paint.bad(disaster.told)}`);
  const sinceMs = () => performance.now() - disaster.atMonotonicMs;
  await screen.step(
    'the shops write on, nobody has noticed',
    () => waitForAlarm(shop.app, signal),
    (results) => {
      const red = results.filter((result) => !isGreen(result)).map(formatProbe);
      return `noticed after ${formatDuration(sinceMs())}: ${red.join(', ')}`;
    },
  );
  const report = await screen.step(
    'stopping the writes',
    () => shop.load.stop(),
    ({ acknowledged, unknown }) =>
      `writes are stopped, ${formatQuantity(acknowledged.length, 'write')} acknowledged in all${unknown.length === 0 ? '' : `, ${unknown.length} never answered`}`,
  );
  return { disaster, report };
}
