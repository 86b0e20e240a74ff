/**
 * The worker of the extract pipeline: opens sealed chunks and writes them to their places in files.
 *
 * A chunk that fails authentication is reported and not written. Any other error (a full disk) ends the worker and with it the pipeline.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { codeOf, endWhenAsked, GarbageGauge, giveBack } from '../../lib/index.ts';
import { KeyRing } from '../key/ring/index.ts';
import { PackOpener } from '../pack/opener/index.ts';
import { ExtentWriter } from './extent-writer.ts';
import type { ExtractFrame, ExtractRequest, ExtractResponse, ExtractWorkerData } from './extract-messages.ts';
import { EXTRACT_GARBAGE, NATIVE_BYTES_PER_CHUNK, NATIVE_GARBAGE } from './garbage.ts';

/** Openers of packs kept, each with its derived key. */
const OPENERS_MAX = 64;

type RunRequest = ExtractRequest & { kind: 'run' };

const keys = KeyRing.fromMaterial((workerData as ExtractWorkerData).keys);
const port = parentPort!;
const garbage = new GarbageGauge(EXTRACT_GARBAGE);
const natives = new GarbageGauge(NATIVE_GARBAGE);
const openers = new Map<string, PackOpener>();
const writer = new ExtentWriter();
/** Runs are extracted one after the other; what is still written of one does not keep the next waiting. */
let turn: Promise<void> = Promise.resolve();

function openerOf({ packId, content, epoch }: RunRequest): PackOpener {
  const name = Buffer.from(packId).toString('latin1');
  const known = openers.get(name);
  if (known !== undefined) return known;
  if (openers.size >= OPENERS_MAX) openers.clear();
  const opener = new PackOpener({ keys, packId, content, epoch });
  openers.set(name, opener);
  return opener;
}

function openFrame(request: RunRequest, frame: ExtractFrame): Buffer | null {
  const at = frame.packOffset - request.start;
  const sealed = request.bytes.subarray(at, at + frame.frameLength);
  try {
    return openerOf(request).openChunkFrame(
      { id: frame.id, offset: frame.packOffset, rawLength: frame.rawLength },
      sealed,
    );
  } catch (error) {
    if (codeOf(error) === 'CHUNK_DAMAGED') return null;
    throw error;
  }
}

async function extract(request: RunRequest): Promise<void> {
  const damaged: number[] = [];
  const underWay: Promise<void>[] = [];
  let bytes = 0;
  for (const [index, frame] of request.frames.entries()) {
    const raw = openFrame(request, frame);
    if (raw === null) damaged.push(index);
    else {
      await writer.place(raw, frame.destinations, underWay);
      for (const { length } of frame.destinations) bytes += length;
      giveBack(raw);
    }
    garbage.add(frame.frameLength);
    natives.add(NATIVE_BYTES_PER_CHUNK);
  }
  giveBack(request.bytes);
  // Only what the file system has taken counts as extracted.
  Promise.all(underWay).then(() => say({ kind: 'extracted', run: request.run, bytes, damaged }), end);
}

function say(response: ExtractResponse): void {
  port.postMessage(response);
}

/** Thrown outside of any promise, an error ends the worker, and the main thread hears of it. */
function end(error: unknown): void {
  setImmediate(() => {
    throw error;
  });
}

endWhenAsked(port);
port.on('message', (request: ExtractRequest) => {
  switch (request.kind) {
    case 'close-files':
      // Asked for when every run was answered.
      writer.close();
      say({ kind: 'closed' });
      port.close();
      return;
    case 'run':
      turn = turn.then(() => extract(request));
      turn.catch(end);
  }
});
