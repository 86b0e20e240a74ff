import { randomBytes } from 'node:crypto';
import { HoldfastError } from '../../lib/index.ts';
import { formatLsn } from '../../postgres/index.ts';
import type { Repository } from '../../repository/index.ts';
import { FRAGMENT_BYTES_MAX, fragmentObjectName, type LineagePlace } from './object-names.ts';

/**
 * Stores the bytes of a segment again whose object is damaged: as fragments, since no name is written twice. Readers pass over what is damaged
 * when another object holds the same WAL, and nobody deletes a fragment whose segment cannot be compared with it.
 *
 * The bytes are the caller's to prove. Each fragment is read back. Errors: those of the store.
 */
export async function replaceSegment(
  repository: Repository,
  segment: { place: LineagePlace; timeline: number; start: bigint; pieces: AsyncIterable<Buffer> },
): Promise<void> {
  const { place, timeline } = segment;
  const receiver = randomBytes(8).toString('hex');
  let start = segment.start;
  const store = async (bytes: Buffer) => {
    const name = fragmentObjectName(place, { timeline, start, end: start + BigInt(bytes.length), receiver });
    await repository.putBody('wal-fragment', name, bytes);
    if (!(await repository.getBody('wal-fragment', name)).equals(bytes)) throw differs(name, start);
    start += BigInt(bytes.length);
  };
  let waiting: Buffer[] = [];
  let length = 0;
  for await (const piece of segment.pieces) {
    for (let rest = piece; rest.length > 0; ) {
      const taken = rest.subarray(0, FRAGMENT_BYTES_MAX - length);
      waiting.push(Buffer.from(taken));
      length += taken.length;
      rest = rest.subarray(taken.length);
      if (length < FRAGMENT_BYTES_MAX) continue;
      await store(Buffer.concat(waiting));
      waiting = [];
      length = 0;
    }
  }
  if (length > 0) await store(Buffer.concat(waiting));
}

function differs(name: string, at: bigint): HoldfastError {
  return new HoldfastError('OBJECT_DAMAGED', `cannot read object "${name}": it is damaged`, {
    detail: `Expected the WAL from ${formatLsn(at)} on that was stored a moment ago, found other bytes.`,
  });
}
