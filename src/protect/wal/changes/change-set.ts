/** A fork of a relation, by the numbers in the path of its files. */
export interface ForkName {
  readonly tablespaceOid: number;
  readonly databaseOid: number;
  /** 0 stands for every relation of the database in the tablespace. */
  readonly relationNumber: number;
  /** See `Fork`. */
  readonly fork: number;
}

/** What WAL says of one fork. */
export interface ForkChanges extends ForkName {
  /** What stood at this block or behind it before the range is not there any more; null when the fork was neither made, removed nor cut. */
  readonly limit: number | null;
  /** Blocks that records name, rising; those that were cut off afterwards are not among them. */
  readonly blocks: Uint32Array;
}

/** The blocks that a range of WAL changes, by fork. Forks come in no order, each once. */
export type ChangeSet = readonly ForkChanges[];

/** A block that a record names. */
export interface BlockReference extends ForkName {
  readonly block: number;
}

export function forkKey({ tablespaceOid, databaseOid, relationNumber, fork }: ForkName): string {
  return `${tablespaceOid}/${databaseOid}/${relationNumber}/${fork}`;
}

/** Lists of blocks of one fork that are put together as soon as there are so many, so that a long range takes no more memory than what it changes. */
const LISTS_MAX = 16;

interface OpenFork extends ForkName {
  limit: number | null;
  lists: Uint32Array[];
}

/** Puts change sets of consecutive ranges together, from the oldest to the newest, as the server does with its summaries. */
export class ChangeSetMerger {
  readonly #forks = new Map<string, OpenFork>();

  add(newer: ChangeSet): void {
    for (const { limit, blocks, ...name } of newer) {
      const fork = this.#open(name);
      if (limit !== null) {
        fork.lists = fork.lists.map((list) => below(list, limit));
        fork.limit = fork.limit === null ? limit : Math.min(fork.limit, limit);
      }
      if (blocks.length > 0) fork.lists.push(blocks);
      if (fork.lists.length >= LISTS_MAX) fork.lists = [unite(fork.lists)];
    }
  }

  addReferences(references: readonly BlockReference[]): void {
    for (const { block, ...name } of references) this.add([{ ...name, limit: null, blocks: Uint32Array.of(block) }]);
  }

  finish(): ChangeSet {
    return [...this.#forks.values()].map(({ lists, ...fork }) => ({ ...fork, blocks: unite(lists) }));
  }

  #open(name: ForkName): OpenFork {
    const key = forkKey(name);
    let fork = this.#forks.get(key);
    if (fork === undefined) {
      fork = { ...name, limit: null, lists: [] };
      this.#forks.set(key, fork);
    }
    return fork;
  }
}

/** Those of a rising list that lie before a limit. */
function below(list: Uint32Array, limit: number): Uint32Array {
  return list.subarray(0, firstAtOrAbove(list, limit));
}

/** Where the first of a rising list stands that is not below a number; the list's length when there is none. */
export function firstAtOrAbove(list: Uint32Array, wanted: number): number {
  let from = 0;
  let to = list.length;
  while (from < to) {
    const middle = (from + to) >>> 1;
    if ((list[middle] as number) < wanted) from = middle + 1;
    else to = middle;
  }
  return from;
}

/** One rising list with each number once. */
function unite(lists: readonly Uint32Array[]): Uint32Array {
  const [first] = lists;
  if (first === undefined) return new Uint32Array(0);
  if (lists.length === 1) return first;
  const all = new Uint32Array(lists.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const list of lists) {
    all.set(list, at);
    at += list.length;
  }
  all.sort();
  let kept = 0;
  for (let i = 0; i < all.length; i++) {
    if (kept === 0 || all[i] !== all[kept - 1]) all[kept++] = all[i] as number;
  }
  return all.slice(0, kept);
}
