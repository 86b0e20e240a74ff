import { codeOf } from '../../../lib/index.ts';
import {
  type BlockVisitor,
  blockLimitsOf,
  Fork,
  parseXlogEvent,
  ResourceManager,
  visitBlocks,
  type WalRecord,
  type WalScanner,
} from '../../../postgres/index.ts';
import type { BlockReference, ChangeSet } from './change-set.ts';
import { ChangedBlocks } from './changed-blocks.ts';
import type { OpenRecord, SegmentChanges } from './segment-changes.ts';

/** Of the settings of `wal_level`: the number of `minimal` in a record. */
const WAL_LEVEL_MINIMAL = 0;
const INFO_MASK = 0xf0;
const PARAMETER_CHANGE = 0x60;
const RECORD_HEADER_BYTES = 24;
const INFO_AT = 16;
const RESOURCE_MANAGER_AT = 17;

/** Gathers what records change, in the order in which they are shown. */
export class RecordChanges {
  readonly #blocks = new ChangedBlocks();
  hasMinimal = false;

  /** Errors: PG_WAL_RECORD_INVALID. */
  see(record: WalRecord): void {
    if (saysMoreThanBlocks(record.resourceManager, record.info)) {
      for (const limit of blockLimitsOf(record)) this.#blocks.addLimit(limit);
      this.#seeLevel(record);
    }
    record.visitBlocks(this.#blocks);
  }

  /** Begins anew. */
  finish(): ChangeSet {
    this.hasMinimal = false;
    return this.#blocks.finish();
  }

  #seeLevel(record: WalRecord): void {
    const event = parseXlogEvent(record);
    if (event?.kind === 'parameter-change' && event.walLevel === WAL_LEVEL_MINIMAL) this.hasMinimal = true;
  }
}

/** Whether a record's own data are needed: of most, the block headers tell everything. */
function saysMoreThanBlocks(resourceManager: number, info: number): boolean {
  return (
    resourceManager === ResourceManager.transaction ||
    resourceManager === ResourceManager.storage ||
    resourceManager === ResourceManager.database ||
    (resourceManager === ResourceManager.xlog && (info & INFO_MASK) === PARAMETER_CHANGE)
  );
}

/** Gathers the change set of segment after segment from a scan that somebody else makes. */
export class ChangeCollector {
  readonly #scanner: WalScanner;
  readonly #changes = new RecordChanges();
  #number: bigint;
  /** True while the record, in whose middle the scan began, may still be the one that goes on at the start of the segment. */
  #isAtHead = true;
  #isReadable = true;

  /** `scanner` is at the start of the segment with this number. */
  constructor(scanner: WalScanner, number: bigint) {
    this.#scanner = scanner;
    this.#number = number;
  }

  /** Takes the next record of the scan. */
  see(record: WalRecord): void {
    try {
      this.#changes.see(record);
    } catch (error) {
      if (codeOf(error) !== 'PG_WAL_RECORD_INVALID') throw error;
      // The record's CRC is right, so that the WAL is sound; without a change set it is read, and then somebody hears of it.
      this.#isReadable = false;
    }
  }

  /**
   * What the segment changes that has just been read to its end; the next record is of the one behind it. Null when one of its records has a form
   * that is not known.
   */
  finishSegment(): Omit<SegmentChanges, 'timeline'> | null {
    const { hasMinimal } = this.#changes;
    const isHeadKnown = !(this.#scanner.hasBegunInside && this.#isAtHead);
    const changes = { isHeadKnown, tail: openRecordOf(this.#scanner), hasMinimal, set: this.#changes.finish() };
    const first = this.#number;
    const isReadable = this.#isReadable;
    if (!this.#scanner.isInsideForeign) this.#isAtHead = false;
    this.#isReadable = true;
    this.#number += 1n;
    return isReadable ? { first, segments: 1, ...changes } : null;
  }
}

/** What the bytes that were pushed tell of the record in which they end. */
export function openRecordOf({ unfinished, isInsideForeign, major }: WalScanner): OpenRecord {
  if (isInsideForeign) return { kind: 'unknown', lsn: 0n };
  if (unfinished === null) return { kind: 'none' };
  const { lsn, bytes } = unfinished;
  if (bytes.length < RECORD_HEADER_BYTES || saysMoreThanBlocks(bytes[RESOURCE_MANAGER_AT]!, bytes[INFO_AT]!)) {
    return { kind: 'unknown', lsn };
  }
  const gathering = new References();
  try {
    const isWhole = visitBlocks(bytes, { from: 0, to: bytes.length, major }, gathering);
    return isWhole ? { kind: 'known', references: gathering.references } : { kind: 'unknown', lsn };
  } catch (error) {
    if (codeOf(error) !== 'PG_WAL_RECORD_INVALID') throw error;
    // Its CRC was not checked yet: should it never be completed, it counts for nothing.
    return { kind: 'unknown', lsn };
  }
}

class References implements BlockVisitor {
  readonly references: BlockReference[] = [];

  visitBlock(tablespaceOid: number, databaseOid: number, relationNumber: number, fork: number, block: number): void {
    if (fork === Fork.freeSpaceMap) return;
    this.references.push({ tablespaceOid, databaseOid, relationNumber, fork, block });
  }
}
