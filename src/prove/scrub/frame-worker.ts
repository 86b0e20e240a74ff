/** The worker of a verification: opens frames of packs and computes their identities again. It reads and writes nothing itself. */
import { parentPort, workerData } from 'node:worker_threads';
import { endWhenAsked, GarbageGauge } from '../../lib/index.ts';
import { KeyRing } from '../../repository/key/ring/index.ts';
import { findBadFrames } from './find-bad-frames.ts';
import type { FrameRequest, FrameResponse, FrameWorkerData } from './frame-messages.ts';

const keys = KeyRing.fromMaterial((workerData as FrameWorkerData).keys);
const port = parentPort!;
/** What is opened dies at once: collected early, a worker stays small. */
const garbage = new GarbageGauge({ bytesMax: 16 << 20, type: 'major' });

endWhenAsked(port);
port.on('message', (request: FrameRequest) => {
  const bad = findBadFrames(keys, request);
  garbage.add(4 * request.stored.length);
  port.postMessage({ id: request.id, bad } satisfies FrameResponse);
});
