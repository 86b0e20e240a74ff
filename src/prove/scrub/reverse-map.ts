import type { HoldfastError, Progress } from '../../lib/index.ts';
import {
  type ChunkIndex,
  type ChunkLocation,
  type LostPart,
  packName,
  type Repository,
  type SnapshotRecord,
  walkTree,
} from '../../repository/index.ts';
import { Bits } from './bits.ts';
import { isUsable, type PackFinding } from './pack-check.ts';
import { sentenceOf } from './read-carefully.ts';
import { isStoreDenied, treeFetcher } from './tree-fetcher.ts';
import type { SnapshotCost, SnapshotProblem } from './verdict.ts';

/** So many files of a damaged snapshot are named; the others are only counted. */
const fileNamesMax = 20;

/** What is known of the packs after they were read. */
export interface PackKnowledge {
  /** By the number of the pack in the index. */
  readonly findings: ReadonlyMap<number, PackFinding>;
  /** Whether the pack was read now and is what was stored. */
  isProven(packNumber: number): boolean;
  /** Packs that we may not read. */
  readonly denied: ReadonlySet<number>;
}

/** From damaged objects back to the snapshots that they harm. */
export interface ReverseMap {
  /** What is lost of each snapshot; none of those that are whole. */
  readonly problems: ReadonlyMap<string, readonly SnapshotProblem[]>;
  /** What each damaged pack costs, by its object name; what no readable index object names stands under the empty name. */
  readonly costs: ReadonlyMap<string, readonly SnapshotCost[]>;
  /** Packs of whose bad chunks another copy is there that was not read now. */
  readonly unproven: ReadonlySet<string>;
}

/** What is gathered about one snapshot, or of one snapshot for one damaged object. */
class Losses {
  readonly names: string[] = [];
  files = 0;
  #last: string | null = null;

  /** A path may come again and again while its file is walked. */
  addFile(path: string): void {
    if (path === this.#last) return;
    this.#last = path;
    this.add(1, path);
  }

  add(files: number, name: string): void {
    this.files += files;
    if (this.names.length < fileNamesMax) this.names.push(name);
  }
}

/**
 * Walks the trees of all snapshots and finds out what each loses by the damage that was found. A part that is free of damage is walked once, however many
 * snapshots share it. Memory: a bit for each chunk, and a few names for each pair of damaged pack and harmed snapshot.
 *
 * Errors: those of the store; the signal's reason.
 */
export async function mapDamage(
  options: { repository: Repository; progress: Progress; signal?: AbortSignal },
  index: ChunkIndex,
  snapshots: readonly SnapshotRecord[],
  knowledge: PackKnowledge,
): Promise<ReverseMap> {
  options.progress.begin('finding out what the damage costs', { unit: 'chunks' });
  const mapper = new DamageMapper(options, index, knowledge);
  for (const snapshot of snapshots) await mapper.walk(snapshot);
  return mapper;
}

class DamageMapper implements ReverseMap {
  readonly problems = new Map<string, SnapshotProblem[]>();
  readonly costs = new Map<string, SnapshotCost[]>();
  readonly unproven = new Set<string>();
  readonly #options: { repository: Repository; progress: Progress; signal?: AbortSignal };
  readonly #index: ChunkIndex;
  readonly #knowledge: PackKnowledge;
  readonly #clean: Bits;

  constructor(
    options: { repository: Repository; progress: Progress; signal?: AbortSignal },
    index: ChunkIndex,
    knowledge: PackKnowledge,
  ) {
    this.#options = options;
    this.#index = index;
    this.#knowledge = knowledge;
    this.#clean = new Bits(index.count);
  }

  async walk(snapshot: SnapshotRecord): Promise<void> {
    const { repository, progress, signal } = this.#options;
    const trees: string[] = [];
    let denied: string | null = null as string | null;
    const own = new Losses();
    const byPack = new Map<string, Losses>();
    const charge = (id: Buffer, add: (losses: Losses) => void) => {
      add(own);
      const packs = this.#index.lookup(id).map(({ packId }) => packName(packId));
      for (const pack of packs.length === 0 ? [''] : packs) add(getOrMake(byPack, pack));
    };
    await walkTree(snapshot.tree, {
      fetch: treeFetcher(repository, this.#index, signal),
      goesOn: isStoreDenied,
      enter: (id) => {
        progress.advance(1);
        const number = this.#index.numberOf(id);
        if (number !== null && this.#clean.has(number)) return 'skip';
        return this.#judge(id) === 'clean' ? 'clean' : 'doubtful';
      },
      visit: (id, path) => {
        progress.advance(1);
        const state = this.#judge(id);
        if (state === 'lost') charge(id, (losses) => losses.addFile(path));
        if (state === 'denied') denied ??= `Contents of "${path}" lie in objects that we may not read.`;
        return state === 'clean';
      },
      lose: (id, part, error) => {
        if (isStoreDenied(error)) {
          denied ??= sentenceOf(error);
          return;
        }
        if (part.kind === 'node') trees.push(describeLostNode(part, error));
        charge(id, (losses) => {
          if (part.kind === 'map') losses.addFile(part.path);
          else losses.add(part.files, part.firstPath === null ? 'every file' : `${part.firstPath} and those behind it`);
        });
      },
      leave: (id, clean) => {
        const number = clean ? this.#index.numberOf(id) : null;
        if (number !== null) this.#clean.add(number);
      },
    });
    this.#conclude(snapshot, { trees, denied, own, byPack });
  }

  /** Whether a chunk has no bad copy, another copy beside a bad one, only copies that we may not read, or none that can be used. */
  #judge(id: Buffer): 'clean' | 'covered' | 'denied' | 'lost' {
    const { findings, denied, isProven } = this.#knowledge;
    const locations = this.#index.lookup(id);
    const bad = locations.filter((location) => !isUsable(location, findings.get(location.packNumber)));
    if (bad.length === locations.length) return 'lost';
    if (locations.every((location) => bad.includes(location) || denied.has(location.packNumber))) return 'denied';
    if (bad.length === 0) return 'clean';
    const isSure = (location: ChunkLocation) => !bad.includes(location) && isProven(location.packNumber);
    if (!locations.some(isSure)) for (const { packId } of bad) this.unproven.add(packName(packId));
    return 'covered';
  }

  #conclude(
    { id, cluster, completedAt }: SnapshotRecord,
    found: { trees: string[]; denied: string | null; own: Losses; byPack: ReadonlyMap<string, Losses> },
  ): void {
    const { trees, denied, own, byPack } = found;
    const problems: SnapshotProblem[] = [];
    if (trees.length > 0) problems.push({ kind: 'tree', sentence: trees.slice(0, 3).join(' ') });
    if (own.files > 0) problems.push({ kind: 'files', count: own.files, names: own.names });
    if (denied !== null) problems.push({ kind: 'unread', sentence: denied });
    if (problems.length > 0) this.problems.set(id, problems);
    for (const [pack, { files, names }] of byPack) {
      const costs = this.costs.get(pack) ?? [];
      costs.push({ snapshot: id, cluster, completedAt, files, names });
      this.costs.set(pack, costs);
    }
  }
}

function describeLostNode(part: Extract<LostPart, { kind: 'node' }>, error: HoldfastError): string {
  const where = part.firstPath === null ? 'Its list of files' : `Its list of files from "${part.firstPath}" on`;
  return `${where} cannot be read: ${sentenceOf(error)}`;
}

function getOrMake(losses: Map<string, Losses>, key: string): Losses {
  const known = losses.get(key) ?? new Losses();
  losses.set(key, known);
  return known;
}
