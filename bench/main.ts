import { appendFile, chown, mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf } from '../src/lib/index.ts';
import { nobody } from '../test/support/scratch.ts';
import { createDataSet } from './data-set.ts';
import { type BenchOptions, parseOptions, usage } from './options.ts';
import { fetchPeers, type Peers } from './peers.ts';
import { formatReport, formatSample } from './report.ts';
import { type BenchResults, type RowResult, readMachineFacts, summarize } from './results.ts';
import type { BenchRow, Sample } from './row.ts';
import { type BenchServer, startBenchServer } from './server.ts';
import { packHoldfast } from './tools/index.ts';
import { dropSlots } from './workload.ts';

/**
 * Measures Holdfast beside its peers and says how they compare. It judges nothing: the exit code is 0 when everybody
 * who was asked ran, whatever the numbers, and 1 when somebody did not.
 */
async function runBench(options: BenchOptions): Promise<BenchResults> {
  say('fetching the peers, if they are not there yet');
  const peers = await fetchPeers();
  const server = await startBenchServer(peers);
  try {
    say('packing Holdfast');
    await packHoldfast(server.workplace.outside);
    say(`making the data set at scale ${options.scale}`);
    const dataSet = await createDataSet(server, options.scale);
    const samples: Sample[] = [];
    const rows: RowResult[] = [];
    for (const row of options.rows) rows.push(await runRow(row, { options, peers, server, samples }));
    return {
      measuredAt: new Date().toISOString(),
      machine: readMachineFacts(peers.postgresVersion),
      dataSet,
      rounds: options.rounds,
      rows,
      samples,
    };
  } finally {
    await server.stop();
  }
}

interface RunParts {
  options: BenchOptions;
  peers: Peers;
  server: BenchServer;
  samples: Sample[];
}

/** Everything that a row made goes when it ends; what it changed in the data stays, for whatever comes after it. */
async function runRow(row: BenchRow, { options, peers, server, samples }: RunParts): Promise<RowResult> {
  const notes: string[] = [];
  const workplace = join(server.workplace.outside, row.name);
  await row.run({
    ...{ peers, server, rounds: options.rounds, scale: options.scale },
    directory: async (name) => {
      const outside = join(workplace, name);
      await mkdir(outside, { recursive: true });
      for (const directory of [workplace, outside]) await chown(directory, nobody.uid, nobody.gid);
      return { outside, inside: join(server.workplace.inside, row.name, name) };
    },
    add: ({ name, version, setup }, round, measurement, storedBytes, sourceBytes) => {
      const entrant = { row: row.name, contender: name, version, setup };
      const sample = { ...entrant, round, storedBytes, sourceBytes, ...measurement };
      samples.push(sample);
      say(formatSample(sample));
    },
    note: (text) => notes.push(text),
  });
  await rm(workplace, { recursive: true, force: true });
  await dropSlots(server);
  return summarize(row, samples, notes);
}

function say(text: string): void {
  console.error(text);
}

async function main(): Promise<number> {
  let options: BenchOptions;
  try {
    options = parseOptions(process.argv.slice(2));
  } catch (error) {
    console.error(`${messageOf(error)}\n${usage}`);
    return 2;
  }
  const results = await runBench(options);
  const report = formatReport(results);
  console.log(report);
  if (options.record) await appendFile(new URL('RESULTS.md', import.meta.url), `\n${report}\n`);
  if (options.json) console.log(JSON.stringify(results));
  return 0;
}

try {
  process.exitCode = await main();
} catch (error) {
  console.error(`the bench did not finish: ${messageOf(error)}`);
  process.exitCode = 1;
}
