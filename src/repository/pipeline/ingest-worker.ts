/**
 * The worker of the ingest pipeline, around its `SlabWork`.
 *
 * One worker keeps one core busy and holds one pack open. It learns from the main thread which chunks are known: while it waits for that answer it
 * examines the next slab.
 */
import { constants, setPriority } from 'node:os';
import { parentPort, workerData } from 'node:worker_threads';
import { endWhenAsked } from '../../lib/index.ts';
import { KeyRing } from '../key/ring/index.ts';
import type { IngestRequest, IngestWorkerData } from './ingest-messages.ts';
import { SlabWork } from './slab-work.ts';

const { keys, lowPriority, ...parts } = workerData as IngestWorkerData;
const port = parentPort!;
const work = new SlabWork({
  ...parts,
  keys: KeyRing.fromMaterial(keys),
  say: (response) => port.postMessage(response),
});

// On Linux a priority is a thread's own, so that the rest of a program which takes backups is not slowed down.
if (lowPriority) setPriority(constants.priority.PRIORITY_LOW);

endWhenAsked(port);
port.on('message', (request: IngestRequest) => {
  work.answer(request);
  if (request.kind === 'finish') port.close();
});
