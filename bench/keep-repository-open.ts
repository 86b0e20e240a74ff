/** The program of `OpenRepository`: opens a repository, and for each line on its standard input takes an increment. It ends with its input. */
import { createInterface } from 'node:readline';
import { silentProgress, systemClock } from '../src/lib/index.ts';
import { parseConnectionString } from '../src/postgres/index.ts';
import { runBackup } from '../src/protect/backup/index.ts';
import { openRepository, openStore } from '../src/repository/index.ts';
import { benchCluster } from './tools/index.ts';

const given = JSON.parse(process.argv[2]!) as {
  repository: string;
  keyFile: string;
  stateDirectory: string;
  url: string;
};
const { stateDirectory } = given;
const repository = await openRepository({
  store: openStore(given.repository, {}),
  credential: { kind: 'key-file', path: given.keyFile },
  access: 'write',
  clock: systemClock,
  stateDirectory,
});
const source = parseConnectionString(given.url, { variables: {} });
console.log('open');
for await (const line of createInterface({ input: process.stdin })) {
  if (line !== 'backup') throw new Error(`"${line}" is not known here`);
  const { snapshot } = await runBackup({
    ...{ repository, source, cluster: benchCluster, stateDirectory, clock: systemClock, progress: silentProgress },
    checkpoint: 'fast',
    type: 'incremental',
  });
  const { reading } = snapshot.details as { reading?: { manner: string } };
  if (reading?.manner !== 'increment') throw new Error('the increment was none: everything was read');
  console.log('done');
}
await repository.close();
