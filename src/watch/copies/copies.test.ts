import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { HoldfastError } from '../../lib/index.ts';
import { memoryStore, type ObjectStore, unusableStore } from '../../repository/index.ts';
import { judgeAway } from './away.ts';
import { judgeCopies, judgeCopy, judgeWithoutPrimary } from './judge-copies.ts';
import { type CopyStatus, type PlacesStatus, readPlaces } from './read-places.ts';

const minute = 60_000;

/** A copy that lacks one object of so many milliseconds' age, or none. */
function copyBehind(lagMs: number, changes: Partial<CopyStatus> = {}): CopyStatus {
  const none = { objects: 0, bytes: 0, names: [], parts: {} };
  const one = { objects: 1, bytes: 10, names: ['packs/a'], parts: { packs: { objects: 1, bytes: 10 } } };
  return {
    ...{
      name: 'west',
      description: 'disk "/west"',
      required: false,
      canBeMade: true,
      error: null,
      stored: { objects: 1, bytes: 1 },
    },
    state: lagMs === 0 ? 'in-step' : 'behind',
    comparison: {
      ...{ place: 'west', same: one, missing: lagMs === 0 ? none : one, extra: none, differing: none },
      ...{ oldestMissingAt: null, lagMs, isDeep: false },
    },
    ...changes,
  };
}

const away = new HoldfastError('STORE_UNAVAILABLE', 'could not reach it');

function judge(copy: CopyStatus, primaryError: HoldfastError | null = null): string[] {
  const primary = { description: 'disk "/primary"', stored: null, error: primaryError };
  return judgeCopies({ primary, copies: [copy] }).map(({ severity, code }) => `${severity} ${code}`);
}

describe('what is said of a copy', () => {
  it('is nothing while it is in step, or lacks only what is on its way', () => {
    assert.deepEqual(judge(copyBehind(0)), []);
    assert.deepEqual(judge(copyBehind(minute)), []);
  });

  it('grows with its lag, and weighs more where it is required', () => {
    assert.deepEqual(judge(copyBehind(minute + 1)), ['notice copy-behind']);
    assert.deepEqual(judge(copyBehind(60 * minute + 1)), ['problem copy-behind']);
    assert.deepEqual(judge(copyBehind(minute + 1, { required: true })), ['problem copy-behind']);
  });

  it('that is away, differs or is of another repository is told by its name', () => {
    const gone = { comparison: null, stored: null, error: away };
    assert.deepEqual(judge(copyBehind(0, { ...gone, state: 'away' })), ['notice copy-away']);
    assert.deepEqual(judge(copyBehind(0, { ...gone, state: 'away', required: true })), ['problem copy-away']);
    assert.deepEqual(judge(copyBehind(0, { ...gone, state: 'foreign' })), ['problem copy-foreign']);
    const differing = copyBehind(0, { state: 'differing' });
    assert.deepEqual(judge(differing), ['problem copy-differs']);
    const primary = { description: '', stored: null, error: null };
    assert.match(judgeCopies({ primary, copies: [differing] })[0]!.sentence, /^Copy "west" /);
    for (const [required, pattern] of [
      [true, /^Copy "west" is 2 min behind/],
      [false, /^Optional copy "west" is 2 min behind/],
    ] as const)
      assert.match(judgeCopy(copyBehind(2 * minute, { required }))[0]!.sentence, pattern);
  });

  it('is that nothing could be told when the primary is away, which is the first thing to hear', () => {
    const copy = copyBehind(0, { state: 'not-compared', comparison: null });
    assert.deepEqual(judge(copy, away), ['problem primary-away', 'notice copy-not-compared']);
  });
});

