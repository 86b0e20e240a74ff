import { type Clock, HoldfastError } from '../../lib/index.ts';
import { isAbsent, isDamageOfOnePlace, isFragment, type ObjectStore } from '../object-store/index.ts';
import { readFormatBytes } from './identity.ts';
import { Loop } from './loop.ts';
import { type Spool, stepOf } from './spool.ts';
import { transferObject } from './transfer.ts';

/** A primary that is away is asked at least this often. */
const ASK_MS_MAX = 15_000;
/** Objects that are handed over at the same moment. */
const LANES = 4;

export type SpoolEvent =
  | { readonly kind: 'outage-began'; readonly error: HoldfastError }
  | { readonly kind: 'outage-ended' }
  /** Something was handed over, or reached a copy: what is durable away may have grown. */
  | { readonly kind: 'moved' }
  /** A process of before left these here. */
  | { readonly kind: 'found'; readonly names: readonly string[] }
  /** What the primary has contradicts this object; the spool keeps its own. */
  | { readonly kind: 'conflict'; readonly name: string }
  /** What no waiting mends, such as a sync that failed: nothing is handed over any more. */
  | { readonly kind: 'failed'; readonly error: HoldfastError };

/** Knows what sealed objects hold, which a store does not. */
export interface SpoolJudge {
  /** Whether an object holds the same in two places. Another receiver may have brought the same WAL. */
  isSame(name: string, one: ObjectStore, other: ObjectStore): Promise<boolean>;
  /** Which of these names hold other WAL than another place has for the same positions of the same history. Errors: those of both stores. */
  findContradictions(names: readonly string[], spool: ObjectStore, other: ObjectStore): Promise<Contradiction[]>;
}

/** WAL of a history that the primary has otherwise. */
export interface Contradiction {
  /** How the names of all that is of this history begin: none of it is handed over. */
  readonly prefix: string;
  /** An object that differs. */
  readonly name: string;
}

interface HandOverOptions {
  readonly primary: ObjectStore;
  readonly clock: Clock;
  /** What waits; `null` as long as nobody knows for which repository. */
  readonly open: () => Promise<Spool | null>;
  readonly isAway: () => boolean;
  /** The primary took something, or has nothing to take. */
  readonly onReached: () => void;
  readonly onTrouble: (error: HoldfastError) => void;
  readonly tell: (event: SpoolEvent) => void;
}

/**
 * Brings what waits on this machine to the primary, beside all other work: first all of it is compared with what the primary has by then, then it is
 * put there in the order of writes, again and again until nothing waits.
 */
export class HandOver {
  readonly #options: HandOverOptions;
  readonly #loop: Loop;
  /** Of these names the primary has other bytes. */
  readonly #conflicts = new Set<string>();
  #judge: SpoolJudge | null = null;
  /** What waits was compared with the primary since that came back, or since this process began. */
  #isJudged = false;
  #outages = 0;
  #judging: Promise<void> | null = null;
  /** Histories that the primary contradicts: nothing more of them is taken until whoever brings it has looked again. */
  #fence: readonly string[] = [];
  #hasFailed = false;

  constructor(options: HandOverOptions) {
    this.#options = options;
    const onTrouble = (error: HoldfastError) => this.#noteTrouble(error);
    const step = () => this.#handOverAll();
    this.#loop = new Loop({ clock: options.clock, step, onTrouble, onWell: () => {}, retryMsMax: ASK_MS_MAX });
  }

  judgeBy(judge: SpoolJudge): void {
    this.#judge = judge;
  }

  /** There is something to be handed over, or a primary to be asked again. */
  wake(): void {
    this.#loop.wake();
  }

  /** The same, and at once. */
  rouse(): void {
    this.#loop.rouse();
  }

  close(): Promise<void> {
    return this.#loop.close();
  }

  /** The primary did not answer: others may have brought something there by the time that it does. */
  noteOutage(): void {
    this.#isJudged = false;
    this.#outages += 1;
  }

  /** How many names the primary has otherwise. */
  get conflicts(): number {
    return this.#conflicts.size;
  }

  /** What waits here under this name stays here, as the primary has it otherwise. */
  isContradicted(name: string): boolean {
    return this.#conflicts.has(name);
  }

  /** Whether anything is to be handed over, and can be. */
  isWanted(spool: Spool): boolean {
    return !this.#hasFailed && this.#wanted(spool).length > 0;
  }

  async forget(spool: Spool, name: string): Promise<void> {
    await spool.forget(name);
    this.#conflicts.delete(name);
  }

