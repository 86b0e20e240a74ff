import {
  block,
  branch,
  branchIf,
  end,
  type FunctionModule,
  get,
  I32,
  I64,
  i32Add,
  i32And,
  i32Const,
  i32Equal,
  i32EqualZero,
  i32GreaterThanUnsigned,
  i32LessThanUnsigned,
  i32Load,
  i32Load8Unsigned,
  i32Or,
  i32ShiftLeft,
  i32Store,
  i32Sub,
  i32Xor,
  i64Add,
  i64ExtendI32Unsigned,
  i64Load,
  i64NotEqual,
  i64Store,
  loop,
  set,
  tee,
  v128Load,
  v128Store,
} from '../../lib/wasm/index.ts';
import { CHAIN_MARK } from './crc32c.ts';
import {
  INFO_MASK,
  INFO_SWITCH,
  RECORD_HEADER_BYTES,
  RESOURCE_MANAGER_BUILT_IN_MAX,
  RESOURCE_MANAGER_CUSTOM_MIN,
} from './record.ts';

/**
 * The machine code that goes through the records of a page, one after the other.
 *
 *   run(from: i32, to: i32, told: i32, chain: i32, previous: i64, lsn: i64) → i32
 *     at = from; lsn is that of `from`, a multiple of 8
 *     while a whole record with its padding lies between at and to, names `previous` as the one before, is of a resource manager that exists,
 *     and does not end the segment:
 *       told[…] = (at - from) << 16 | length
 *       chain[…] = the record behind its header, then its header, whose last field is the CRC, as `isChainOfCrcs` takes it
 *       previous = lsn + (at - from);  at = the end of its padding
 *     gives where `told` ends
 *
 * At the first record that is otherwise it stops without a word: whoever looks at that one closer says what it is. Up to 15 bytes behind `to` are
 * read, and behind the chain written.
 */

const PARAMETERS = [I32, I32, I32, I32, I64, I64];
const [FROM, TO, TOLD, CHAIN, PREVIOUS, LSN] = [0, 1, 2, 3, 4, 5];
const [AT, LENGTH, NEXT, OFFSET, BYTE, STOP, MANAGER] = [6, 7, 8, 9, 10, 11, 12];

const ALIGNMENT = 8;
const PREVIOUS_AT = 8;
const INFO_AT = 16;
const MANAGER_AT = 17;

/** Leaves the loop, two levels out, when the record is not one to be told. */
function checkHeader(): number[] {
  return [
    ...[...get(TO), ...get(AT), ...i32Sub, ...i32Const(RECORD_HEADER_BYTES), ...i32LessThanUnsigned, ...branchIf(1)],
    ...[...get(AT), ...i32Load(0), ...tee(LENGTH)],
    ...[...i32Const(RECORD_HEADER_BYTES), ...i32LessThanUnsigned, ...branchIf(1)],
    ...[...get(LENGTH), ...get(TO), ...get(AT), ...i32Sub, ...i32GreaterThanUnsigned, ...branchIf(1)],
    ...[...get(AT), ...get(LENGTH), ...i32Add, ...i32Const(ALIGNMENT - 1), ...i32Add],
    ...[...i32Const(-ALIGNMENT), ...i32And, ...tee(NEXT), ...get(TO), ...i32GreaterThanUnsigned, ...branchIf(1)],
    ...[...get(AT), ...i64Load(PREVIOUS_AT), ...get(PREVIOUS), ...i64NotEqual, ...branchIf(1)],
    ...[...get(AT), ...i32Load8Unsigned(MANAGER_AT), ...tee(MANAGER)],
    ...[...i32Const(RESOURCE_MANAGER_BUILT_IN_MAX + 1), ...i32Sub],
    ...i32Const(RESOURCE_MANAGER_CUSTOM_MIN - RESOURCE_MANAGER_BUILT_IN_MAX - 1),
    ...[...i32LessThanUnsigned, ...branchIf(1)],
    ...[...get(MANAGER), ...i32EqualZero],
    ...[...get(AT), ...i32Load8Unsigned(INFO_AT), ...i32Const(INFO_MASK), ...i32And],
    ...[...i32Const(INFO_SWITCH), ...i32Equal, ...i32And, ...branchIf(1)],
  ];
}

/** Copies the record to CHAIN, 16 bytes at a time, its header last, and moves CHAIN to its end. What is copied too much is written over. */
function addToChain(): number[] {
  const copyRest = [
    ...[...get(OFFSET), ...get(STOP), ...i32LessThanUnsigned, ...i32EqualZero, ...branchIf(1)],
    ...[...get(BYTE), ...get(OFFSET), ...i32Add, ...get(AT), ...get(OFFSET), ...i32Add],
    ...[...v128Load(RECORD_HEADER_BYTES), ...v128Store],
    ...[...get(OFFSET), ...i32Const(16), ...i32Add, ...set(OFFSET), ...branch(0)],
  ];
  return [
    ...[...get(LENGTH), ...i32Const(RECORD_HEADER_BYTES), ...i32Sub, ...set(STOP)],
    ...[...get(CHAIN), ...set(BYTE), ...i32Const(0), ...set(OFFSET)],
    ...[...block, ...loop, ...copyRest, ...end, ...end],
    ...[...get(CHAIN), ...get(STOP), ...i32Add, ...get(AT), ...v128Load(0), ...v128Store],
    ...[...get(CHAIN), ...get(STOP), ...i32Add, ...i32Const(16), ...i32Add, ...get(AT), ...i64Load(16), ...i64Store],
    ...[...get(CHAIN), ...get(CHAIN), ...i32Load(0), ...i32Const(CHAIN_MARK), ...i32Xor, ...i32Store],
    ...[...get(CHAIN), ...get(LENGTH), ...i32Add, ...set(CHAIN)],
  ];
}

function functionBody(): number[] {
  const each = [
    ...checkHeader(),
    ...addToChain(),
    ...[...get(TOLD), ...get(AT), ...get(FROM), ...i32Sub, ...tee(OFFSET), ...i32Const(16), ...i32ShiftLeft],
    ...[...get(LENGTH), ...i32Or, ...i32Store],
    ...[...get(TOLD), ...i32Const(4), ...i32Add, ...set(TOLD)],
    ...[...get(OFFSET), ...i64ExtendI32Unsigned, ...get(LSN), ...i64Add, ...set(PREVIOUS)],
    ...[...get(NEXT), ...set(AT), ...branch(0)],
  ];
  return [...get(FROM), ...set(AT), ...block, ...loop, ...each, ...end, ...end, ...get(TOLD)];
}

/** Exports `run`. */
export const recordRunModule: FunctionModule = {
  name: 'run',
  parameters: PARAMETERS,
  results: [I32],
  locals: [[7, I32]],
  body: functionBody(),
};
