import { z } from 'zod';
import { HoldfastError } from '../../lib/index.ts';

export const FORMAT_NAME = 'format';

const MAGIC = 'holdfast-repository';
const VERSION = 1;

const head = z.looseObject({ magic: z.literal(MAGIC), version: z.number().int().positive() });

const identity = z.looseObject({ id: z.string().regex(/^[0-9a-f]{32}$/) });

const formatDocument = z.strictObject({
  magic: z.literal(MAGIC),
  version: z.literal(VERSION),
  id: z.string().regex(/^[0-9a-f]{32}$/),
  createdAt: z.iso.datetime(),
  chunkId: z.literal('hmac-sha256'),
  chunkSize: z.literal(1 << 20),
  compression: z.strictObject({ algorithm: z.literal('zstd'), level: z.number().int().min(1).max(19) }),
  cipher: z.literal('aes-256-gcm'),
});

/** The object `format`. `id`: 32 hexadecimal digits; `chunkSize` in bytes. */
export type Format = z.infer<typeof formatDocument>;

/** The format of a new repository. */
export function makeFormat(options: { id: string; createdAt: string; compressionLevel: number }): Format {
  return {
    magic: MAGIC,
    version: VERSION,
    id: options.id,
    createdAt: options.createdAt,
    chunkId: 'hmac-sha256',
    chunkSize: 1 << 20,
    compression: { algorithm: 'zstd', level: options.compressionLevel },
    cipher: 'aes-256-gcm',
  };
}

export function encodeFormat(format: Format): Buffer {
  return Buffer.from(`${JSON.stringify(format, null, 2)}\n`, 'utf8');
}

/** What the bytes of `format` are before a key proves them: its id, or why they cannot be that. */
export type FormatHead =
  | { state: 'ours'; id: string }
  | { state: 'newer'; version: number }
  | { state: 'damaged' }
  | { state: 'foreign' };

/**
 * Looks at the bytes of `format` as far as is needed to choose a key slot.
 *
 * `foreign`: JSON, or anything else, that does not claim to be ours. `damaged`: claims it, and cannot be read.
 */
export function readFormatHead(bytes: Uint8Array): FormatHead {
  const text = Buffer.from(bytes).toString('utf8');
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch {
    // Whether it once was ours, only its words can tell.
    return { state: text.includes(MAGIC) || text.includes('"chunkId"') ? 'damaged' : 'foreign' };
  }
  const read = head.safeParse(document);
  if (!read.success) {
    const claims = text.includes(MAGIC) || text.includes('"chunkId"');
    return { state: claims ? 'damaged' : 'foreign' };
  }
  if (read.data.version > VERSION) return { state: 'newer', version: read.data.version };
  const found = identity.safeParse(document);
  return found.success ? { state: 'ours', id: found.data.id } : { state: 'damaged' };
}

/**
 * Reads the whole format, once its bytes were proved by a key.
 *
 * Errors: `REPOSITORY_FORMAT_UNRECOGNIZED` naming the algorithm or option that this version does not know.
 */
export function decodeFormat(bytes: Uint8Array): Format {
  const read = formatDocument.safeParse(JSON.parse(Buffer.from(bytes).toString('utf8')));
  if (read.success) return read.data;
  const issues = read.error.issues.map((issue) => `"${issue.path.join('.')}": ${issue.message}`);
  throw new HoldfastError(
    'REPOSITORY_FORMAT_UNRECOGNIZED',
    'cannot open a repository of a form that this version does not recognize',
    {
      detail: `In its object "format", ${issues.join('; ')}.`,
      hints: ['Install the version of Holdfast that created the repository, or a newer one.'],
    },
  );
}
