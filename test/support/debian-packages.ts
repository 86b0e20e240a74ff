import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { HoldfastError, messageOf } from '../../src/lib/index.ts';

const run = promisify(execFile);

/** What to fetch from Debian, and where it is unpacked. */
export interface DebianPackages {
  /** Such as `forky`. */
  suite: string;
  /** Fetched with all that they depend on, down to the C library. */
  packages: readonly string[];
  /** Fetched without what they depend on: for programs that need nothing more than `packages` bring. */
  alone?: readonly string[];
  /** Packages of the closure whose name begins so are left out: nothing that we run needs them. */
  without: readonly string[];
  /** Becomes the root of the unpacked files; must not exist yet. */
  directory: string;
}

const keyring = '/usr/share/keyrings/debian-archive-keyring.gpg';
/** A package list prints long; the default of 1 MiB is near. */
const outputBytesMax = 16 * 1024 * 1024;
/** A moving suite may change between its list and a download, and a mirror may be slow for a moment: each attempt begins anew. */
const attemptsMax = 3;
const pauseMs = 3_000;

/** Why Debian's packages cannot be unpacked on this machine; null where they can. */
export function whyNotDebian(): string | null {
  if (existsSync('/etc/debian_version') && existsSync('/usr/bin/apt-get') && existsSync(keyring)) return null;
  return `Expected Debian with apt-get and "${keyring}"; this is another system.`;
}

/**
 * Unpacks packages of a Debian suite into a directory. Nothing is installed: apt works on directories of its own, and its empty status file
 * makes it name the whole closure.
 *
 * Errors: DEBIAN_REQUIRED · DEBIAN_MIRROR_ABSENT · DEBIAN_DOWNLOAD_FAILED (retryable).
 */
export async function unpackDebianPackages(wanted: DebianPackages): Promise<void> {
  const missing = whyNotDebian();
  if (missing !== null) {
    throw new HoldfastError('DEBIAN_REQUIRED', `cannot fetch packages of Debian ${wanted.suite} on this machine`, {
      detail: missing,
      hints: ['Run this on Debian, in a container for example.'],
    });
  }
  const mirror = await readMirror();
  const work = `${wanted.directory}.apt`;
  try {
    const archives = await fetchWithRetries(wanted, mirror, work);
    await mkdir(wanted.directory, { recursive: true });
    for (const archive of archives) await run('dpkg', ['-x', archive, wanted.directory]);
    // Where packages were made for a merged /usr, the links are made by a package's script, which is not run.
    for (const link of ['bin', 'sbin', 'lib', 'lib64']) {
      if (!existsSync(join(wanted.directory, link))) await symlink(`usr/${link}`, join(wanted.directory, link));
    }
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** Where unpacked packages have their libraries, such as `usr/lib/x86_64-linux-gnu`. */
export async function findLibraries(root: string): Promise<string> {
  return join('usr/lib', (await readdir(join(root, 'usr/lib'))).find((name) => name.endsWith('-linux-gnu')) ?? '');
}

/**
 * Makes a program of the unpacked packages startable by a path of its own. The program is newer than the C library of the machine, so it is
 * started by the dynamic loader that came with it. Unlike in a chroot it sees the machine's files as they are, and needs no root.
 *
 * `root` lies beside the directory of `path`; all may be moved together. `privateLibraries` is the folder among the libraries in which the
 * program's own lie, where it has some.
 */
export async function writeLauncher(
  root: string,
  program: string,
  path: string,
  privateLibraries?: string,
): Promise<void> {
  const libraries = await findLibraries(root);
  // Packages of releases before the merged /usr have the loader, and some libraries, without "usr".
  const folders = [libraries, libraries.replace(/^usr\//, '')].filter((folder) => existsSync(join(root, folder)));
  const names = await Promise.all(folders.map((folder) => readdir(join(root, folder))));
  const loaders = folders.flatMap((folder, i) =>
    names[i]!.flatMap((name) => (name.startsWith('ld-linux') ? `$root/${folder}/${name}` : [])),
  );
  const searched = folders.map((folder) => `$root/${folder}`);
  if (privateLibraries !== undefined) searched.push(`$root/${libraries}/${privateLibraries}`);
  if (loaders[0] === undefined) throw new Error('the packages of Debian brought no dynamic loader');
  if (!existsSync(join(root, program))) throw new Error(`the packages of Debian brought no "${program}"`);
  await writeFile(
    path,
    `#!/bin/sh
root="$(dirname "$0")/${relative(dirname(path), root)}"
exec "${loaders[0]}" --library-path "${searched.join(':')}" --argv0 "$0" "$root/${program}" "$@"
`,
    { mode: 0o755 },
  );
}

/** The mirror that the machine itself uses. */
async function readMirror(): Promise<string> {
  const sources = await readFile('/etc/apt/sources.list.d/debian.sources', 'utf8').catch(() => ''); // Older layout below.
  const list = await readFile('/etc/apt/sources.list', 'utf8').catch(() => ''); // Neither: told below.
  const mirror = /^URIs:\s*(\S+)/m.exec(sources)?.[1] ?? /^deb\s+(?:\[[^\]]*\]\s+)?(\S+)/m.exec(list)?.[1];
  if (mirror !== undefined) return mirror;
  throw new HoldfastError('DEBIAN_MIRROR_ABSENT', 'cannot fetch packages: no package source of this machine is known', {
    detail: 'Expected a mirror in /etc/apt/sources.list.d/debian.sources or /etc/apt/sources.list, found none.',
    hints: ['Add one, as "apt-get update" needs it too.'],
  });
}

/** Gives the paths of the downloaded archives. */
async function fetchWithRetries(wanted: DebianPackages, mirror: string, work: string): Promise<string[]> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await fetchOnce(wanted, mirror, work);
    } catch (error) {
      if (attempt === attemptsMax) throw downloadFailed(wanted, mirror, error);
      await rm(work, { recursive: true, force: true });
      await delay(pauseMs * attempt);
    }
  }
}