  /** For whoever compares anew what it brings: what the primary contradicts is shown no more, and more of its history may be put again. */
  setContradictedAside(spool: Spool): void {
    for (const name of [...this.#conflicts].filter((each) => this.#isFenced(each))) {
      spool.setAside(name);
      this.#conflicts.delete(name);
    }
    this.#fence = [];
  }

  /** Errors: STORE_SPOOL_FENCED. */
  refuseFenced(name: string): void {
    if (!this.#isFenced(name)) return;
    throw new HoldfastError('STORE_SPOOL_FENCED', `could not keep "${name}": the primary contradicts what waits here`, {
      detail:
        'Expected that what is brought was compared with the primary since that came back, found that it was not.',
      hints: ['It is compared when whoever brings WAL begins anew.'],
    });
  }

  /** What is to be handed over, in its order. */
  #wanted(spool: Spool): string[] {
    return spool.names.filter((name) => !this.#conflicts.has(name));
  }

  /** Before anything is handed over: the primary may have got other WAL meanwhile, under other names. */
  async compareOnce(spool: Spool): Promise<void> {
    // Once more where the primary was away while it was compared.
    while (!this.#isJudged && this.#judge !== null) {
      this.#judging ??= this.#compare(spool, this.#judge).finally(() => {
        this.#judging = null;
      });
      await this.#judging;
    }
  }

  async #compare(spool: Spool, judge: SpoolJudge): Promise<void> {
    const { names } = spool;
    const outages = this.#outages;
    const found = names.length === 0 ? [] : await judge.findContradictions(names, spool.store, this.#options.primary);
    this.#isJudged = outages === this.#outages;
    this.#fence = found.map(({ prefix }) => prefix);
    for (const name of spool.names) if (this.#isFenced(name)) this.#conflicts.add(name);
    for (const { name } of found) this.#options.tell({ kind: 'conflict', name });
  }

  #isFenced(name: string): boolean {
    return this.#fence.some((prefix) => name.startsWith(prefix));
  }

  #noteTrouble(error: HoldfastError): void {
    this.#options.onTrouble(error);
    if (error.code !== 'STORE_SYNC_FAILED') return;
    // Whoever saw that writes no more (rule C1): what waits is for another process.
    this.#hasFailed = true;
    this.#options.tell({ kind: 'failed', error });
  }

  async #handOverAll(): Promise<number | null> {
    const { primary, open, isAway, onReached } = this.#options;
    const spool = await open();
    if (spool === null || this.#hasFailed) return null;
    if (isAway()) await assertSamePrimary(primary, spool);
    // Whoever can judge wakes us.
    if (spool.waiting > 0 && this.#judge === null) return null;
    await this.compareOnce(spool);
    const names = this.#wanted(spool);
    if (names.length === 0) onReached();
    for (let at = 0; at < names.length; ) {
      const step = stepOf(names[at]!);
      let end = at + 1;
      // One alone first: a primary that answers need not have room.
      const lanes = isAway() ? 1 : LANES;
      while (end < names.length && end < at + lanes && stepOf(names[end]!) === step) end += 1;
      await Promise.all(names.slice(at, end).map((name) => this.#handOverOne(spool, name)));
      onReached();
      at = end;
    }
    if (names.length > 0) this.#options.tell({ kind: 'moved' });
    return this.#wanted(spool).length > 0 ? 0 : null;
  }

  async #handOverOne(spool: Spool, name: string): Promise<void> {
    const { primary } = this.#options;
    // Put also where it seems to be: a try that failed may have left it there, and only a put that succeeds says that it is durable.
    const { outcome } = await transferObject({ name, from: spool.store, to: primary, isPutAlways: true });
    // Another process of this machine shares the spool: it has handed the object over, or a fragment went when it was joined.
    const isElsewhere = outcome === 'gone' && (isFragment(name) || (await primary.stat(name)) !== null);
    if (isElsewhere || outcome === 'copied' || outcome === 'there' || (await this.#isSame(name, spool.store))) {
      await this.forget(spool, name);
      return;
    }
    this.#conflicts.add(name);
    this.#options.tell({ kind: 'conflict', name });
  }

  /** What the primary has there and cannot be read is not the same, and holds nothing else up. */
  async #isSame(name: string, spool: ObjectStore): Promise<boolean> {
    try {
      return (await this.#judge?.isSame(name, spool, this.#options.primary)) === true;
    } catch (error) {
      if (isDamageOfOnePlace(error) || isAbsent(error)) return false;
      throw error;
    }
  }
}

/** A disk that came back empty, or that is another one, is not the primary: what waits for one repository never goes to another. */
export async function assertSamePrimary(primary: ObjectStore, { format }: Spool): Promise<void> {
  const found = await readFormatBytes(primary);
  if (found?.equals(format) === true) return;
  throw new HoldfastError(
    'STORE_ABSENT',
    `could not hand WAL over to ${primary.description}: it is not the repository that went away`,
    {
      detail: `Expected the object "format" as it was before, found ${found === null ? 'none' : 'another one'}.`,
      hints: [
        'Check that the right disk is mounted, or the right bucket and prefix named; or make a copy the primary.',
      ],
    },
  );
}
