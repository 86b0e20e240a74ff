import { appendFile } from 'node:fs/promises';
import { messageOf } from '../src/lib/index.ts';
import { createDataSet } from './data-set.ts';
import { measureFarStore } from './far-store.ts';
import { type BenchOptions, parseOptions, usage } from './options.ts';
import { fetchPeers } from './peers.ts';
import { formatReport, formatSample } from './report.ts';
import { type BenchResults, readMachineFacts, summarize } from './results.ts';
import { runRounds } from './rounds.ts';
import { startBenchServer } from './server.ts';

/**
 * Measures Holdfast beside its peers and says how they compare. It judges nothing: the exit code is 0 when everybody
 * who was asked ran, whatever the numbers, and 1 when somebody did not.
 */
async function runBench(options: BenchOptions): Promise<BenchResults> {
  const say = (text: string) => console.error(text);
  say('fetching the peers, if they are not there yet');
  const peers = await fetchPeers();
  const server = await startBenchServer(peers);
  try {
    say(`making the data set at scale ${options.scale}`);
    const dataSet = await createDataSet(server, options.scale);
    const samples =
      options.rows.length === 0 ? [] : await runRounds(peers, server, options, (sample) => say(formatSample(sample)));
    const far = options.far ? await measureFarStore(server, options, say) : null;
    return {
      measuredAt: new Date().toISOString(),
      machine: readMachineFacts(peers.postgresVersion),
      dataSet,
      rounds: options.rounds,
      rows: summarize(samples, options.rows),
      far,
      samples,
    };
  } finally {
    await server.stop();
  }
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
