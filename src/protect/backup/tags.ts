import type { SnapshotRecord } from '../../repository/index.ts';

/** The words that whoever made a snapshot gave it, by which rules of retention know it. */
export function tagsOf({ details }: SnapshotRecord): string[] {
  const { tags } = details;
  return Array.isArray(tags) ? tags.filter((tag) => typeof tag === 'string') : [];
}
