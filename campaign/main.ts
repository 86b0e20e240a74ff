/**
 * The long fault runs: tests that `npm test` draws a sample of, with full counts and a new seed each round.
 *
 *   npm run campaign -- [--rounds N] [--seed N] [--only NAME] [--targets N] [--major M] [--faults N]
 *
 * `--targets` are the moments that are restored in a round (1000 unless said otherwise), a hundred of each history; `--major` is the PostgreSQL
 * that writes the histories, and from 17 on that is changed at random between backups; `--faults` are those between us and an object store in a round (10,000 unless said otherwise). What fails prints the seed with which it can be run again, and the moment. The seed decides the shape of a
 * history and the moments, not how its concurrent writers interleave. Exit codes: 0 all rounds passed, 1 one failed, 2 wrong usage.
 */
import { spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

/** One test file and the counts that make it a campaign. */
interface Run {
  name: string;
  file: string;
  counts: Record<string, string>;
}

/** So many moments of one history: what goes wrong depends on the history as much as on the moment. */
const TARGETS_PER_HISTORY = 100;
const TARGETS_DEFAULT = 1000;
/** So many faults with one repository and one server: then what was stored and restored is judged. */
const FAULTS_PER_WORLD = 1000;
const FAULTS_DEFAULT = 10_000;
/** pg_walinspect, by which is known what must be there, came with 15. */
const MAJORS = [15, 16, 17, 18];
const INCREMENTS_MAJOR_MIN = 17;

const runs: readonly Run[] = [
  {
    name: 'flipped-bit',
    file: 'test/fault/flipped-bit.test.ts',
    counts: { HOLDFAST_BITS_PER_KIND: '60', HOLDFAST_HARMS_PER_KIND: '12' },
  },
  { name: 'disk-durability', file: 'test/fault/disk-durability.test.ts', counts: {} },
  { name: 'backup-stops', file: 'test/fault/backup-stops.test.ts', counts: {} },
  { name: 'wal-stops', file: 'test/fault/wal-stops.test.ts', counts: {} },
  { name: 'restore-stops', file: 'test/fault/restore-stops.test.ts', counts: {} },
  { name: 'wal-stream', file: 'test/e2e/020-wal-stream.test.ts', counts: {} },
  { name: 'large-repository', file: 'test/e2e/066-large-repository.test.ts', counts: { HOLDFAST_CHUNKS: '10000000' } },
  { name: 'many-files', file: 'test/e2e/013-many-files.test.ts', counts: { HOLDFAST_RELATION_FILES: '100000' } },
  { name: 'files-under-change', file: 'test/e2e/014-files-under-change.test.ts', counts: {} },
];

/** Seeds stay below this, so that they are easy to type. */
const SEED_MAX = 2 ** 31;

const root = fileURLToPath(new URL('..', import.meta.url));

/** As many histories as it takes; the last may have fewer moments. */
function historyRuns(targets: number, major: number): Run[] {
  return Array.from({ length: Math.ceil(targets / TARGETS_PER_HISTORY) }, (_, number) => ({
    name: 'restore-history',
    file: 'test/property/restore-history.test.ts',
    counts: {
      HOLDFAST_MAJOR: String(major),
      HOLDFAST_RESTORE_POINTS: String(Math.min(TARGETS_PER_HISTORY, targets - number * TARGETS_PER_HISTORY)),
    },
  }));
}

/** Servers before 17 cannot tell what changed. */
function changeRuns(major: number): Run[] {
  if (major < INCREMENTS_MAJOR_MIN) return [];
  const counts = { HOLDFAST_MAJOR: String(major), HOLDFAST_BACKUPS: '12', HOLDFAST_CHANGES: '30' };
  return [{ name: 'random-changes', file: 'test/e2e/121-random-changes.test.ts', counts }];
}

/** As many worlds as it takes; the last may see fewer faults. */
function faultRuns(faults: number): Run[] {
  return Array.from({ length: Math.ceil(faults / FAULTS_PER_WORLD) }, (_, number) => ({
    name: 'object-store-faults',
    file: 'test/fault/object-store-faults.test.ts',
    counts: { HOLDFAST_FAULTS: String(Math.min(FAULTS_PER_WORLD, faults - number * FAULTS_PER_WORLD)) },
  }));
}

async function runOnce(run: Run, seed: number): Promise<boolean> {
  const settings = { ...run.counts, HOLDFAST_SEED: String(seed) };
  const shown = Object.entries(settings).map(([name, value]) => `${name}=${value}`);
  process.stdout.write(`\n${run.name}: ${shown.join(' ')}\n`);
  const flags = ['--disable-warning=ExperimentalWarning', '--conditions=holdfast-source', '--test'];
  const child = spawn(process.execPath, [...flags, run.file], {
    cwd: root,
    stdio: 'inherit',
    env: { ...process.env, ...settings },
  });
  const [code] = await once(child, 'exit');
  if (code !== 0)
    process.stdout.write(`\n✖ ${run.name}; again with: ${shown.join(' ')} node ${flags.join(' ')} ${run.file}\n`);
  return code === 0;
}

interface Options {
  rounds: number;
  seed: number;
  chosen: readonly Run[];
}

function readOptions(): Options {
  const { values } = parseArgs({
    options: {
      rounds: { type: 'string', default: '1' },
      seed: { type: 'string' },
      only: { type: 'string' },
      targets: { type: 'string', default: String(TARGETS_DEFAULT) },
      faults: { type: 'string', default: String(FAULTS_DEFAULT) },
      major: { type: 'string', default: '18' },
    },
  });
  const [rounds, targets, major] = [Number(values.rounds), Number(values.targets), Number(values.major)];
  const faults = Number(values.faults);
  const seed = values.seed === undefined ? randomInt(SEED_MAX) : Number(values.seed);
  if (!Number.isInteger(rounds) || rounds < 1)
    throw new Error(`expected a number of rounds from 1 on, found "${values.rounds}"`);
  if (!Number.isInteger(targets) || targets < 1)
    throw new Error(`expected a number of targets from 1 on, found "${values.targets}"`);
  if (!Number.isInteger(faults) || faults < 1)
    throw new Error(`expected a number of faults from 1 on, found "${values.faults}"`);
  if (!MAJORS.includes(major)) throw new Error(`expected one of ${MAJORS.join(', ')}; found "${values.major}"`);
  if (!Number.isInteger(seed) || seed < 0) throw new Error(`expected a seed from 0 on, found "${values.seed}"`);
  const all = [...historyRuns(targets, major), ...faultRuns(faults), ...changeRuns(major), ...runs];
  const chosen = all.filter(({ name }) => values.only === undefined || name === values.only);
  const names = [...new Set(all.map(({ name }) => name))];
  if (chosen.length === 0) throw new Error(`expected one of ${names.join(', ')}; found "${values.only}"`);
  return { rounds, seed, chosen };
}

async function main(): Promise<number> {
  let options: ReturnType<typeof readOptions>;
  try {
    options = readOptions();
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    return 2;
  }
  const failed: string[] = [];
  let { seed } = options;
  for (let round = 0; round < options.rounds; round++) {
    for (const run of options.chosen) {
      if (!(await runOnce(run, seed))) failed.push(`${run.name} (seed ${seed})`);
      seed = (seed + 1) % SEED_MAX;
    }
  }
  process.stdout.write(failed.length === 0 ? '\n✔ every round passed\n' : `\n✖ failed: ${failed.join(', ')}\n`);
  return failed.length === 0 ? 0 : 1;
}

process.exitCode = await main();
