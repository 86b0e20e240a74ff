import type { MessagePort, Worker } from 'node:worker_threads';

/** Any other message is for what the thread does. */
const END = 'end of the thread';

/**
 * For a thread's own module, before it listens for anything else: lets `endThread` end it.
 */
export function endWhenAsked(port: MessagePort): void {
  port.on('message', (message: unknown) => {
    // Ends this thread, not the process, and no other listener sees the message.
    if (message === END) process.exit();
  });
}

/**
 * Ends a thread as soon as it has done what it was asked before. Safe to repeat, and for one that has ended.
 *
 * It is not terminated where it stands: whoever does that while it makes a zlib or zstd handle ends the whole process, as Node asserts of each handle
 * that is cleaned away that it was made whole (node_zlib.cc, `close before init`).
 */
export async function endThread(thread: Worker): Promise<void> {
  if (thread.threadId === -1) return;
  const ended = new Promise<void>((resolve) => thread.once('exit', () => resolve()));
  thread.ref();
  thread.postMessage(END);
  await ended;
}
