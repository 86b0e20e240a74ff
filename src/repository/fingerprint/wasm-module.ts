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
 *
 * Source: WebAssembly Core Specification 2.0, binary format; opcodes are named where they are used.
 */

const PAGE_BYTES = 8192;
const MULTIPLIERS_AT = PAGE_BYTES + 16;

const I32 = 0x7f;
const I64 = 0x7e;
const V128 = 0x7b;

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

/** Unsigned LEB128. */
function u(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  do {
    const low = rest & 0x7f;
    rest >>>= 7;
    bytes.push(rest === 0 ? low : low | 0x80);
  } while (rest !== 0);
  return bytes;
}

/** Signed LEB128, for constants. */
function s(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  for (;;) {
    const low = rest & 0x7f;
    rest >>= 7;
    const done = (rest === 0 && (low & 0x40) === 0) || (rest === -1 && (low & 0x40) !== 0);
    bytes.push(done ? low : low | 0x80);
    if (done) return bytes;
  }
}

const get = (local: number) => [0x20, ...u(local)];
const set = (local: number) => [0x21, ...u(local)];
const tee = (local: number) => [0x22, ...u(local)];
const i32Const = (value: number) => [0x41, ...s(value)];
const i64Const32 = [0x42, ...s(32)];
const i32Add = [0x6a];
const i32Sub = [0x6b];
const i32LessThanUnsigned = [0x49];
const i64Add = [0x7c];
const i64Multiply = [0x7e];
const i64Or = [0x84];
const i64ShiftLeft = [0x86];
const i64ShiftRightUnsigned = [0x88];
const i32WrapI64 = [0xa7];
const i64ExtendI32Unsigned = [0xad];
const i64Load = (offset: number) => [0x29, 0, ...u(offset)];
const i64Store = [0x37, 0, 0];
const simd = (opcode: number, ...rest: number[]) => [0xfd, ...u(opcode), ...rest];
const v128Load = (offset: number) => simd(0x00, 0, ...u(offset));
const v128Zero = simd(0x0c, ...new Array<number>(16).fill(0));
const i32x4Add = simd(0xae);
const i64x2Add = simd(0xce);
const i64x2ExtractLane = (lane: number) => simd(0x1d, lane);
const i64x2MultiplyLow = simd(0xde);
const i64x2MultiplyHigh = simd(0xdf);
const loop = [0x03, 0x40];
const branchIf = (depth: number) => [0x0d, ...u(depth)];
const block = [0x02, 0x40];
const end = [0x0b];
const i32EqualZero = [0x45];

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

function section(id: number, contents: number[]): number[] {
  return [id, ...u(contents.length), ...contents];
}

function name(text: string): number[] {
  return [...u(text.length), ...Buffer.from(text, 'ascii')];
}

/** The whole module: imports the shared memory `holdfast.memory` (1 to 65,536 pages), exports `fingerprint`. */
export function fingerprintModuleBytes(): Uint8Array<ArrayBuffer> {
  const locals = [
    [1, I32],
    [2, V128],
    [2, V128],
    [1, V128],
    [2, I64],
  ];
  const code = [
    ...u(locals.length),
    ...locals.flatMap(([count, type]) => [...u(count!), type!]),
    ...functionBody(),
    ...end,
  ];
  return new Uint8Array([
    ...[0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00],
    ...section(1, [1, 0x60, 4, I32, I32, I32, I32, 0]),
    ...section(2, [1, ...name('holdfast'), ...name('memory'), 0x02, 0x03, ...u(1), ...u(65_536)]),
    ...section(3, [1, 0]),
    ...section(7, [1, ...name('fingerprint'), 0x00, 0]),
    ...section(10, [1, ...u(code.length), ...code]),
  ]);
}
