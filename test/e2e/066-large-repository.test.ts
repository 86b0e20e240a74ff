import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { rm } from 'node:fs/promises';
import { after, before, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { LargeRepositoryReport } from '../support/large-repository-runner.ts';
import { makeRepository } from '../support/repository.ts';
import { makeScratchDirectory } from '../support/scratch.ts';
import { countPacks, writeSyntheticIndex, writeSyntheticSnapshot } from '../support/synthetic-repository.ts';

/** `npm run campaign` takes 10 million. */
const CHUNKS = Number(process.env.HOLDFAST_CHUNKS ?? 300_000);
/** Of the whole process with the index of 10 million chunks in it. */
const LOADED_MIB_MAX = 256;
/** While it verifies a snapshot besides, on threads that have memory of their own. */
const VERIFIED_MIB_MAX = 400;

/** As bin/holdfast starts its own process. */
const nodeFlags = ['--disable-warning=ExperimentalWarning', '--max-semi-space-size=4', '--expose-gc'];
const runner = fileURLToPath(new URL('../support/large-repository-runner.ts', import.meta.url));

let scratch: string;
before(async () => {
  scratch = await makeScratchDirectory('large-repository');
});
after(() => rm(scratch, { recursive: true, force: true }));

it('a repository of very many chunks is opened and looked into within 256 MiB, and verified within 400', async (test) => {
  const { path, stateDirectory, repository } = await makeRepository(scratch);
  await writeSyntheticIndex(repository, CHUNKS);
  const inSnapshot = CHUNKS / 10;
  const snapshot = await writeSyntheticSnapshot(repository, inSnapshot);
  await repository.close();
  const words = [
    ...nodeFlags,
    '--conditions=holdfast-source',
    runner,
    path,
    String(CHUNKS),
    snapshot.id,
    stateDirectory,
  ];
  const environment = {
    ...process.env,
    MALLOC_ARENA_MAX: '2',
    MALLOC_MMAP_THRESHOLD_: '4000000',
    MALLOC_TRIM_THRESHOLD_: '16000000',
  };
  const { stdout } = await promisify(execFile)(process.execPath, words, { env: environment });
  const report = JSON.parse(stdout) as LargeRepositoryReport;
  test.diagnostic(JSON.stringify(report));
  assert.ok(report.count > CHUNKS, `${report.count} chunks, those of the tree included`);
  assert.deepEqual([report.found, report.foundUnknown], [10_000, 0]);
  assert.ok(report.bytesPerChunk < 12, `${report.bytesPerChunk} bytes of memory for each chunk`);
  // The packs of the synthetic chunks are not there, which a listing shows; the tree is, so that the loss is known file by file.
  assert.equal(report.missingPacks, countPacks(inSnapshot));
  assert.equal(report.lostFiles, inSnapshot / 10);
  assert.ok(report.loadedMiB < LOADED_MIB_MAX, `${report.loadedMiB} MiB with the index`);
  assert.ok(report.peakMiB < VERIFIED_MIB_MAX, `${report.peakMiB} MiB at most`);
});
