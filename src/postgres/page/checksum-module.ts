import {
  block,
  branchIf,
  end,
  type FunctionModule,
  get,
  I32,
  I64,
  i32Add,
  i32Const,
  i32EqualZero,
  i32LessThanUnsigned,
  i32Load,
  i32Load16Unsigned,
  i32NotEqual,
  i32RemainderUnsigned,
  i32Sub,
  i32Xor,
  i32x4ExtractLane,
  i32x4Multiply,
  i32x4ShiftRightUnsigned,
  i64Const32,
  i64ExtendI32Unsigned,
  i64GreaterThanUnsigned,
  i64LessThanUnsigned,
  i64Or,
  i64ShiftLeft,
  ifTrue,
  loop,
  set,
  tee,
  V128,
  v128And,
  v128Const,
  v128Load,
  v128Xor,
} from '../../lib/wasm/index.ts';
import { BASE_OFFSETS, BLOCK_BYTES, FNV_PRIME } from './page.ts';

/**
 * The machine code that looks through pages, 128 bits at a time.
 *
 *   check(pages: i32, count: i32, block: i32, start: i64) → (index: i32, highest: i64)
 *     for each page that is not new:
 *       highest = max(highest, LSN of the page)
 *       stop at the first page with LSN < start whose stored checksum is not that of `pageChecksum`
 *     index is that of the page at which it stopped, or count
 *
 * The 32 lanes of the checksum are eight vectors of four. The stored checksum counts as zero, so the first vector is masked on its first use; nothing is
 * written to the memory, which others may be reading.
 */

const PARAMETERS = [I32, I32, I32, I64];
const [PAGES, COUNT, BLOCK, START] = [0, 1, 2, 3];
const [INDEX, AT, HIGHEST, LSN, MIXED, SUMS] = [4, 5, 6, 7, 8, 9];

const VECTORS = 8;
const ROW_BYTES = 128;
/** Rows of zeros behind the page, so that its last words are mixed as well as its first. */
const FINAL_ROUNDS = 2;

/** Places in the header of a page; see `parsePageHeader`. */
const [LSN_HIGH_AT, LSN_LOW_AT, CHECKSUM_AT, UPPER_AT] = [0, 4, 8, 14];

const vectors = Array.from({ length: VECTORS }, (_, vector) => vector);
const wordsConst = (words: Int32Array) => v128Const(new Uint8Array(words.buffer, words.byteOffset, 16));
const prime = wordsConst(Int32Array.of(FNV_PRIME, FNV_PRIME, FNV_PRIME, FNV_PRIME));
/** All bits but the 16 of the checksum, which are the low half of the third word. */
const withoutChecksum = wordsConst(Int32Array.of(-1, -1, 0xffff0000 | 0, -1));

/** sum = (sum ^ words) × prime ^ ((sum ^ words) >>> 17); `words` leaves a vector on the stack, or nothing for zeros. */
function mix(vector: number, words: number[]): number[] {
  const sum = SUMS + vector;
  return [
    ...[...get(sum), ...words, ...(words.length === 0 ? [] : v128Xor), ...tee(MIXED), ...prime, ...i32x4Multiply],
    ...[...get(MIXED), ...i32Const(17), ...i32x4ShiftRightUnsigned, ...v128Xor, ...set(sum)],
  ];
}

function mixRow(address: number[], isFirst: boolean): number[] {
  return vectors.flatMap((vector) => {
    const words = [...address, ...v128Load(vector * 16)];
    return mix(vector, isFirst && vector === 0 ? [...words, ...withoutChecksum, ...v128And] : words);
  });
}

/** Leaves the checksum of the page at PAGES. */
function computeChecksum(): number[] {
  const begin = vectors.flatMap((vector) => [
    ...wordsConst(BASE_OFFSETS.subarray(vector * 4, vector * 4 + 4)),
    ...set(SUMS + vector),
  ]);
  const rows = [
    ...[...i32Const(ROW_BYTES), ...set(AT), ...loop],
    ...mixRow([...get(PAGES), ...get(AT), ...i32Add], false),
    ...[...get(AT), ...i32Const(ROW_BYTES), ...i32Add, ...tee(AT), ...i32Const(BLOCK_BYTES), ...i32LessThanUnsigned],
    ...[...branchIf(0), ...end],
  ];
  const final = Array.from({ length: FINAL_ROUNDS }, () => vectors.flatMap((vector) => mix(vector, []))).flat();
  const folded = vectors.flatMap((vector) => [...get(SUMS + vector), ...(vector === 0 ? [] : v128Xor)]);
  const lanes = [0, 1, 2, 3].flatMap((lane) => [
    ...[...get(MIXED), ...i32x4ExtractLane(lane)],
    ...(lane === 0 ? [] : i32Xor),
  ]);
  return [
    ...[...begin, ...mixRow(get(PAGES), true), ...rows, ...final, ...folded, ...set(MIXED), ...lanes],
    ...[...get(BLOCK), ...i32Xor, ...i32Const(65_535), ...i32RemainderUnsigned, ...i32Const(1), ...i32Add],
  ];
}

function checkPages(): number[] {
  const half = (at: number) => [...get(PAGES), ...i32Load(at), ...i64ExtendI32Unsigned];
  const onePage = [
    ...[...get(PAGES), ...i32Load16Unsigned(UPPER_AT), ...i32EqualZero, ...branchIf(0)],
    ...[...half(LSN_HIGH_AT), ...i64Const32, ...i64ShiftLeft, ...half(LSN_LOW_AT), ...i64Or, ...tee(LSN)],
    ...[...get(HIGHEST), ...i64GreaterThanUnsigned, ...ifTrue, ...get(LSN), ...set(HIGHEST), ...end],
    ...[...get(LSN), ...get(START), ...i64LessThanUnsigned, ...i32EqualZero, ...branchIf(0)],
    // Out of the page, the loop and the block around it.
    ...[...computeChecksum(), ...get(PAGES), ...i32Load16Unsigned(CHECKSUM_AT), ...i32NotEqual, ...branchIf(2)],
  ];
  const step = (local: number, by: number) => [...get(local), ...i32Const(by), ...i32Add];
  return [
    ...[...block, ...get(COUNT), ...i32EqualZero, ...branchIf(0), ...loop],
    ...[...block, ...onePage, ...end],
    ...[...step(PAGES, BLOCK_BYTES), ...set(PAGES), ...step(BLOCK, 1), ...set(BLOCK), ...step(INDEX, 1), ...tee(INDEX)],
    ...[...get(COUNT), ...i32Sub, ...branchIf(0), ...end, ...end],
    ...[...get(INDEX), ...get(HIGHEST)],
  ];
}

/** Exports `check`. */
export const checksumModule: FunctionModule = {
  name: 'check',
  parameters: PARAMETERS,
  results: [I32, I64],
  locals: [
    [2, I32],
    [2, I64],
    [1 + VECTORS, V128],
  ],
  body: checkPages(),
};
