import type { LineageInventory } from '../inventory.ts';
import type { LineagePlace } from '../object-names.ts';
import type { ReceiverStatus } from '../receiver-status.ts';
import type { Announcer } from './announcer.ts';
import { CopySweep } from './copy-sweep.ts';
import { KeysKeeper } from './keys-keeper.ts';
import { LeftoverSweep } from './leftover-sweep.ts';
import { LocksKeeper } from './locks-keeper.ts';
import type { WalReceiverOptions } from './options.ts';
import { StatusKeeper } from './status-keeper.ts';

/**
 * What a receiver does beside the stream, from when that was compared for the first time until it ends: its status, the keys' epochs, the locks of
 * fragments, and what receivers before left. None of it holds the stream up.
 */
export class Companions {
  readonly #options: WalReceiverOptions;
  readonly #announcer: Announcer;
  readonly #status: StatusKeeper;
  readonly #keys: KeysKeeper;
  readonly #locks: LocksKeeper;
  readonly #sweep: LeftoverSweep;
  readonly #copySweep: CopySweep;

  constructor(
    options: WalReceiverOptions,
    parts: {
      announcer: Announcer;
      slot: string;
      place: () => LineagePlace | null;
      tell: () => Omit<ReceiverStatus, 'running'> | null;
      /** Told of what is no trouble of the store but a fault. */
      onFailure: (error: unknown) => void;
    },
  ) {
    const { repository, clock, temporary = false } = options;
    const { announcer, slot, place, tell, onFailure } = parts;
    this.#options = options;
    this.#announcer = announcer;
    this.#status = new StatusKeeper({ ...options, slot, temporary, tell });
    this.#keys = new KeysKeeper({ repository, clock, announcer });
    this.#locks = new LocksKeeper({ repository, clock, announcer, place, onFailure });
    this.#sweep = new LeftoverSweep(onFailure);
    this.#copySweep = new CopySweep(repository.store);
  }

  /** The stream was compared. What looks at the primary begins only where that can be seen, and not for a backup's own WAL. */
  begin(lineage: LineageInventory, streamStart: bigint, isPrimarySeen: boolean): void {
    const { repository, temporary = false } = this.#options;
    this.#status.begin();
    if (temporary || !isPrimarySeen) return;
    this.#keys.begin();
    this.#locks.begin();
    this.#sweep.start({ repository, lineage, before: streamStart, emit: (event) => this.#announcer.emit(event) });
    this.#copySweep.start(lineage);
  }

  /** WAL that another program sealed with a new epoch is not to pass for damage. Does nothing for a backup's own WAL, whose keys were read just now. */
  async lookAtKeys(): Promise<void> {
    if (this.#options.temporary !== true) await this.#keys.look();
  }

  /** A segment was stored: from time to time the copies are swept. */
  noteSegment(lineage: LineageInventory): void {
    this.#copySweep.noteSegment(lineage);
  }

  /** Who is to end soon leaves leftovers to the next receiver. */
  cut(): void {
    this.#sweep.cut();
  }

  async end(): Promise<void> {
    await this.#sweep.settled();
    this.#copySweep.cut();
    await this.#copySweep.settled();
    await this.#keys.end();
    await this.#locks.end();
    await this.#status.end();
  }
}
