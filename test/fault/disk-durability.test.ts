import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  type FileSystem,
  newSpoolPath,
  type ObjectStore,
  openDiskStore,
  type PutOutcome,
} from '../../src/repository/index.ts';
import { type BrokenPromises, CrashableFileSystem, type Fate } from '../support/crashable-file-system.ts';
import { type Random, seededRandom } from '../support/seeded-random.ts';

const root = '/backups/repository';

/** Crashes tried for one moment; all of them when there are no more. */
const CRASHES_PER_MOMENT = 8;

/** A put whose answer came: from then on its object has to be there. */
interface Answer {
  name: string;
  outcome: PutOutcome;
}

/** A moment at which the machine may stop: the file system, and the answers that were given until then. */
interface Moment {
  files: CrashableFileSystem;
  answers: Answer[];
}

/** Everything that anybody tried to store under a name: what is found there later must be one of these, whole. */
type Attempts = Map<string, Buffer[]>;

/** Runs two processes that write to one repository at the same time, and gives every moment of it. */
async function record(seed: number, broken: { first?: BrokenPromises; second?: BrokenPromises } = {}) {
  const random = seededRandom(seed);
  const files = new CrashableFileSystem();
  await files.makeDirectory('/backups');
  await files.syncDirectory('/');
  const answers: Answer[] = [];
  const moments: Moment[] = [];
  const attempts: Attempts = new Map();
  const remember = () => moments.push({ files: files.fork(), answers: [...answers] });
  files.beforeOperation = async () => {
    for (let turns = random.below(6); turns > 0; turns--) await null;
  };
  files.afterOperation = remember;
  const process = (promises: BrokenPromises | undefined) => {
    const seen: FileSystem = promises === undefined ? files : files.breaking(promises);
    return new Writer(openDiskStore(root, { fileSystem: seen }), files, random, attempts, (answer) => {
      answers.push(answer);
      remember();
    });
  };
  const [first, second] = [process(broken.first), process(broken.second)];
  await first.store.createPlace!();
  await Promise.all([first.work(), second.work()]);
  return { moments, attempts, answers };
}

/** One process: several puts at once, to names that the other process uses as well. */
class Writer {
  readonly store: ObjectStore;
  readonly #files: CrashableFileSystem;
  readonly #random: Random;
  readonly #attempts: Attempts;
  readonly #answered: (answer: Answer) => void;

  constructor(
    store: ObjectStore,
    files: CrashableFileSystem,
    random: Random,
    attempts: Attempts,
    answered: (answer: Answer) => void,
  ) {
    this.store = store;
    this.#files = files;
    this.#random = random;
    this.#attempts = attempts;
    this.#answered = answered;
  }

  async work(): Promise<void> {
    for (let round = 0; round < 3; round++) {
      await Promise.all([this.#put(), this.#putFile(), this.#put(), this.#putVolatile()]);
    }
  }

  async #put(): Promise<void> {
    const name = this.#random.pick([
      'format',
      'packs/a',
      'packs/b',
      'wal/1/x/segments/1',
      'wal/1/x/history/2',
      'index/c',
    ]);
    const body = this.#body(name);
    const half = Math.floor(body.length / 2);
    const outcome = await this.store.putIfAbsent(name, [body.subarray(0, half), body.subarray(half)]);
    this.#answered({ name, outcome });
  }

  async #putFile(): Promise<void> {
    const name = this.#random.pick(['packs/a', 'packs/d', 'snapshots/committed/1']);
    const path = newSpoolPath(await this.store.spoolDirectory());
    const file = await this.#files.createFile(path);
    await file.write([this.#body(name)]);
    await file.close();
    this.#answered({ name, outcome: await this.store.putFileIfAbsent(name, path) });
  }

  async #putVolatile(): Promise<void> {
    await this.store.putVolatile('volatile/leases/1', this.#body('volatile/leases/1'));
  }

  #body(name: string): Buffer {
    const body = this.#random.bytes(20 + this.#random.below(20));
    const bodies = this.#attempts.get(name) ?? [];
    bodies.push(body);
    this.#attempts.set(name, bodies);
    return body;
  }
}

