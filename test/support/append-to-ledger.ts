/** A process of its own that appends entries to a ledger, for tests of several at once. Takes its options as JSON. */

import { openLedger } from '../../src/ledger/index.ts';
import { systemClock } from '../../src/lib/index.ts';
import { type Credential, openDiskStore, openRepository } from '../../src/repository/index.ts';

const options = JSON.parse(process.argv[2]!) as { place: string; credential: Credential; state: string; count: number };
const { place, credential, state, count } = options;
const repository = await openRepository({
  store: openDiskStore(place),
  credential,
  access: 'write',
  clock: systemClock,
});
const ledger = await openLedger(repository, state);
for (let i = 0; i < count; i++)
  await ledger.append({ action: 'test', outcome: 'done', subject: String(process.pid), facts: { i } });
await repository.close();
