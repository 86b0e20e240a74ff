import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { it } from 'node:test';
import { runHoldfast } from '../../test/support/command-line.ts';
import { scratchFor } from '../../test/support/memory-repository.ts';

it('a command says that WAL of an outage waits on this machine, as it is in no place yet', async (test) => {
  const scratch = await scratchFor(test, 'waiting');
  const [place, keyFile, stateDirectory] = ['place', 'key', 'state'].map((name) => join(scratch, name));
  await writeFile(keyFile!, randomBytes(32).toString('hex'), { mode: 0o600 });
  const environment = {
    ...{ HOLDFAST_REPOSITORY: place!, HOLDFAST_KEY_FILE: keyFile!, HOLDFAST_STATE_DIR: stateDirectory! },
  };
  const made = await runHoldfast(['repository', 'init', '--json'], { environment });
  assert.equal(made.code, 0, made.stderr);
  const id = /[0-9a-f]{32}/.exec(made.stdout)![0];
  assert.doesNotMatch((await runHoldfast(['list'], { environment })).stderr, /newest WAL/);
  const fragments = join(stateDirectory!, 'outage', id, 'wal/7/lineage/fragments');
  await mkdir(fragments, { recursive: true });
  await writeFile(join(fragments, '1'), 'WAL');
  const told = await runHoldfast(['list'], { environment });
  assert.match(told.stderr, /The primary may lack the newest WAL: 1 object of it wait/);
});
