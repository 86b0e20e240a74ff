import { type Clock, HoldfastError } from '../../lib/index.ts';
import { cancelRequest } from '../protocol/index.ts';
import type { ConnectionTarget } from './target.ts';
import { type Encryption, openTransport } from './transport.ts';

/** The server answers a cancel request by hanging up; one that does not is not waited for longer than this. */
const CANCEL_WAIT_MS = 10_000;

/**
 * Sends a cancel request over a connection of its own, encrypted like the one whose command it is, and waits until the server has taken it. Whether there was still
 * anything to cancel is not said.
 */
export async function sendCancelRequest(
  target: ConnectionTarget,
  encryption: Encryption,
  { processId, secretKey }: { readonly processId: number; readonly secretKey: Uint8Array },
  clock: Clock,
): Promise<void> {
  const giveUp = new AbortController();
  const done = new AbortController();
  void clock.sleep(CANCEL_WAIT_MS, done.signal).then(() => giveUp.abort(cancelTimedOut(target)));
  try {
    const transport = await openTransport(target, encryption, giveUp.signal);
    await new Promise<void>((resolve, reject) => {
      giveUp.signal.addEventListener('abort', () => reject(giveUp.signal.reason), { once: true });
      // However the connection ends, the request was sent, and that is all that can be known.
      transport.listen({ onBytes: () => {}, onClosed: () => resolve() });
      transport.resume();
      transport.write(cancelRequest(processId, secretKey));
    }).finally(() => transport.destroy());
  } finally {
    done.abort();
  }
}

function cancelTimedOut(target: ConnectionTarget): HoldfastError {
  return new HoldfastError('PG_CONNECT_TIMEOUT', `could not cancel a command on ${target.place}: no answer`, {
    detail: `Expected the server to take the request within ${CANCEL_WAIT_MS / 1000} seconds.`,
    retryable: true,
  });
}
