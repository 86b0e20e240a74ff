import { formatQuantity } from '../../../src/lib/index.ts';
import { isAsPromised, measureRpoSeconds } from './account.ts';
import { openTheShop } from './chapters/open-shop.ts';
import { backUpUnderLoad, protectTheShop } from './chapters/protect-shop.ts';
import { proveRecovery, resumeWriting } from './chapters/prove-recovery.ts';
import { recoverTheShop } from './chapters/recover-shop.ts';
import { sufferDisaster } from './chapters/suffer-disaster.ts';

import { formatKept, writeEnvironment } from './kept.ts';
import type { DemoOptions } from './options.ts';
import type { DemoResult } from './result.ts';
import type { Screen } from './screen.ts';
import { formatSummary } from './summary.ts';
import { openWorld, type World } from './world.ts';

/** How a demo ended. */
export interface DemoEnd {
  readonly result: DemoResult;
  /** Whether the recovered database is exactly what it had to be. */
  readonly isAsPromised: boolean;
}

/**
 * Tells the whole story, and leaves nothing behind, however it ends: whatever was started or made is stopped and removed.
 * With `keep`, the recovered server and the directory stay, when it came that far.
 *
 * Errors: the reason of `interruption`; those of the engine; `DEMO_…` for what the demo itself expected in vain.
 */
export async function runDemo(options: DemoOptions, screen: Screen, interruption: AbortSignal): Promise<DemoEnd> {
  const { world, close } = await openWorld(options, screen, interruption);
  try {
    return await tellStory(world);
  } catch (error) {
    // What was broken off complains in many voices; the reason for it is the one to be heard.
    throw world.signal.aborted ? world.signal.reason : error;
  } finally {
    await close();
  }
}

async function tellStory(world: World): Promise<DemoEnd> {
  const { options, screen } = world;
  const shop = await openTheShop(world);
  const protectedShop = await protectTheShop(world, shop);
  screen.watch(() => `${formatQuantity(shop.load.report().acknowledged.length, 'write')} acknowledged`);
  const backup = await backUpUnderLoad(world, shop, protectedShop.protection);
  const suffered = await sufferDisaster(world, shop);
  screen.watch(() => '');
  const recovered = await recoverTheShop(world, shop, { ...protectedShop, ...suffered, backup });
  const findings = await proveRecovery(world, shop, recovered.division, suffered.report);
  const resumed = await resumeWriting(world, shop, suffered.report);

  const { disaster, report } = suffered;
  const { snapshot, bytes, storedBytes, seconds } = backup.result;
  const result: DemoResult = {
    acknowledgedWrites: findings.expected.length,
    missingWrites: findings.missing.length + findings.altered.length,
    writesAfterDisaster: findings.leftOut.length,
    rpoSeconds: roundToMilliseconds(measureRpoSeconds(findings, disaster.atMonotonicMs)),
    rtoSeconds: roundToMilliseconds((recovered.greenAtMonotonicMs - disaster.atMonotonicMs) / 1_000),
    recoveredTo: recovered.recoveredTo,
    snapshot: snapshot.id,
    backup: { bytes, storedBytes, seconds: roundToMilliseconds(seconds) },
    restore: { bytes: recovered.restore.bytes, seconds: roundToMilliseconds(recovered.restore.seconds) },
  };
  const writes = [...report.acknowledged, ...resumed];
  const timeline = {
    startMs: writes[0]?.startedAtMonotonicMs ?? backup.startMs,
    endMs: Math.max(recovered.greenAtMonotonicMs, writes.at(-1)?.acknowledgedAtMonotonicMs ?? 0) + 1,
    writesMs: writes.map((write) => write.acknowledgedAtMonotonicMs),
    backup,
    disasterMs: disaster.atMonotonicMs,
    greenMs: recovered.greenAtMonotonicMs,
  };
  screen.chapter('What it came to');
  screen.print(formatSummary({ options, result, findings, timeline }, screen.width, screen.paint));
  if (options.keep) {
    const place = { directory: world.directory, protection: protectedShop.protection, recovered: recovered.server };
    screen.print(formatKept(place, await writeEnvironment(place), screen.paint));
    world.keep();
  }
  return { result, isAsPromised: isAsPromised(findings) };
}

/** Seconds with three digits behind the point: more would be noise. */
function roundToMilliseconds(seconds: number): number {
  return Math.round(seconds * 1_000) / 1_000;
}
