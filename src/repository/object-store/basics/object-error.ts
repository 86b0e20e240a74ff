import { HoldfastError } from '../../../lib/index.ts';

/** Some bytes of an object, at least one. */
export interface ByteRange {
  readonly offset: number;
  readonly length: number;
}

/** The object is not there. `place` is the description of the store. */
export function objectAbsent(name: string, place: string): HoldfastError {
  return new HoldfastError('OBJECT_ABSENT', `cannot read object "${name}": it does not exist`, {
    detail: `Expected it in ${place}, found nothing under that name.`,
  });
}

/** The object has fewer bytes than were asked for. */
export function objectTooShort(name: string, { offset, length }: ByteRange, found: number): HoldfastError {
  return new HoldfastError('OBJECT_TRUNCATED', `cannot read object "${name}": it ends too early`, {
    detail: `Expected ${length} bytes at offset ${offset}, found ${found}.`,
  });
}
