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
  i32Sub,
  i32WrapI64,
  i32x4Add,
  i64Add,
  i64Const32,
  i64ExtendI32Unsigned,
  i64Load,
  i64Multiply,
  i64Or,
  i64ShiftLeft,
  i64ShiftRightUnsigned,
  i64Store,
  i64x2Add,
  i64x2ExtractLane,
  i64x2MultiplyHigh,
  i64x2MultiplyLow,
  loop,
  set,
  tee,
  V128,
  v128Load,
  v128Zero,
} from '../../lib/wasm/index.ts';

/**
 * The machine code of the fingerprint, written as a list of WebAssembly instructions.
 *
 * A hand-made module keeps the hot loop at the speed of memory (128-bit multiplications) without a native dependency or a committed
 * binary. The same function in plain BigInt stands in the test, which compares the two.
 *
 *   fingerprint(pages: i32, count: i32, out: i32, key: i32)
 *     for each page:
 *       for i in 0, 32, … 8160:                    a, b = page words at i and i + 16; k0, k1, k2 = key words at i, i + 16, i + 32
 *         h1 += (a + k0) × (b + k1)                 32-bit sums, 64-bit products, four lanes
 *         h2 += (a + k1) × (b + k2)                 the same key, shifted by 16 bytes (Toeplitz)
 *       out = high half of (m0 + m1·lo(h1) + m2·hi(h1) + m3·lo(h2) + m4·hi(h2)), once for each of two sets of m
 */

const PAGE_BYTES = 8192;
const MULTIPLIERS_AT = PAGE_BYTES + 16;

/** Local variables in the order of declaration: four parameters, then the rest. */
const PAGES = 0;
const COUNT = 1;
const OUT = 2;
const KEY = 3;
const AT = 4;
const SUM1 = 5;
const SUM2 = 6;
const A = 7;
const B = 8;
const K1 = 9;
const H1 = 10;
const H2 = 11;

/** `sum` += (A + left) × (B + right), lane by lane; `left` and `right` leave a v128 on the stack. */
function accumulate(sum: number, left: number[], right: number[]): number[] {
  const sums = [...get(A), ...left, ...i32x4Add, ...get(B), ...right, ...i32x4Add];
  return [
    ...[...get(sum), ...sums, ...i64x2MultiplyLow, ...i64x2Add],
    ...[...sums, ...i64x2MultiplyHigh, ...i64x2Add, ...set(sum)],
  ];
}

/** The two lanes of `sum` added, into the 64-bit local `into`. */
function fold(sum: number, into: number): number[] {
  return [...get(sum), ...i64x2ExtractLane(0), ...get(sum), ...i64x2ExtractLane(1), ...i64Add, ...set(into)];
}

/** Leaves the high half of the keyed sum of the four halves of H1 and H2 as a 64-bit value; `which` is 0 or 1. */
function multiplyShift(which: number): number[] {
  const multiplier = (index: number) => [...get(KEY), ...i64Load(MULTIPLIERS_AT + (which * 5 + index) * 8)];
  const low = (local: number) => [...get(local), ...i32WrapI64, ...i64ExtendI32Unsigned];
  const high = (local: number) => [...get(local), ...i64Const32, ...i64ShiftRightUnsigned];
  const term = (index: number, half: number[]) => [...multiplier(index), ...half, ...i64Multiply, ...i64Add];
  return [
    ...multiplier(0),
    ...[...term(1, low(H1)), ...term(2, high(H1)), ...term(3, low(H2)), ...term(4, high(H2))],
    ...[...i64Const32, ...i64ShiftRightUnsigned],
  ];
}

function functionBody(): number[] {
  const keyAt = (offset: number) => [...get(KEY), ...get(AT), ...i32Add, ...v128Load(offset)];
  const pageAt = (offset: number) => [...get(PAGES), ...get(AT), ...i32Add, ...v128Load(offset)];
  const inner = [
    ...[...pageAt(0), ...set(A), ...pageAt(16), ...set(B), ...keyAt(16), ...set(K1)],
    ...accumulate(SUM1, keyAt(0), get(K1)),
    ...accumulate(SUM2, get(K1), keyAt(32)),
    ...[...get(AT), ...i32Const(32), ...i32Add, ...tee(AT), ...i32Const(PAGE_BYTES), ...i32LessThanUnsigned],
    ...branchIf(0),
  ];
  const outer = [
    ...[...get(COUNT), ...i32EqualZero, ...branchIf(1)],
    ...[...v128Zero, ...set(SUM1), ...v128Zero, ...set(SUM2), ...i32Const(0), ...set(AT)],
    ...[...loop, ...inner, ...end],
    ...[...fold(SUM1, H1), ...fold(SUM2, H2)],
    ...[...get(OUT), ...multiplyShift(0), ...multiplyShift(1), ...i64Const32, ...i64ShiftLeft, ...i64Or, ...i64Store],
    ...[...get(PAGES), ...i32Const(PAGE_BYTES), ...i32Add, ...set(PAGES)],
    ...[...get(OUT), ...i32Const(8), ...i32Add, ...set(OUT)],
    ...[...get(COUNT), ...i32Const(1), ...i32Sub, ...set(COUNT)],
    ...[...i32Const(1), ...branchIf(0)],
  ];
  return [...block, ...loop, ...outer, ...end, ...end];
}

/** Exports `fingerprint`. */
export const fingerprintModule: FunctionModule = {
  name: 'fingerprint',
  parameters: [I32, I32, I32, I32],
  results: [],
  locals: [
    [1, I32],
    [2, V128],
    [2, V128],
    [1, V128],
    [2, I64],
  ],
  body: functionBody(),
};
