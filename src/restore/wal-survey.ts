import {
  highestSettings,
  isOfExtension,
  parseTablespaceCreation,
  parseXlogEvent,
  type RequiredSettings,
  type WalRecord,
} from '../postgres/index.ts';
import { isEndOfInput, scanRecords } from '../protect/wal/index.ts';
import type { Repository } from '../repository/index.ts';
import { unreadable } from './wal-records.ts';
import { historyOf, inventoryOf, type WalRoute } from './wal-route.ts';

/** A tablespace that replaying the WAL makes, at the place where the old server had it. */
export interface TablespaceInWal {
  readonly oid: number;
  /** Absolute; null for one that lies in the data directory itself. */
  readonly path: string | null;
  readonly lsn: bigint;
}

/** What the WAL of a recovery asks of the server that replays it, beyond what the base backup says. */
export interface WalSurvey {
  /** The highest of each that the WAL names; null when it names none. */
  readonly settings: RequiredSettings | null;
  readonly tablespaces: readonly TablespaceInWal[];
  /** Numbers of resource managers that only a library of an extension can replay, in rising order. */
  readonly extensions: readonly number[];
}

/**
 * Reads all WAL of a recovery once before anything is done, as replay itself would come upon these things only half-way, and then be a step
 * too late: a tablespace is made at a path that may be another server's.
 *
 * Errors: RESTORE_WAL_UNREADABLE; those of `scanRecords`.
 */
export async function surveyWal(
  repository: Repository,
  route: WalRoute,
  range: { from: bigint; to: bigint },
  signal?: AbortSignal,
): Promise<WalSurvey> {
  const survey = new Survey();
  const scan = scanRecords(repository, inventoryOf(route), { ...historyOf(route), ...range }, (record) =>
    survey.add(record),
  );
  for (;;) {
    signal?.throwIfAborted();
    const step = await scan.next();
    if (!step.done) continue;
    if (!isEndOfInput(step.value)) throw unreadable(step.value);
    return survey.result();
  }
}

class Survey {
  #settings: RequiredSettings | null = null;
  readonly #tablespaces = new Map<string, TablespaceInWal>();
  readonly #extensions = new Set<number>();

  add(record: WalRecord): void {
    if (isOfExtension(record)) this.#extensions.add(record.resourceManager);
    const event = parseXlogEvent(record);
    if (event?.kind === 'parameter-change') this.#settings = highestSettings(this.#settings, event.settings);
    const created = parseTablespaceCreation(record);
    if (created === null) return;
    const { oid, path } = created;
    this.#tablespaces.set(`${oid} ${path}`, { oid, path: path === '' ? null : path, lsn: record.lsn });
  }

  result(): WalSurvey {
    return {
      settings: this.#settings,
      tablespaces: [...this.#tablespaces.values()],
      extensions: [...this.#extensions].sort((a, b) => a - b),
    };
  }
}