/** What is wrong after one crash, `null` when every promise was kept. */
async function findViolation(moment: Moment, attempts: Attempts, fate: Fate): Promise<string | null> {
  const survivor = moment.files.crash(fate);
  const store = openDiskStore(root, { fileSystem: survivor });
  const there = new Set<string>();
  if ((await survivor.list('/backups')).length > 0) {
    for await (const { name } of store.list('')) {
      there.add(name);
      const content = await store.get(name);
      if (!attempts.get(name)?.some((body) => body.equals(content))) return `"${name}" is visible and is not whole`;
    }
  }
  const missing = moment.answers.find(({ name }) => !there.has(name));
  if (missing !== undefined) return `"${missing.name}" is gone although the store had answered "${missing.outcome}"`;
  await store.createPlace!();
  const outcome = await store.putIfAbsent('packs/after-the-crash', Buffer.from('x'));
  return outcome === 'created' ? null : 'the next put did not succeed';
}

/** Every way in which a crash at this moment can end, or a sample when there are too many. */
function* listFates(moment: Moment, random: Random): Generator<Fate, void> {
  const uncertain = moment.files.countUncertain();
  const all = uncertain <= 3;
  const count = all ? 2 ** uncertain : CRASHES_PER_MOMENT;
  for (let choice = 0; choice < count; choice++) {
    let asked = 0;
    const likelihood = random.below(101);
    const survives = () => (all ? ((choice >> asked++) & 1) === 1 : random.below(100) < likelihood);
    const contentOf = (written: Buffer) => {
      if (all && survives()) return written;
      return random.pick([
        Buffer.alloc(0),
        written.subarray(0, random.below(written.length + 1)),
        Buffer.alloc(written.length),
        written,
      ]);
    };
    yield { survives, contentOf };
  }
}

async function findFirstViolation(seed: number, broken: { first?: BrokenPromises; second?: BrokenPromises } = {}) {
  const { moments, attempts, answers } = await record(seed, broken);
  const random = seededRandom(seed + 1);
  let crashes = 0;
  for (const [i, moment] of moments.entries()) {
    for (const fate of listFates(moment, random)) {
      crashes += 1;
      const violation = await findViolation(moment, attempts, fate);
      if (violation !== null) return { violation: `seed ${seed}, moment ${i}: ${violation}`, crashes, answers };
    }
  }
  return { violation: null, crashes, answers };
}

describe('the disk store, when the machine may stop at any moment and lose whatever was not synced', () => {
  for (const seed of [1, 2, 3, 4]) {
    it(`keeps every object that it confirmed and shows none that is torn (seed ${seed})`, async () => {
      const { violation, crashes, answers } = await findFirstViolation(seed);
      assert.equal(violation, null);
      assert.equal(answers.length, 18);
      assert.ok(
        answers.some(({ outcome }) => outcome === 'created') && answers.some(({ outcome }) => outcome === 'exists'),
      );
      assert.ok(crashes > 1000, `only ${crashes} crashes`);
    });
  }
});

describe('the same crashes', () => {
  const weaknesses: [string, { first?: BrokenPromises; second?: BrokenPromises }][] = [
    ['files are not synced', { first: { fileSync: true }, second: { fileSync: true } }],
    ['no directory is synced', { first: { directorySync: () => true }, second: { directorySync: () => true } }],
    [
      'new directories are not synced into the root',
      { first: { directorySync: (path) => path === root }, second: { directorySync: (path) => path === root } },
    ],
    [
      'the directory of an object is not synced',
      {
        first: { directorySync: (path) => path === `${root}/packs` },
        second: { directorySync: (path) => path === `${root}/packs` },
      },
    ],
    ['a process trusts that another one synced what it finds there', { second: { directorySync: () => true } }],
    ['the place itself is not synced into its parent', { first: { directorySync: (path) => path === '/backups' } }],
  ];
  for (const [weakness, broken] of weaknesses) {
    it(`would show that ${weakness}`, async () => {
      let violation: string | null = null;
      for (let seed = 1; seed <= 4 && violation === null; seed++)
        violation = (await findFirstViolation(seed, broken)).violation;
      assert.notEqual(violation, null);
    });
  }
});
