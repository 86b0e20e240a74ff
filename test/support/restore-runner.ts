/**
 * A restore as a process, for tests that kill it: `node restore-runner.ts '{"repositoryPath":…,"stateDirectory":…,"into":…,"stopAt":…}'`.
 *
 * At the stage `stopAt`, or at progress number `afterSteps` in it, it says so, with what the stage had counted by then, and stands still for ever,
 * as if time had stopped for it. It ends when its standard input does, unless it stands still: then the test kills it.
 */
import { writeSync } from 'node:fs';
import { silentProgress, systemClock } from '../../src/lib/index.ts';
import { parseLsn } from '../../src/postgres/index.ts';
import { runRestore } from '../../src/restore/index.ts';
import { reopenRepository } from './repository.ts';
import { nobody, runsAsRoot } from './scratch.ts';

const given = JSON.parse(process.argv[2]!) as {
  repositoryPath: string;
  stateDirectory: string;
  into: string;
  /** Not given, it goes on until it is done or killed. */
  stopAt?: string;
  afterSteps?: number;
  delta?: boolean;
  cloneFrom?: string;
  /** As text; the newest when not given. */
  lsn?: string;
  binDirectory?: string;
};
process.stdin.on('end', () => process.exit()).resume();

let stage = '';
let steps = 0;
/** What the stage has counted so far: bytes that were written, for one. */
let counted = 0;

function standStill(): void {
  // Written at once: nothing that waits for the event loop would come out any more.
  writeSync(1, `${JSON.stringify({ still: stage, counted })}\n`);
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
}

await runRestore({
  repository: await reopenRepository(given.repositoryPath),
  stateDirectory: given.stateDirectory,
  clock: systemClock,
  target: given.lsn === undefined ? { kind: 'latest' } : { kind: 'lsn', lsn: parseLsn(given.lsn) },
  delta: given.delta ?? false,
  ...(given.cloneFrom === undefined ? {} : { cloneFrom: given.cloneFrom }),
  into: given.into,
  ...(runsAsRoot ? { owner: nobody } : {}),
  ...(given.binDirectory === undefined
    ? {}
    : { start: { binDirectory: given.binDirectory, fetch: { aheadMax: 1, readsMax: 1, silenceSecondsMax: 1 } } }),
  progress: {
    ...silentProgress,
    begin: (name) => {
      stage = name;
      counted = 0;
      if (stage === given.stopAt && given.afterSteps === undefined) standStill();
    },
    advance: (amount) => {
      counted += amount;
      if (stage === given.stopAt) steps += 1;
      if (steps === given.afterSteps) standStill();
    },
  },
});
process.exit();
