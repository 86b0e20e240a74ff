/** `npm test`: the check, then every folder of tests against real parts. */
import { readdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { shareTestServers } from '../../test/support/shared-servers.ts';
import { runCheckParts } from './check-parts.ts';
import { conclude, findTests, root, runTests } from './node-tests.ts';

/** What fails early and quickly comes first; a folder that is not named here runs after these. */
const order = ['support', 'contract', 'property', 'fault', 'e2e'];

/** An end-to-end file has servers, workers and receivers at work all at once: more than two would only wait in turn. */
const endToEndConcurrency = Math.min(2, availableParallelism());

const folders = readdirSync(join(root, 'test'), { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map((entry) => entry.name)
  .sort((left, right) => rank(left) - rank(right));

function rank(folder: string): number {
  const place = order.indexOf(folder);
  return place === -1 ? order.length : place;
}

const parts = await runCheckParts();
await using servers = await shareTestServers();
parts.push(...servers.parts);
for (const folder of folders) {
  const files = findTests(`test/${folder}/**/*.test.ts`);
  if (files.length === 0) continue;
  parts.push(await runTests(folder, files, folder === 'e2e' ? endToEndConcurrency : availableParallelism()));
}
conclude('test', parts);