describe('without the primary', () => {
  it('nobody is told that no receiver runs, as it says so in the primary alone', () => {
    const finding = { severity: 'notice', code: 'no-receiver', sentence: 'x', advice: null } as const;
    assert.equal(judgeWithoutPrimary(finding).code, 'receiver-untold');
    const other = { ...finding, code: 'gap' };
    assert.equal(judgeWithoutPrimary(other), other);
  });

  it('the first thing to do is what mends it, before anybody moves the primary', () => {
    const error = new HoldfastError('STORE_CREDENTIALS_EXPIRED', 'x', { hints: ['Sign in again.'] });
    const [finding] = judgeCopies({ primary: { description: '', stored: null, error }, copies: [] });
    assert.match(finding!.advice!, /^Sign in again\. Nothing new can be stored .+ make a copy the primary/);
  });

  it('a directory that is not there is made for a copy that is new', () => {
    const error = new HoldfastError('STORE_ABSENT', 'x', { detail: 'Found none.\nMore.', hints: ['Check the path.'] });
    const primary = { description: '', stored: null, error: null };
    const copy = copyBehind(0, { comparison: null, stored: null, error, state: 'away' });
    assert.equal(
      judgeCopies({ primary, copies: [copy] })[0]!.advice,
      'Check the path. The directory of a new copy is made by holdfast copies sync west --create.',
    );
    assert.equal(judgeCopy(copy)[0]!.sentence, 'Optional copy "west" does not answer: x. Found none.');
    // A bucket has to be there.
    const bucket = judgeCopy({ ...copy, canBeMade: false })[0]!.advice!;
    assert.match(bucket, /^Check the path\. When it is back/);
    assert.doesNotMatch(bucket, /director|--create/);
  });

  it('an empty directory may be one in which a disk should be mounted', () => {
    const empty = copyBehind(2 * minute, { stored: { objects: 0, bytes: 0 } });
    assert.match(judgeCopy(empty)[0]!.advice!, /^It is empty: check that its disk is mounted\. Run /);
    assert.equal(judgeCopy({ ...empty, canBeMade: false })[0]!.advice, 'Run holdfast copies sync west.');
  });
});

describe('reading how places stand', () => {
  async function storeWith(names: readonly string[]): Promise<ObjectStore> {
    const store = memoryStore();
    for (const name of names) await store.putIfAbsent(name, Buffer.from(name));
    return store;
  }
  const format = 'format';
  const read = async (primary: ObjectStore, copy: ObjectStore): Promise<PlacesStatus> =>
    readPlaces([
      { name: 'primary', store: primary, required: true },
      { name: 'west', store: copy, required: false },
    ]);

  it('measures a copy alone while the primary is away', async () => {
    const status = await read(unusableStore('disk "/primary"', away), await storeWith(['packs/a', 'volatile/x']));
    assert.equal(status.primary.error, away);
    assert.deepEqual(
      status.copies.map(({ state, stored }) => [state, stored?.objects]),
      [['not-compared', 1]],
    );
  });

  it('says of a place without a repository that it has none', async () => {
    const status = await read(await storeWith(['packs/a']), await storeWith([]));
    assert.equal(status.primary.error?.code, 'REPOSITORY_ABSENT');
  });

  it('names the copy that fails and no other', async () => {
    const status = await read(await storeWith([format]), unusableStore('disk "/west"', away));
    assert.equal(status.primary.error, null);
    assert.deepEqual(
      [status.primary.stored?.objects, status.copies[0]!.state, status.copies[0]!.error],
      [1, 'away', away],
    );
  });
});

describe('a place away from the machine', () => {
  const here = [{ name: 'primary', isHere: true }];
  it('is missed when every place would go with the database', () => {
    assert.match(
      judgeAway({ serverIsHere: true, places: here })!.sentence,
      /database's own machine, and there is no copy/,
    );
    const two = [...here, { name: 'west', isHere: true }];
    assert.match(judgeAway({ serverIsHere: true, places: two })!.sentence, /^All 2 places/);
    assert.match(judgeAway({ serverIsHere: null, places: here })!.sentence, /is on this machine/);
  });

  it('is one elsewhere, or any at all when the server is elsewhere', () => {
    assert.equal(judgeAway({ serverIsHere: true, places: [...here, { name: 'west', isHere: false }] }), null);
    assert.equal(judgeAway({ serverIsHere: false, places: here }), null);
    assert.equal(judgeAway({ serverIsHere: true, places: [] }), null);
  });
});
