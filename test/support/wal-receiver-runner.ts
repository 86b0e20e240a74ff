/**
 * A WAL receiver as a process, for tests that kill it: `node wal-receiver-runner.ts '{"repositoryPath":…,"stateDirectory":…,"url":…}'`.
 *
 * It prints a line of JSON for each event. It ends when its standard input does, so that it never outlives the test.
 */
import { systemClock } from '../../src/lib/index.ts';
import { receiveWal } from '../../src/protect/wal/index.ts';
import { reopenRepository, targetOf } from './repository.ts';
import { walEventText } from './wal-event-text.ts';

const { repositoryPath, stateDirectory, url } = JSON.parse(process.argv[2]!) as Record<string, string>;
process.stdin.on('end', () => process.exit()).resume();

await receiveWal({
  repository: await reopenRepository(repositoryPath!),
  source: targetOf(url!),
  cluster: 'main',
  stateDirectory: stateDirectory!,
  clock: systemClock,
  signal: new AbortController().signal,
  onEvent: (event) => void process.stdout.write(`${walEventText(event)}\n`),
});
