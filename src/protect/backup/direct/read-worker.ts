/**
 * The reader of a direct backup: reads files into slabs of the ingest pipeline and checks their pages, all of it synchronously, as there is nothing else
 * that this thread should do meanwhile.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { GarbageGauge } from '../../../lib/index.ts';
import { BYTES_PER_STEP, READER_GARBAGE } from './garbage.ts';
import { OpenedFile } from './opened-file.ts';
import { PageInspector } from './page-inspector.ts';
import type { ReadRequest, ReadResponse, ReadWorkerData } from './read-messages.ts';
import { SlabFiller } from './slab-filler.ts';

const data = workerData as ReadWorkerData;
const port = parentPort!;
const never = new Int32Array(new SharedArrayBuffer(4));
const inspector = new PageInspector(data, (ms) => void Atomics.wait(never, 0, 0, ms));
const filler = new SlabFiller(data, { inspector, openFile: (file) => OpenedFile.open(file) });
const garbage = new GarbageGauge(READER_GARBAGE);
let isLast = false;
let isOver = false;

function say(response: ReadResponse): void {
  port.postMessage(response);
}

function goOn(): void {
  const waiting = filler.waiting;
  for (let filled = filler.fill(); filled !== null; filled = filler.fill()) {
    say({ kind: 'filled', ...filled });
    garbage.add(filled.steps.length * BYTES_PER_STEP);
  }
  if (filler.waiting < waiting) say({ kind: 'begun', files: waiting - filler.waiting });
  if (!isLast || isOver || !filler.isDone) return;
  isOver = true;
  const rest = filler.flush();
  if (rest !== null) say({ kind: 'filled', ...rest });
  say({ kind: 'ended' });
}

port.on('message', (request: ReadRequest) => {
  if (request.kind === 'files') filler.addFiles(request.files);
  else if (request.kind === 'slab') filler.addSlab(request);
  else isLast = true;
  goOn();
});
