/**
 * The long fault runs: tests that `npm test` draws a sample of, with full counts and a new seed each round.
 *
 *   npm run campaign -- [--rounds N] [--seed N] [--only NAME]
 *
 * A failing round prints the seed with which it can be run again. Exit codes: 0 all rounds passed, 1 one failed, 2 wrong usage.
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

const runs: readonly Run[] = [
  {
    name: 'restore-history',
    file: 'test/property/restore-history.test.ts',
    counts: { HOLDFAST_RESTORE_POINTS: '1000' },
  },
  { name: 'flipped-bit', file: 'test/fault/flipped-bit.test.ts', counts: { HOLDFAST_BITS_PER_KIND: '60' } },
  { name: 'disk-durability', file: 'test/fault/disk-durability.test.ts', counts: {} },
  { name: 'backup-stops', file: 'test/fault/backup-stops.test.ts', counts: {} },
  { name: 'wal-stops', file: 'test/fault/wal-stops.test.ts', counts: {} },
  { name: 'restore-stops', file: 'test/fault/restore-stops.test.ts', counts: {} },
  { name: 'wal-stream', file: 'test/e2e/020-wal-stream.test.ts', counts: {} },
];

/** Seeds stay below this, so that they are easy to type. */
const SEED_MAX = 2 ** 31;

const root = fileURLToPath(new URL('..', import.meta.url));

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
  if (code !== 0) process.stdout.write(`\n✖ ${run.name}; again with: ${shown.join(' ')} node --test ${run.file}\n`);
  return code === 0;
}

function readOptions(): { rounds: number; seed: number; chosen: readonly Run[] } {
  const { values } = parseArgs({
    options: { rounds: { type: 'string', default: '1' }, seed: { type: 'string' }, only: { type: 'string' } },
  });
  const rounds = Number(values.rounds);
  const seed = values.seed === undefined ? randomInt(SEED_MAX) : Number(values.seed);
  const chosen = runs.filter(({ name }) => values.only === undefined || name === values.only);
  if (!Number.isInteger(rounds) || rounds < 1)
    throw new Error(`expected a number of rounds from 1 on, found "${values.rounds}"`);
  if (!Number.isInteger(seed) || seed < 0) throw new Error(`expected a seed from 0 on, found "${values.seed}"`);
  if (chosen.length === 0)
    throw new Error(`expected one of ${runs.map(({ name }) => name).join(', ')}; found "${values.only}"`);
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
  for (let round = 0; round < options.rounds; round++) {
    const seed = (options.seed + round) % SEED_MAX;
    for (const run of options.chosen) if (!(await runOnce(run, seed))) failed.push(`${run.name} (seed ${seed})`);
  }
  process.stdout.write(failed.length === 0 ? '\n✔ every round passed\n' : `\n✖ failed: ${failed.join(', ')}\n`);
  return failed.length === 0 ? 0 : 1;
}

process.exitCode = await main();
