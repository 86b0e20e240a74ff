/**
 * Opens a large repository in a process of its own and says what that took, as JSON on one line: memory can only be measured where nothing else
 * has been.
 *
 *   node large-repository-runner.ts <path> <chunks> <snapshot> <state directory>
 */
import { silentProgress, systemClock } from '../../src/lib/index.ts';
import { verifySnapshots } from '../../src/prove/index.ts';
import { listDescribedSnapshots, readStatus } from '../../src/watch/index.ts';
import { reopenRepository } from './repository.ts';
import { syntheticId } from './synthetic-repository.ts';

/** What the runner prints. Times in milliseconds; memory of the whole process at its most, in MiB. */
export interface LargeRepositoryReport {
  readonly openMs: number;
  readonly loadMs: number;
  readonly count: number;
  readonly bytesPerChunk: number;
  /** After the index was loaded and looked into. */
  readonly loadedMiB: number;
  readonly lookupMicroseconds: number;
  readonly found: number;
  readonly foundUnknown: number;
  readonly listMs: number;
  readonly statusMs: number;
  readonly verifyMs: number;
  readonly missingPacks: number;
  readonly lostFiles: number;
  readonly peakMiB: number;
}

const LOOKUPS = 10_000;

const [path = '', chunksText = '', snapshotId = '', stateDirectory = ''] = process.argv.slice(2);
const chunks = Number(chunksText);
const since = (at: number) => performance.now() - at;
const peakMiB = () => process.resourceUsage().maxRSS / 1024;

const openedAt = performance.now();
await using cleanup = new AsyncDisposableStack();
const repository = await reopenRepository(path, 'read');
cleanup.defer(() => repository.close());
const openMs = since(openedAt);

const loadedAt = performance.now();
const index = await repository.loadIndex();
const loadMs = since(loadedAt);
let found = 0;
let foundUnknown = 0;
const lookedAt = performance.now();
for (let i = 0; i < LOOKUPS; i++) {
  if (index.has(syntheticId(1, (i * 7919) % chunks))) found += 1;
  if (index.has(syntheticId(2, i))) foundUnknown += 1;
}
const lookupMicroseconds = (since(lookedAt) * 1000) / (2 * LOOKUPS);
const { count } = index;
const bytesPerChunk = index.memoryBytes / count;
index.close();
// A command has one index; what the first one held is given back before the next.
globalThis.gc?.();
const loadedMiB = peakMiB();

const listedAt = performance.now();
await listDescribedSnapshots(repository, undefined);
const listMs = since(listedAt);
const statusAt = performance.now();
await readStatus({ repository, clock: systemClock });
const statusMs = since(statusAt);

const verifiedAt = performance.now();
const result = await verifySnapshots({
  repository,
  snapshots: [await repository.findSnapshot(snapshotId)],
  record: false,
  stateDirectory,
  clock: systemClock,
  progress: silentProgress,
});
const verifyMs = since(verifiedAt);
const files = result.snapshots[0]!.problems.find((problem) => problem.kind === 'files');
const report: LargeRepositoryReport = {
  ...{
    openMs,
    loadMs,
    count,
    bytesPerChunk,
    loadedMiB,
    lookupMicroseconds,
    found,
    foundUnknown,
    listMs,
    statusMs,
    verifyMs,
  },
  missingPacks: result.damagedPacks.length,
  lostFiles: files?.kind === 'files' ? files.count : 0,
  peakMiB: peakMiB(),
};
process.stdout.write(`${JSON.stringify(report)}\n`);
