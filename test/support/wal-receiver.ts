import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
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
import type { PostgresServer } from './postgres-server.ts';
import { targetOf } from './repository.ts';

/** A receiver that does not do what is awaited within this time never will. */
const WAIT_MS_MAX = 60_000;

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
  const seen = async (what: string, isIt: (event: WalEvent) => boolean): Promise<WalEvent> => {
    let looked = 0;
    const look = () => {
      for (; looked < events.length; looked++) if (isIt(events[looked]!)) return events[looked]!;
      return null;
    };
    const patience = new AbortController();
    const late = systemClock.sleep(WAIT_MS_MAX, patience.signal);
    try {
      for (;;) {
        const found = look();
        if (found !== null) return found;
        if (hasEnded) await ended.then(() => assert.fail(`the receiver ended without: ${what}`));
        let watcher = () => {};
        const told = new Promise<'told'>((resolve) => {
          watcher = () => resolve('told');
          watchers.add(watcher);
        });
        const outcome = await Promise.race([told, late]);
        watchers.delete(watcher);
        if (outcome !== 'told') assert.fail(`waited for nothing: ${what}\n${tellEvents(events)}`);
      }
    } finally {
      patience.abort();
    }
  };
  const stopIt = () => {
    stop.abort();
    return ended;
  };
  return {
    events,
    seen,
    durable: async (lsn) => {
      await seen(`durable up to ${lsn}`, (event) => event.kind === 'progress' && event.progress.durableLsn >= lsn);
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
  const text = (_: string, value: unknown) => (typeof value === 'bigint' ? String(value) : value);
  return events
    .slice(-15)
    .map((event) => JSON.stringify(event, text))
    .join('\n');
}

/** A receiver in a process of its own, to be killed. */
export interface ReceiverProcess {
  /** The highest flush position that it has reported to the server, as far as it came to tell us. */
  readonly flushReported: bigint;
  /** Settled when it has told an event of this kind, for the n-th time. */
  told(kind: string, times?: number): Promise<void>;
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
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const counts = new Map<string, number>();
  const watchers = new Set<() => void>();
  let flushReported = 0n;
  createInterface({ input: child.stdout! }).on('line', (line) => {
    const { kind, lsn } = JSON.parse(line) as { kind: string; lsn?: string };
    counts.set(kind, (counts.get(kind) ?? 0) + 1);
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
  assert.equal(lineages.length, 1);
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
