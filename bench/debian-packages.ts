import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { copyFile, mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { HoldfastError, messageOf } from '../src/lib/index.ts';

const run = promisify(execFile);

/** What to fetch from Debian, and where it is unpacked. */
export interface DebianRoot {
  /** Such as `forky`. */
  suite: string;
  packages: readonly string[];
  /** Packages of the closure whose name begins so are left out: nothing that we run needs them. */
  without: readonly string[];
  /** Must not exist yet. */
  directory: string;
}

const keyring = '/usr/share/keyrings/debian-archive-keyring.gpg';
/** A package list prints long; the default of 1 MiB is near. */
const outputBytesMax = 16 * 1024 * 1024;

/**
 * Unpacks packages of a Debian suite, with all that they need down to the C library, into a directory that `chroot` can
 * enter. Nothing is installed: apt works on directories of its own, and its empty status file makes it name the whole
 * closure.
 *
 * Errors: BENCH_NOT_DEBIAN · BENCH_DOWNLOAD_FAILED (retryable).
 */
export async function unpackDebianRoot(root: DebianRoot): Promise<void> {
  await requireDebian();
  const aptDirectory = join(root.directory, 'apt');
  const debDirectory = join(root.directory, 'debs');
  for (const path of ['lists/partial', 'cache/archives/partial']) {
    await mkdir(join(aptDirectory, path), { recursive: true });
  }
  for (const path of [debDirectory, join(root.directory, 'root')]) await mkdir(path, { recursive: true });
  await writeFile(join(aptDirectory, 'status'), '');
  const source = `deb [signed-by=${keyring}] ${await readMirror()} ${root.suite} main\n`;
  await writeFile(join(aptDirectory, 'sources.list'), source);
  const apt = (args: readonly string[]) => runApt(aptDirectory, debDirectory, args);
  await apt(['update']);
  const names = await listClosure(apt, root);
  await apt(['download', ...names]);
  await unpack(debDirectory, join(root.directory, 'root'));
}

async function requireDebian(): Promise<void> {
  const release = await readFile('/etc/os-release', 'utf8').catch(() => ''); // Not there: not Debian.
  if (/^ID=debian$/m.test(release) && process.getuid?.() === 0 && existsSync(keyring)) return;
  throw new HoldfastError('BENCH_NOT_DEBIAN', 'cannot fetch the peers on this machine', {
    detail: 'Their packages are unpacked by apt and run by chroot, which needs Debian and root.',
    hints: ['Run the bench as root on Debian, in a container for example.'],
  });
}

/** The mirror that the machine itself uses. */
async function readMirror(): Promise<string> {
  const sources = await readFile('/etc/apt/sources.list.d/debian.sources', 'utf8').catch(() => ''); // Older layout below.
  const list = await readFile('/etc/apt/sources.list', 'utf8').catch(() => ''); // Neither: told below.
  const mirror = /^URIs:\s*(\S+)/m.exec(sources)?.[1] ?? /^deb\s+(?:\[[^\]]*\]\s+)?(\S+)/m.exec(list)?.[1];
  if (mirror !== undefined) return mirror;
  throw new HoldfastError('BENCH_NO_MIRROR', 'cannot fetch the peers: no package source of this machine is known', {
    detail: 'Expected a mirror in /etc/apt/sources.list.d/debian.sources or /etc/apt/sources.list, found none.',
    hints: ['Add one, as "apt-get update" needs it too.'],
  });
}

async function runApt(aptDirectory: string, cwd: string, args: readonly string[]): Promise<string> {
  const options = {
    'Dir::State::lists': join(aptDirectory, 'lists'),
    'Dir::State::status': join(aptDirectory, 'status'),
    'Dir::Cache': join(aptDirectory, 'cache'),
    'Dir::Etc::sourcelist': join(aptDirectory, 'sources.list'),
    'Dir::Etc::sourceparts': '/dev/null',
    'APT::Sandbox::User': 'root',
  };
  const flags = Object.entries(options).flatMap(([name, value]) => ['-o', `${name}=${value}`]);
  try {
    const { stdout } = await run('apt-get', ['-q', ...flags, ...args], { cwd, maxBuffer: outputBytesMax });
    return stdout;
  } catch (error) {
    throw new HoldfastError('BENCH_DOWNLOAD_FAILED', 'could not fetch the peers from Debian', {
      detail: messageOf(error),
      hints: ['Check that the machine reaches its Debian mirror: apt-get update.'],
      retryable: true,
      cause: error,
    });
  }
}

/** Names of the packages and of all they depend on, from the addresses that apt would fetch. */
async function listClosure(apt: (args: readonly string[]) => Promise<string>, root: DebianRoot): Promise<string[]> {
  const printed = await apt(['install', '--print-uris', '-y', '--no-install-recommends', ...root.packages]);
  const files = [...printed.matchAll(/^'[^']+' (\S+)_[^_\s]+_[^_\s]+\.deb /gm)].map((match) => match[1] ?? '');
  return files.filter((name) => !root.without.some((prefix) => name.startsWith(prefix)));
}

async function unpack(debDirectory: string, root: string): Promise<void> {
  for (const file of await readdir(debDirectory)) await run('dpkg', ['-x', join(debDirectory, file), root]);
  // Where packages were made for a merged /usr, the links are made by a package's script, which is not run.
  for (const link of ['bin', 'sbin', 'lib', 'lib64']) {
    if (!existsSync(join(root, link))) await symlink(`usr/${link}`, join(root, link));
  }
  for (const path of ['dev', 'etc', 'proc', 'tmp']) await mkdir(join(root, path), { recursive: true });
  for (const device of ['null', 'zero', 'random', 'urandom']) {
    await run('cp', ['-a', `/dev/${device}`, join(root, 'dev')]);
  }
  for (const file of ['passwd', 'group']) await copyFile(`/etc/${file}`, join(root, 'etc', file));
}
