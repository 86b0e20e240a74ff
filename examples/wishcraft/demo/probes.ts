import { setTimeout as sleep } from 'node:timers/promises';
import { HoldfastError, messageOf } from '../../../src/lib/index.ts';
import type { RunningApp } from '../app.ts';

/** One request to the application, and what it should answer. */
interface Probe {
  readonly name: string;
  readonly path: string;
  readonly withToken: boolean;
  readonly expected: number;
}

/** How a probe went; `found` is `null` when no answer came. */
export interface ProbeResult {
  readonly name: string;
  readonly expected: number;
  readonly found: number | null;
}

/** What the plan asks after each recovery. `/api/registry-db` answers 200 only when a row of known content is there. */
const probes: readonly Probe[] = [
  { name: '/health', path: '/health', withToken: false, expected: 200 },
  { name: '/performance', path: '/performance', withToken: false, expected: 200 },
  { name: '/app', path: '/app', withToken: false, expected: 302 },
  { name: '/app signed in', path: '/app', withToken: true, expected: 200 },
  { name: '/api/registry-db', path: '/api/registry-db', withToken: true, expected: 200 },
];

/** Longer than the application itself waits for its database. */
const answerWaitMsMax = 10_000;

/** Asks the application everything once. */
export function probeAll(app: RunningApp): Promise<ProbeResult[]> {
  return Promise.all(probes.map((probe) => ask(app, probe)));
}

/** True when an answer is the expected one. */
export function isGreen({ expected, found }: ProbeResult): boolean {
  return found === expected;
}

/** Asks until every probe is green, and gives the answers. Errors: DEMO_PROBES_RED. */
export async function waitForGreen(app: RunningApp, signal: AbortSignal): Promise<ProbeResult[]> {
  const deadlineMs = performance.now() + probesWaitMsMax;
  for (;;) {
    const results = await probeAll(app);
    if (results.every(isGreen)) return results;
    if (performance.now() > deadlineMs) {
      throw new HoldfastError('DEMO_PROBES_RED', 'the application does not serve again', {
        detail: `After ${probesWaitMsMax / 1000} seconds: ${results.map(formatProbe).join(', ')}.`,
      });
    }
    await sleep(probeIntervalMs, undefined, { signal });
  }
}

/** Watches as a monitor would, which does not wake people for a single bad answer. Errors: DEMO_PROBES_GREEN. */
export async function waitForAlarm(app: RunningApp, signal: AbortSignal): Promise<ProbeResult[]> {
  const deadlineMs = performance.now() + probesWaitMsMax;
  for (let redRounds = 0; ; ) {
    const results = await probeAll(app);
    redRounds = results.every(isGreen) ? 0 : redRounds + 1;
    if (redRounds === alarmRounds) return results;
    if (performance.now() > deadlineMs) {
      throw new HoldfastError('DEMO_PROBES_GREEN', 'the application does not notice the disaster', {
        detail: `After ${probesWaitMsMax / 1000} seconds: ${results.map(formatProbe).join(', ')}.`,
      });
    }
    await sleep(probeIntervalMs, undefined, { signal });
  }
}

const probesWaitMsMax = 120_000;
/** A real monitor asks every few seconds; a demo has less time. */
const probeIntervalMs = 250;
const alarmRounds = 3;

/** `/health 200`, or `/health 503 instead of 200`. */
export function formatProbe(result: ProbeResult): string {
  const found = result.found ?? 'no answer';
  return isGreen(result) ? `${result.name} ${found}` : `${result.name} ${found} instead of ${result.expected}`;
}

async function ask(app: RunningApp, probe: Probe): Promise<ProbeResult> {
  const { name, expected } = probe;
  try {
    const response = await fetch(`${app.url}${probe.path}`, {
      redirect: 'manual',
      headers: probe.withToken ? { authorization: `Bearer ${app.token}` } : {},
      signal: AbortSignal.timeout(answerWaitMsMax),
    });
    await response.arrayBuffer();
    return { name, expected, found: response.status };
  } catch (error) {
    // No answer is an answer: it is what the probe is there to find. Anything else would be a fault of ours.
    if (error instanceof TypeError || (error instanceof DOMException && error.name === 'TimeoutError')) {
      return { name, expected, found: null };
    }
    throw new HoldfastError('DEMO_PROBE_FAILED', `could not ask "${name}": ${messageOf(error)}`, { cause: error });
  }
}
