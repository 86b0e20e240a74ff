import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, posix, relative, sep } from 'node:path';
import { promisify } from 'node:util';
import { HoldfastError, messageOf } from '../lib/index.ts';
import type { ResolvedPlan } from '../plan/index.ts';
import { readPlanAlone } from './plan-world.ts';

const run = promisify(execFile);

/** A plan is written by hand, and so is what it imports. */
const fileBytesMax = 16 * 1024 * 1024;
/** More files than any plan is made of: something else is read by mistake. */
const filesMax = 200;

/**
 * A plan as it was in a revision of the git checkout that it lies in, with the files that it imports by relative paths. Nothing of the checkout is changed.
 *
 * Errors: PLAN_REVISION_UNREADABLE, and those of reading a plan.
 */
export async function readPlanAtRevision(
  planFile: string,
  revision: string,
): Promise<{ plan: ResolvedPlan; commit: string }> {
  const file = await realpath(planFile);
  const git = async (...words: string[]) => {
    try {
      return (await run('git', ['-C', dirname(file), ...words], { maxBuffer: fileBytesMax })).stdout;
    } catch (error) {
      throw unreadable(planFile, revision, error);
    }
  };
  const root = await realpath((await git('rev-parse', '--show-toplevel')).trimEnd());
  const commit = (await git('rev-parse', '--verify', '--end-of-options', `${revision}^{commit}`)).trim();
  const path = relative(root, file).split(sep).join('/');
  const scratch = await mkdtemp(join(tmpdir(), 'holdfast-plan-'));
  try {
    // Its name is seen where the plan of then is refused.
    const directory = join(scratch, commit.slice(0, 12));
    await mkdir(directory);
    // Without one Node would guess what kind of modules these are, and say so.
    await writeFile(join(directory, 'package.json'), '{"type":"module"}');
    const isThere = async (each: string) => (await git('ls-tree', '--full-tree', '-z', commit, '--', each)) !== '';
    const taken = await takeOut(path, directory, isThere, (each) => git('show', `${commit}:${each}`));
    if (!taken) throw unreadable(planFile, revision, null);
    return { plan: await readPlanAlone(join(directory, path)), commit };
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

/** Writes a file and all that it imports by relative paths, directly or not, below a directory; false when that is more than any plan is made of. */
async function takeOut(
  first: string,
  directory: string,
  isThere: (path: string) => Promise<boolean>,
  show: (path: string) => Promise<string>,
): Promise<boolean> {
  const waiting = new Set([first]);
  for (const path of waiting) {
    // A set grows while it is gone through, and has each path once.
    if (waiting.size > filesMax) return false;
    // What lies outside of the checkout is in no revision. What is not there may be imported by a comment alone; where it is not, reading the plan says so.
    if (path.startsWith('../') || (path !== first && !(await isThere(path)))) continue;
    const text = await show(path);
    await mkdir(dirname(join(directory, path)), { recursive: true });
    await writeFile(join(directory, path), text);
    for (const [, imported] of text.matchAll(/\b(?:from|import)\s*\(?\s*['"](\.{1,2}\/[^'"]+)['"]/g)) {
      waiting.add(posix.normalize(posix.join(posix.dirname(path), imported!)));
    }
  }
  return true;
}

/** `cause` is what git ended with; `null` when there are too many files. */
function unreadable(planFile: string, revision: string, cause: unknown): HoldfastError {
  return new HoldfastError('PLAN_REVISION_UNREADABLE', `cannot read the plan "${planFile}" at revision "${revision}"`, {
    detail: whyUnreadable(cause),
    hints: ['`git log` with the name of the plan lists the revisions that have it.'],
    cause,
  });
}

function whyUnreadable(cause: unknown): string {
  if (cause === null) return `Expected a plan of at most ${filesMax} files, found that it imports more.`;
  if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT')
    return 'Expected git, which is not installed.';
  const words = cause instanceof Error && 'stderr' in cause ? String(cause.stderr) : messageOf(cause);
  return `Git said: ${words.trim().split('\n')[0]!.replace(/\.$/, '')}.`;
}
