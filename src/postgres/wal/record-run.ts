import { copyBytes } from '../../lib/index.ts';
import { instantiateFunction } from '../../lib/wasm/index.ts';
import { isChainOfCrcs } from './crc32c.ts';
import { WAL_PAGE_BYTES } from './page-header.ts';
import { RECORD_HEADER_BYTES } from './record.ts';
import { recordRunModule } from './record-run-module.ts';

type RunFunction = (from: number, to: number, told: number, chain: number, previous: bigint, lsn: bigint) => number;

/** Where records are looked for. */
export interface RunPlace {
  /** Where the first record begins, in the bytes and in the WAL. */
  readonly from: number;
  readonly lsn: bigint;
  /** Bytes that may be looked at, all on one page. */
  readonly length: number;
  /** Where the record before begins. */
  readonly previous: bigint;
}

/** The memory of the machine code: the page that is looked at, what is told of it, and its records as they are checked. */
const PAGE_AT = 0;
const TOLD_AT = 2 * WAL_PAGE_BYTES;
const CHAIN_AT = 3 * WAL_PAGE_BYTES;
/** A record takes no less. */
const RECORDS_MAX = Math.floor(WAL_PAGE_BYTES / RECORD_HEADER_BYTES);

interface Machine {
  readonly run: RunFunction;
  readonly page: Buffer;
  readonly told: Uint32Array;
  readonly chain: Buffer;
}

/** One is enough for a thread, as nothing is left in it. */
let machine: Machine | undefined;

/**
 * The whole records of a part of a page, checked together, so that a record costs neither a call nor a look at its bytes by JavaScript: header as
 * far as any record has it, link to the record before, CRC.
 */
export class RecordRun {
  readonly #told = new Uint32Array(RECORDS_MAX);
  #count = 0;
  #at = 0;
  /** Of the record that was taken last. */
  length = 0;

  /** Records that are still to be taken. */
  get left(): number {
    return this.#count - this.#at;
  }

  /** Looks for records. False when there is none that is whole and nothing special, or when not all of them match their CRC. */
  find(bytes: Buffer, { from, length, lsn, previous }: RunPlace): boolean {
    const { run, page, told, chain } = theMachine();
    copyBytes(bytes.subarray(from, from + length), page, 0);
    const end = run(PAGE_AT, PAGE_AT + length, TOLD_AT, CHAIN_AT, previous, lsn);
    const count = (end - TOLD_AT) / told.BYTES_PER_ELEMENT;
    let chained = 0;
    for (let index = 0; index < count; index++) {
      const one = told[index] as number;
      this.#told[index] = one;
      chained += one & 0xffff;
    }
    this.#at = 0;
    this.#count = count > 0 && isChainOfCrcs(chain.subarray(0, chained)) ? count : 0;
    return this.#count > 0;
  }

  /** The offset of the next record from the first; `length` is then its own. */
  take(): number {
    const told = this.#told[this.#at++] as number;
    this.length = told & 0xffff;
    return told >>> 16;
  }
}

function theMachine(): Machine {
  machine ??= makeMachine();
  return machine;
}

function makeMachine(): Machine {
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 1 });
  return {
    run: instantiateFunction<RunFunction>(recordRunModule, memory),
    page: Buffer.from(memory.buffer, PAGE_AT, WAL_PAGE_BYTES),
    told: new Uint32Array(memory.buffer, TOLD_AT, RECORDS_MAX),
    chain: Buffer.from(memory.buffer, CHAIN_AT, WAL_PAGE_BYTES),
  };
}
