/** Thrown when the program itself is wrong; never the user's fault, and never caught to go on. */
export class AssertionFailed extends Error {
  override readonly name = 'AssertionFailed';
}

/** States what must be so. It stays on in production: going on with a broken invariant is how data is lost. */
export function assert(condition: unknown, statement: string): asserts condition {
  if (!condition) throw new AssertionFailed(`broken invariant: ${statement}`);
}

/** For a `switch` over a closed union: a case that was added but not handled does not compile. */
export function unreachable(value: never): never {
  throw new AssertionFailed(`unhandled case: ${JSON.stringify(value)}`);
}
