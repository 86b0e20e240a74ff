import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { inspect } from 'node:util';
import { type Clock, systemClock } from '../../src/lib/index.ts';
import { type ConnectionTarget, parseLsn } from '../../src/postgres/index.ts';
import {
  describeContinuity,
  type LineageInventory,
  readSegment,
  readWalInventory,
  receiveWal,
  type WalEvent,
  type WalReceiverOptions,
  type WalReceiverResult,
} from '../../src/protect/wal/index.ts';
import type { Repository } from '../../src/repository/index.ts';
import { endWithTests } from './end-with-tests.ts';
import type { PostgresServer } from './postgres-server.ts';
import { targetOf } from './repository.ts';
import { walEventText } from './wal-event-text.ts';

/** A receiver that does not do what is awaited within this time never will. */
const WAIT_MS_MAX = 60_000;
/** Of the last of them, when a test fails. */
const EVENTS_TOLD = 15;

/** A receiver in this process, with all that it told. */
export interface RunningReceiver {
  readonly events: WalEvent[];
  /** The first event, from now on or before, that is meant; fails the test when none comes. */
  seen(what: string, isIt: (event: WalEvent) => boolean): Promise<WalEvent>;
  /** Settled when WAL is durable up to `lsn` and the receiver has said so. */
  durable(lsn: bigint): Promise<void>;
  /** How it ended; rejected with what made it fail. */
  readonly ended: Promise<WalReceiverResult>;
  stop(): Promise<WalReceiverResult>;
  [Symbol.asyncDispose](): Promise<void>;
}

type Given = Omit<WalReceiverOptions, 'signal' | 'onEvent' | 'clock' | 'cluster' | 'source'> & {
  clock?: Clock;
  cluster?: string;
  source: ConnectionTarget | string;
  onEvent?: (event: WalEvent) => void;
};

/** Starts a receiver of the cluster "main" unless said otherwise. */
export function startReceiver(given: Given): RunningReceiver {
  const stop = new AbortController();
  const events: WalEvent[] = [];
  const watchers = new Set<() => void>();
  const ended = receiveWal({
    clock: systemClock,
    cluster: 'main',
    ...given,
    source: typeof given.source === 'string' ? targetOf(given.source) : given.source,
    signal: stop.signal,
    onEvent: (event) => {
      events.push(event);
      given.onEvent?.(event);
      for (const watcher of watchers) watcher();
    },
  });
  let hasEnded = false;
  const noteEnd = () => {
    hasEnded = true;
    for (const watcher of watchers) watcher();
  };
  ended.then(noteEnd, noteEnd);
  /** The next event, or the end, within so long; false when neither comes. */
  const hears = async (ms: number): Promise<boolean> => {
    const patience = new AbortController();
    const told = Promise.withResolvers<true>();
    const watcher = () => told.resolve(true);
    watchers.add(watcher);
    const late = systemClock.sleep(Math.max(ms, 0), patience.signal).then(() => false);
    try {
      return await Promise.race([told.promise, late]);
    } finally {
      watchers.delete(watcher);
      patience.abort();
    }
  };
  /** `isNearer`: it is on its way, so that it may take as long again. */
  const seen = async (
    what: string,
    isIt: (event: WalEvent) => boolean,
    isNearer: (event: WalEvent) => boolean = () => false,
  ): Promise<WalEvent> => {
    let until = systemClock.monotonic() + WAIT_MS_MAX;
    for (let looked = 0; ; ) {
      for (; looked < events.length; looked++) {
        const event = events[looked]!;
        if (isIt(event)) return event;
        if (isNearer(event)) until = systemClock.monotonic() + WAIT_MS_MAX;
      }
      if (hasEnded) await ended.then(() => assert.fail(`the receiver ended without: ${what}`));
      if (!(await hears(until - systemClock.monotonic())))
        assert.fail(`waited for nothing: ${what}\n${tellEvents(events)}`);
    }
  };
  const stopIt = () => {
    stop.abort();
    return ended;
  };
  return {
    events,
    seen: (what, isIt) => seen(what, isIt),
    durable: async (lsn) => {
      // How much there is depends on how long a load went on, and that on the machine.
      let reached = -1n;
      const durableIn = (event: WalEvent) => (event.kind === 'progress' ? event.progress.durableLsn : -1n);
      const isNearer = (event: WalEvent) => {
        const isBehind = durableIn(event) <= reached;
        if (!isBehind) reached = durableIn(event);
        return !isBehind;
      };
      await seen(`durable up to ${lsn}`, (event) => durableIn(event) >= lsn, isNearer);
    },
    ended,
    stop: stopIt,
    // A test that has failed already is not helped by another error.
    [Symbol.asyncDispose]: () =>
      stopIt().then(
        () => {},
        () => {},
      ),
  };
}

