import { chown, mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { nobody } from '../test/support/scratch.ts';
import { type ContenderName, createContender, measureDirectoryBytes, type RoundDirectory } from './contenders/index.ts';
import { type Measurement, measureCommand, runCommand } from './measure.ts';
import type { BenchOptions, RowName } from './options.ts';
import type { Peers } from './peers.ts';
import type { BenchServer } from './server.ts';

/** One run of one contender. */
export interface Sample extends Measurement {
  row: RowName;
  contender: ContenderName;
  version: string;
  setup: string;
  round: number;
  /** Of the repository after a backup; `undefined` where nothing is kept, and for restores. */
  storedBytes: number | undefined;
}

/**
 * Measures all contenders in turn, round by round, the order turned around each time: what one leaves to the next, in
 * caches or in the disk's queue, hits each of them. Every run counts.
 */
export async function runRounds(
  peers: Peers,
  server: BenchServer,
  options: BenchOptions,
  onSample: (sample: Sample) => void,
): Promise<Sample[]> {
  const samples: Sample[] = [];
  const expectedBytes = await measureTables(join(server.workplace.outside, 'data'));
  for (let round = 1; round <= options.rounds; round += 1) {
    const order = round % 2 === 1 ? options.contenders : options.contenders.toReversed();
    const directory = await makeDirectory(server, `round-${round}`);
    const entrants = [];
    for (const name of order) {
      const own = await makeDirectory(server, join(`round-${round}`, name));
      const contender = createContender(name, peers, server, own);
      await contender.prepare();
      entrants.push(contender);
    }
    const add = (sample: Sample) => {
      samples.push(sample);
      onSample(sample);
    };
    for (const { name: contender, version, setup, backup, measureStoredBytes } of entrants) {
      await checkpoint(server);
      if (!options.rows.includes('full')) await runCommand(backup);
      else {
        const measurement = await measureCommand(backup, server.pid);
        add({ row: 'full', contender, version, setup, round, storedBytes: await measureStoredBytes(), ...measurement });
      }
    }
    for (const { name: contender, version, setup, restore } of options.rows.includes('restore') ? entrants : []) {
      if (restore === undefined) continue;
      const measurement = await measureCommand(restore.command, server.pid);
      await requireRestored(contender, restore.directory, expectedBytes);
      await rm(restore.directory, { recursive: true });
      add({ row: 'restore', contender, version, setup, round, storedBytes: undefined, ...measurement });
    }
    await rm(directory.outside, { recursive: true });
  }
  return samples;
}

async function makeDirectory(server: BenchServer, name: string): Promise<RoundDirectory> {
  const outside = join(server.workplace.outside, name);
  await mkdir(outside);
  await chown(outside, nobody.uid, nobody.gid);
  return { outside, inside: join(server.workplace.inside, name) };
}

/** A backup begins with a checkpoint; nobody is to pay for the pages of the one before. */
async function checkpoint(server: BenchServer): Promise<void> {
  const client = await server.connect();
  try {
    await client.query('CHECKPOINT');
  } finally {
    await client.end();
  }
}

/** The bytes below `base`, save for the files that every backup leaves out. */
async function measureTables(dataDirectory: string): Promise<number> {
  return await measureDirectoryBytes(join(dataDirectory, 'base'), 'pg_internal.init*');
}

/** Who restores less than there is, or nothing, is not fast but wrong. */
async function requireRestored(contender: ContenderName, directory: string, expectedBytes: number): Promise<void> {
  const found = await measureTables(directory);
  if (found !== expectedBytes) {
    throw new Error(`${contender} restored ${found} bytes below base, expected ${expectedBytes}`);
  }
}
