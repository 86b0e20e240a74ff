import { connect, type Socket } from 'node:net';
import type { Clock } from '../../../lib/index.ts';
import {
  type Answer,
  answerSchema,
  errorOfParts,
  formatLine,
  LINE_BYTES_MAX,
  type Offer,
  parseLine,
  socketPath,
} from './handover-messages.ts';
import { Silence } from './silence.ts';

/** A receiver that says nothing for so long is passed over; its store may be away, and our own attempt tells why. */
const SILENCE_MS_MAX = 30_000;

/**
 * Offers a file to the receiver that serves the socket of this state directory.
 *
 * `null` when no receiver takes it: then whoever asks does it himself, which does no harm even if the receiver stored it meanwhile.
 * Errors: what the receiver refused it for.
 */
export async function handOver(
  stateDirectory: string,
  offer: Offer,
  file: { read(): AsyncIterable<Buffer> },
  clock: Clock,
): Promise<Extract<Answer, { answer: 'kept' }> | null> {
  const path = socketPath(stateDirectory, offer.system);
  if (path === null) return null;
  const socket = connect(path);
  const silence = new Silence(clock, SILENCE_MS_MAX, () => socket.destroy());
  try {
    const answers = readAnswers(socket, () => silence.isBroken());
    socket.write(formatLine(offer));
    let answer = await answers.next();
    if (answer?.answer === 'send') {
      for await (const piece of file.read()) {
        if (socket.destroyed) return null;
        if (!socket.write(piece)) await drained(socket);
        silence.isBroken();
      }
      answer = await answers.next();
    }
    if (answer?.answer === 'refused') throw errorOfParts(answer);
    return answer?.answer === 'kept' ? answer : null;
  } finally {
    silence.end();
    socket.destroy();
  }
}

/** The lines that come, one for each `next`; `null` when the other side is gone or says what nobody understands. */
function readAnswers(socket: Socket, onHeard: () => void): { next(): Promise<Answer | null> } {
  let text = '';
  let isOver = false;
  let wake = () => {};
  const end = () => {
    isOver = true;
    wake();
  };
  socket.setEncoding('utf8').on('data', (more: string) => {
    onHeard();
    text += more;
    if (text.length > LINE_BYTES_MAX) socket.destroy();
    wake();
  });
  // A socket that nobody serves, or may not be opened by us, looks like one at which nobody answers.
  socket.on('error', end).on('close', end).on('end', end);
  return {
    async next() {
      for (;;) {
        const at = text.indexOf('\n');
        if (at >= 0) {
          const line = text.slice(0, at);
          text = text.slice(at + 1);
          return parseLine(answerSchema, line);
        }
        if (isOver) return null;
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    },
  };
}

function drained(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    // Both go, whichever came: a file of many pieces would leave one behind for each.
    const over = () => {
      socket.off('drain', over).off('close', over);
      resolve();
    };
    socket.on('drain', over).on('close', over);
  });
}
