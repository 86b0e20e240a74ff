/**
 * Instructions of WebAssembly as bytes, as far as they are used.
 *
 * Source: WebAssembly Core Specification 2.0, binary format.
 */

/** Unsigned LEB128. */
export function unsignedLeb(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  do {
    const low = rest & 0x7f;
    rest >>>= 7;
    bytes.push(rest === 0 ? low : low | 0x80);
  } while (rest !== 0);
  return bytes;
}

/** Signed LEB128 of a 32-bit value, for constants. */
export function signedLeb(value: number): number[] {
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

/** Types of values. */
export const I32 = 0x7f;
export const I64 = 0x7e;
export const V128 = 0x7b;

export const get = (local: number) => [0x20, ...unsignedLeb(local)];
export const set = (local: number) => [0x21, ...unsignedLeb(local)];
export const tee = (local: number) => [0x22, ...unsignedLeb(local)];

export const block = [0x02, 0x40];
export const loop = [0x03, 0x40];
export const ifTrue = [0x04, 0x40];
export const end = [0x0b];
export const branch = (depth: number) => [0x0c, ...unsignedLeb(depth)];
export const branchIf = (depth: number) => [0x0d, ...unsignedLeb(depth)];

export const i32Const = (value: number) => [0x41, ...signedLeb(value)];
export const i32Load = (offset: number) => [0x28, 0, ...unsignedLeb(offset)];
export const i32Load8Unsigned = (offset: number) => [0x2d, 0, ...unsignedLeb(offset)];
export const i32Load16Unsigned = (offset: number) => [0x2f, 0, ...unsignedLeb(offset)];
export const i32Store = [0x36, 0, 0];
export const i32EqualZero = [0x45];
export const i32Equal = [0x46];
export const i32NotEqual = [0x47];
export const i32LessThanUnsigned = [0x49];
export const i32GreaterThanUnsigned = [0x4b];
export const i32Add = [0x6a];
export const i32Sub = [0x6b];
export const i32RemainderUnsigned = [0x70];
export const i32Or = [0x72];
export const i32And = [0x71];
export const i32Xor = [0x73];
export const i32ShiftLeft = [0x74];
export const i32WrapI64 = [0xa7];

export const i64Const32 = [0x42, ...signedLeb(32)];
export const i64Load = (offset: number) => [0x29, 0, ...unsignedLeb(offset)];
export const i64Store = [0x37, 0, 0];
export const i64NotEqual = [0x52];
export const i64LessThanUnsigned = [0x54];
export const i64GreaterThanUnsigned = [0x56];
export const i64Add = [0x7c];
export const i64Multiply = [0x7e];
export const i64Or = [0x84];
export const i64ShiftLeft = [0x86];
export const i64ShiftRightUnsigned = [0x88];
export const i64ExtendI32Unsigned = [0xad];

const simd = (opcode: number, ...rest: number[]) => [0xfd, ...unsignedLeb(opcode), ...rest];
export const v128Load = (offset: number) => simd(0x00, 0, ...unsignedLeb(offset));
export const v128Store = simd(0x0b, 0, 0);
/** `bytes` has 16, the lowest first. */
export const v128Const = (bytes: Iterable<number>) => simd(0x0c, ...bytes);
export const v128Zero = v128Const(new Array<number>(16).fill(0));
export const v128And = simd(0x4e);
export const v128Xor = simd(0x51);
export const i32x4ExtractLane = (lane: number) => simd(0x1b, lane);
export const i32x4ShiftRightUnsigned = simd(0xad);
export const i32x4Add = simd(0xae);
export const i32x4Multiply = simd(0xb5);
export const i64x2ExtractLane = (lane: number) => simd(0x1d, lane);
export const i64x2Add = simd(0xce);
export const i64x2MultiplyLow = simd(0xde);
export const i64x2MultiplyHigh = simd(0xdf);
