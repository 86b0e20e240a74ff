import { Fork, type RelationFork, type RelationSegment } from '../../../postgres/index.ts';
import type { ForkName } from '../../wal/index.ts';

/** Blocks in a file of a relation: 1 GiB, which is what PostgreSQL is built with unless somebody builds it otherwise. */
export const SEGMENT_BLOCKS = 131_072;

const FORK_NUMBERS: Readonly<Record<RelationFork, number>> = {
  main: Fork.main,
  fsm: Fork.freeSpaceMap,
  vm: Fork.visibilityMap,
  init: Fork.init,
};

/** The fork to which a file belongs, as WAL names it, and the number of the file's first block in it. */
export function forkOfFile({ tablespace, database, relation, fork, segment }: RelationSegment): {
  name: ForkName;
  base: number;
} {
  const name = { tablespaceOid: tablespace, databaseOid: database, relationNumber: relation, fork: FORK_NUMBERS[fork] };
  return { name, base: segment * SEGMENT_BLOCKS };
}
