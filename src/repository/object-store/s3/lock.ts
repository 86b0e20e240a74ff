import { codeOf } from '../../../lib/index.ts';
import { objectAbsent } from '../basics/index.ts';
import { assertObjectName } from '../object-name.ts';
import type { ObjectLock } from '../store.ts';
import type { OpenedBucket } from './known-versions.ts';

/** Locks in COMPLIANCE mode, which nobody can shorten or take away, on the versions that count. */
export function makeLock(options: {
  lockFor: ObjectLock['lockFor'];
  open: () => Promise<OpenedBucket>;
  description: string;
}): ObjectLock {
  /** The bucket, and the version to be locked. */
  const find = async (name: string) => {
    assertObjectName(name);
    const { connection, versions } = await options.open();
    const version = await versions.find(name);
    if (version === null) throw objectAbsent(name, options.description);
    return { connection, id: version.id };
  };
  return {
    lockFor: options.lockFor,
    async extend(name, until) {
      const { connection, id } = await find(name);
      const wanted = toWholeSecond(until);
      const isLongEnough = async () => ((await connection.lockedUntil(name, id)) ?? 0) >= wanted;
      if (await isLongEnough()) return;
      try {
        await connection.lock(name, id, wanted);
      } catch (error) {
        // To shorten is refused: somebody else may have extended it further in between.
        if (codeOf(error) === 'STORE_DENIED' && (await isLongEnough())) return;
        throw error;
      }
    },
    async until(name) {
      const { connection, id } = await find(name);
      return connection.lockedUntil(name, id);
    },
  };
}

/** Locks are kept by the second; none may end early. */
export function toWholeSecond(milliseconds: number): number {
  return Math.ceil(milliseconds / 1000) * 1000;
}
