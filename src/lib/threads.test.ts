import assert from 'node:assert/strict';
import { it } from 'node:test';
import { Worker } from 'node:worker_threads';
import { systemClock } from './index.ts';
import { endThread } from './threads.ts';

const module = new URL('./threads.ts', import.meta.url).href;
const source = `
  const { parentPort } = require('node:worker_threads');
  const { zstdCompressSync, zstdDecompressSync } = require('node:zlib');
  const stored = zstdCompressSync(Buffer.alloc(100));
  import(${JSON.stringify(module)}).then(({ endWhenAsked }) => {
    endWhenAsked(parentPort);
    parentPort.on('message', () => {
      for (let n = 0; n < 2000; n++) zstdDecompressSync(stored);
      parentPort.postMessage('done');
    });
    parentPort.postMessage('ready');
  });`;

/** A thread that is terminated instead leaves some of it undone, and takes the whole process with it about once in a hundred times. */
it('a thread that opens zstd frames is ended after what it was asked, and can be ended more than once', async () => {
  for (let round = 0; round < 8; round++) {
    const thread = new Worker(source, { eval: true });
    const ready = Promise.withResolvers<void>();
    let isDone = false;
    thread.on('message', (what: string) => {
      if (what === 'ready') ready.resolve();
      else isDone = true;
    });
    await ready.promise;
    thread.postMessage('open');
    await systemClock.sleep(round % 4);
    await Promise.all([endThread(thread), endThread(thread)]);
    assert.deepEqual([isDone, thread.threadId], [true, -1]);
    await endThread(thread);
  }
});
