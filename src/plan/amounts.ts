import { z } from 'zod';
import { parseBytes, parseDuration } from '../lib/index.ts';

export function toMilliseconds(text: string, context: z.core.$RefinementCtx<string>): number {
  return orIssue(parseDuration, text, context);
}

export function toBytes(text: string, context: z.core.$RefinementCtx<string>): number {
  return orIssue(parseBytes, text, context);
}

/** The reader's own error is replaced by the option's sentence on what is expected. */
function orIssue(read: (text: string) => number, text: string, context: z.core.$RefinementCtx<string>): number {
  try {
    return read(text);
  } catch {
    context.addIssue({ code: 'custom', message: 'unreadable' });
    return z.NEVER;
  }
}
