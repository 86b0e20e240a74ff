import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** What this machine's user has set up must not change how a test goes. */
const plain = {
  ...{ GIT_CONFIG_GLOBAL: '/dev/null', GIT_CONFIG_NOSYSTEM: '1' },
  ...{ GIT_AUTHOR_NAME: 'Ann', GIT_AUTHOR_EMAIL: 'ann@shop.example' },
  ...{ GIT_COMMITTER_NAME: 'Ann', GIT_COMMITTER_EMAIL: 'ann@shop.example' },
};

/** Commits all that lies in a directory, which becomes a checkout of git if it is none, and gives the commit. */
export async function commitAll(directory: string, subject: string): Promise<string> {
  const git = async (...words: string[]) => {
    const { stdout } = await run('git', ['-C', directory, ...words], {
      env: { PATH: process.env.PATH ?? '', ...plain },
    });
    return stdout.trim();
  };
  await git('init', '--quiet');
  await git('add', '--all');
  await git('commit', '--quiet', '--message', subject);
  return await git('rev-parse', 'HEAD');
}
