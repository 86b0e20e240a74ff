import type { PartResult } from '../../bin/tasks/node-tests.ts';
import { messageOf } from '../../src/lib/index.ts';
import { shareS3Server, whyNoS3Server } from './s3-server.ts';

/** The servers that all test files of one run use, and what is to be said of them in its summary. */
export interface SharedServers extends AsyncDisposable {
  readonly parts: readonly PartResult[];
}

/**
 * Starts what takes longer to start than most test files take: processes started from now on find it. When a server does not start, the part
 * has failed, and so will every file that wants one.
 */
export async function shareTestServers(): Promise<SharedServers> {
  if (whyNoS3Server() !== false) return { parts: [], [Symbol.asyncDispose]: async () => {} };
  const name = 'S3 server';
  const started = performance.now();
  const part = (passed: boolean): PartResult => {
    return { name, passed, seconds: (performance.now() - started) / 1000, skipped: [], failed: [] };
  };
  try {
    const server = await shareS3Server();
    return { parts: [part(true)], [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() };
  } catch (error) {
    process.stderr.write(`✖ ${name}: ${messageOf(error)}\n`);
    return { parts: [part(false)], [Symbol.asyncDispose]: async () => {} };
  }
}
