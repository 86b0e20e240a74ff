import { HoldfastError } from '../../lib/index.ts';

/** For authentic bytes that no tree is made of: a later version wrote them, or a faulty one. `found` completes "found that …". */
export function treeInvalid(found: string, cause?: unknown): HoldfastError {
  if (cause instanceof HoldfastError && cause.code === 'TREE_INVALID') return cause;
  return new HoldfastError('TREE_INVALID', 'cannot read the tree of a snapshot', {
    detail: `Its chunks are authentic, but it was found that ${found}.`,
    hints: ['Install the version of Holdfast that made the snapshot, or a newer one.'],
    ...(cause === undefined ? {} : { cause }),
  });
}