async function fetchOnce(wanted: DebianPackages, mirror: string, work: string): Promise<string[]> {
  const archives = join(work, 'debs');
  for (const path of ['lists/partial', 'cache/archives/partial', 'debs']) {
    await mkdir(join(work, path), { recursive: true });
  }
  await writeFile(join(work, 'status'), '');
  await writeFile(join(work, 'sources.list'), `deb [signed-by=${keyring}] ${mirror} ${wanted.suite} main\n`);
  const apt = (args: readonly string[]) => runApt(work, archives, args);
  await apt(['update', '--error-on=any']);
  const names = await listClosure(apt, wanted);
  await apt(['download', ...names, ...(wanted.alone ?? [])]);
  return (await readdir(archives)).map((name) => join(archives, name));
}

async function runApt(work: string, cwd: string, args: readonly string[]): Promise<string> {
  const options = {
    'Dir::State::lists': join(work, 'lists'),
    'Dir::State::status': join(work, 'status'),
    'Dir::Cache': join(work, 'cache'),
    'Dir::Etc::sourcelist': join(work, 'sources.list'),
    'Dir::Etc::sourceparts': '/dev/null',
    'APT::Sandbox::User': 'root',
    'Acquire::Retries': '3',
    'Acquire::http::Timeout': '30',
    'Acquire::Languages': 'none',
  };
  const flags = Object.entries(options).flatMap(([name, value]) => ['-o', `${name}=${value}`]);
  const { stdout } = await run('apt-get', ['-q', ...flags, ...args], { cwd, maxBuffer: outputBytesMax });
  return stdout;
}

/** Names of the packages and of all they depend on, from the addresses that apt would fetch. */
async function listClosure(
  apt: (args: readonly string[]) => Promise<string>,
  wanted: DebianPackages,
): Promise<string[]> {
  const printed = await apt(['install', '--print-uris', '-y', '--no-install-recommends', ...wanted.packages]);
  const files = [...printed.matchAll(/^'[^']+' (\S+)_[^_\s]+_[^_\s]+\.deb /gm)].map((match) => match[1] ?? '');
  return files.filter((name) => !wanted.without.some((prefix) => name.startsWith(prefix)));
}

function downloadFailed({ suite, packages }: DebianPackages, mirror: string, error: unknown): HoldfastError {
  return new HoldfastError('DEBIAN_DOWNLOAD_FAILED', `could not fetch ${packages.join(', ')} of Debian ${suite}`, {
    detail: `Tried ${attemptsMax} times at ${mirror}. ${messageOf(error)}`,
    hints: ['Check that the machine reaches its Debian mirror: apt-get update.'],
    retryable: true,
    cause: error,
  });
}
