import { HoldfastError } from '../../lib/index.ts';

/** What speaks about a tree, not about the store. */
const LOST_CODES: ReadonlySet<string> = new Set(['CHUNK_DAMAGED', 'CHUNK_ABSENT', 'TREE_INVALID']);

/** Whether an error says that a part of a tree is lost; any other may pass. */
export function isTreeLoss(error: unknown): error is HoldfastError {
  return error instanceof HoldfastError && LOST_CODES.has(error.code);
}