function tellEvents(events: readonly WalEvent[]): string {
  return events.slice(-EVENTS_TOLD).map(walEventText).join('\n');
}

/** A receiver in a process of its own, to be killed. */
export interface ReceiverProcess {
  /** The highest flush position that it has reported to the server, as far as it came to tell us. */
  readonly flushReported: bigint;
  /** Settled when it has told an event of this kind, for the n-th time. */
  told(kind: string, times?: number): Promise<void>;
  /** What it told last, and how it ended if it did. */
  describe(): string;
  kill9(): Promise<void>;
}

const RUNNER = fileURLToPath(new URL('./wal-receiver-runner.ts', import.meta.url));

/** Starts `wal-receiver-runner.ts` for the cluster "main". */
export function startReceiverProcess(options: {
  repositoryPath: string;
  stateDirectory: string;
  url: string;
}): ReceiverProcess {
  const child: ChildProcess = spawn(process.execPath, ['--no-warnings', RUNNER, JSON.stringify(options)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  endWithTests(child);
  let ending = 'It runs.';
  const exited = new Promise<void>((resolve) =>
    child.once('exit', (code, signal) => {
      ending = `It ended with ${code ?? signal}.`;
      resolve();
    }),
  );
  const lastLines: string[] = [];
  const counts = new Map<string, number>();
  const watchers = new Set<() => void>();
  let flushReported = 0n;
  createInterface({ input: child.stdout! }).on('line', (line) => {
    const { kind, lsn } = JSON.parse(line) as { kind: string; lsn?: string };
    counts.set(kind, (counts.get(kind) ?? 0) + 1);
    lastLines.push(`${new Date().toISOString()} ${line}`);
    if (lastLines.length > EVENTS_TOLD) lastLines.shift();
    if (kind === 'flush-reported') flushReported = BigInt(lsn!);
    for (const watcher of watchers) watcher();
  });
  return {
    get flushReported() {
      return flushReported;
    },
    told: async (kind, times = 1) => {
      const patience = new AbortController();
      const late = systemClock.sleep(WAIT_MS_MAX, patience.signal).then(() => 'late' as const);
      while ((counts.get(kind) ?? 0) < times) {
        let watcher = () => {};
        const told = new Promise<'told'>((resolve) => {
          watcher = () => resolve('told');
          watchers.add(watcher);
        });
        const outcome = await Promise.race([told, late, exited.then(() => 'gone' as const)]);
        watchers.delete(watcher);
        assert.equal(outcome, 'told', `waited for ${times} × "${kind}"`);
      }
      patience.abort();
    },
    describe: () => [ending, ...lastLines].join('\n'),
    kill9: async () => {
      child.kill('SIGKILL');
      await exited;
    },
  };
}

/** The only lineage of a repository. */
export async function onlyLineage(repository: Repository): Promise<LineageInventory> {
  const { lineages, damaged } = await readWalInventory(repository);
  assert.deepEqual(damaged, []);
  const forks = lineages.flatMap(({ header }) => header.parent ?? []);
  assert.equal(lineages.length, 1, `one lineage, and not ${lineages.length}: ${inspect(forks)}`);
  return lineages[0]!;
}

/** Where the server's WAL is flushed to. */
export async function flushLsnOf(server: PostgresServer): Promise<bigint> {
  const [row] = await server.query<{ lsn: string }>('SELECT pg_current_wal_flush_lsn() AS lsn');
  return parseLsn(row!.lsn);
}

/**
 * Compares everything that is stored of a lineage's newest history with the server's own files, which must be there still. Gives the end of the
 * last run and how many runs there are.
 */
export async function compareWithServer(
  repository: Repository,
  server: PostgresServer,
  lineage: LineageInventory,
): Promise<{ end: bigint; runs: number; segments: number }> {
  const inventory = await readWalInventory(repository);
  const { runs, timeline } = describeContinuity(lineage);
  const size = BigInt(lineage.header.segmentBytes);
  let segments = 0;
  for (const run of runs) {
    for (let segmentNumber = run.start / size; segmentNumber * size < run.end; segmentNumber++) {
      const stored = await readSegment(repository, inventory, { lineage: lineage.lineage, timeline, segmentNumber });
      const file = await readFile(join(server.dataDirectory, 'pg_wal', stored.name));
      const valid = Number(stored.validUntil - segmentNumber * size);
      assert.ok(
        file.subarray(0, valid).equals(stored.bytes.subarray(0, valid)),
        `${stored.name} differs from the server's`,
      );
      segments += 1;
    }
  }
  return { end: runs.at(-1)?.end ?? 0n, runs: runs.length, segments };
}
