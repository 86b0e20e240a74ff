import { z } from 'zod';

/** Base64 of exactly (or at least and at most) so many bytes. Another spelling of the same bytes is refused, so that no bit of it is idle. */
export function base64Bytes(min: number, max: number = min) {
  return z.string().transform((text, context) => {
    const bytes = Buffer.from(text, 'base64');
    if (bytes.toString('base64') === text && bytes.length >= min && bytes.length <= max) return new Uint8Array(bytes);
    context.addIssue({ code: 'custom', message: `expected base64 of ${min} to ${max} bytes` });
    return z.NEVER;
  });
}
