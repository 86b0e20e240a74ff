import { execFile } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { messageOf } from '../../../src/lib/index.ts';
import { findLibraries, unpackDebianPackages, whyNotDebian, writeLauncher } from '../debian-packages.ts';
import { cacheDirectory, createOnce } from '../postgres-binaries.ts';

/** What a Ceph cluster is made with. */
export const cephPrograms = [
  'ceph',
  'ceph-authtool',
  'ceph-mon',
  'ceph-osd',
  'monmaptool',
  'radosgw',
  'radosgw-admin',
] as const;

export type CephProgram = (typeof cephPrograms)[number];

/** Ceph out of Debian, each program startable by its path. */
export interface CephTools {
  /** Such as `20.2.4`. */
  readonly version: string;
  readonly binDirectory: string;
  /** Where what the programs load while they run lies. */
  readonly pluginDirectory: string;
}

/** Counts up when what is fetched changes, so that an older cache is not taken. */
const cacheFormat = 1;

/** Preferred first: the version of the second overwrites on a conditional end of a multipart upload and knows no SHA-256 checksums. */
const suites = ['forky', 'bookworm'] as const;
type Suite = (typeof suites)[number];

/**
 * The reason to skip what needs Ceph, or `false` where it is there or can be fetched. On Debian what is missing is never a reason to skip:
 * then `fetchCephTools` fails, and the test with it.
 */
export function whyNoCeph(): string | false {
  if (whyNotDebian() === null) return false;
  const container = 'docker run --rm -it -v "$PWD:/holdfast" -w /holdfast node:24-bookworm npm test';
  const reason = `the S3 server of the tests is fetched from Debian, and this is another system: ${container}`;
  process.stderr.write(`NOT TRIED WITH A REAL S3 SERVER: ${reason}\n`);
  return reason;
}

/**
 * The programs, fetched into the cache when this is the first time (156 MB, unpacked 560 MB). An older release of Debian is taken, loudly,
 * when the newer cannot be had.
 *
 * Errors: those of `unpackDebianPackages`; any other when a program does not start.
 */
export async function fetchCephTools(): Promise<CephTools> {
  const [preferred, fallback] = suites;
  try {
    return await fetchFrom(preferred);
  } catch (error) {
    process.stderr.write(
      `THE S3 SERVER OF THE TESTS IS AN OLD ONE, of Debian ${fallback}, because that of ${preferred} cannot be had: ${messageOf(error)}\n`,
    );
    return await fetchFrom(fallback);
  }
}

/** Those of one release of Debian. */
export async function fetchFrom(suite: Suite): Promise<CephTools> {
  const cache = join(await cacheDirectory(), `ceph-${suite}-${cacheFormat}`);
  const directory = await createOnce(cache, async (unfinished) => {
    await mkdir(unfinished);
    await unpackDebianPackages({
      suite,
      packages: ['radosgw', 'ceph-mon', 'ceph-osd', 'ceph-common'],
      without: ['systemd', 'udev', 'perl-modules', 'dbus'],
      directory: join(unfinished, 'root'),
    });
    await writeLaunchers(unfinished);
    // One that does not start is not kept.
    await readVersion(join(unfinished, 'bin'));
  });
  const binDirectory = join(directory, 'bin');
  const root = join(directory, 'root');
  return {
    version: await readVersion(binDirectory),
    binDirectory,
    pluginDirectory: join(root, await findLibraries(root)),
  };
}

async function readVersion(binDirectory: string): Promise<string> {
  const path = join(binDirectory, 'radosgw');
  const { stdout } = await promisify(execFile)(path, ['--version']);
  const version = /\d+\.\d+\.\d+/.exec(stdout)?.[0];
  if (version === undefined) throw new Error(`"${path}" does not say its version: ${stdout}`);
  return version;
}

/** All but `ceph` are programs; that is a script, and Python finds its library by PYTHONHOME. */
async function writeLaunchers(directory: string): Promise<void> {
  const [bin, root] = [join(directory, 'bin'), join(directory, 'root')];
  await mkdir(bin);
  await writeLauncher(root, 'usr/bin/python3', join(bin, 'python3'), 'ceph');
  for (const name of cephPrograms) {
    if (name !== 'ceph') await writeLauncher(root, `usr/bin/${name}`, join(bin, name), 'ceph');
  }
  const lines = [
    '#!/bin/sh',
    'here=$(dirname "$0")',
    'export PYTHONHOME="$here/../root/usr" PYTHONDONTWRITEBYTECODE=1',
    'exec "$here/python3" "$here/../root/usr/bin/ceph" "$@"',
  ];
  await writeFile(join(bin, 'ceph'), `${lines.join('\n')}\n`, { mode: 0o755 });
}
