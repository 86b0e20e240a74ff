import { execFile } from 'node:child_process';
import { constants } from 'node:fs';
import { access, readFile, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { promisify } from 'node:util';
import { codeOf, messageOf } from '../../lib/index.ts';
import { findServerBinaries } from '../../postgres/index.ts';
import { gatherVolume } from '../volume.ts';
import type { HostFacts } from './host-facts.ts';

const run = promisify(execFile);

/** Programs of the system that are asked answer at once, or not at all. */
const ANSWER_WAIT_MS = 5_000;

/** Users under whom a restored server runs when nobody is named, as a restore looks for them. */
const SERVER_USERS = ['postgres', 'nobody'];

export interface HostQuestion {
  readonly repositoryDirectory: string | null;
  readonly stateDirectory: string;
  /** The server's data directory when the server is on this host. */
  readonly dataDirectory: string | null;
  /** `null` when there is no server to ask. */
  readonly serverMajor: number | null;
}

/** Looks at this host and changes nothing. Never throws for what cannot be seen: that is part of the answer. */
export async function gatherHost(question: HostQuestion): Promise<HostFacts> {
  const volumeOf = (path: string | null) => (path === null ? null : gatherVolume(path));
  return {
    nodeVersion: process.versions.node,
    volumes: {
      repository: await volumeOf(question.repositoryDirectory),
      state: await gatherVolume(question.stateDirectory),
      data: await volumeOf(question.dataDirectory),
    },
    stateProblem: await findStateProblem(question.stateDirectory),
    openFilesMax: await readOpenFilesMax(),
    isTimeSynchronized: await readTimeSynchronized(),
    serverPrograms: await lookForPrograms(question.serverMajor),
    locales: await listLocales(),
    isRoot: process.getuid?.() === 0,
    serverUsers: await listServerUsers(),
  };
}

/** Whether it can be written to, or made. */
async function findStateProblem(directory: string): Promise<string | null> {
  for (let path = directory; ; path = dirname(path)) {
    try {
      const found = await stat(path);
      if (!found.isDirectory()) return `"${path}" is no directory`;
      await access(path, constants.W_OK | constants.X_OK);
      return null;
    } catch (error) {
      if (codeOf(error) !== 'ENOENT' || path === dirname(path)) return messageOf(error);
    }
  }
}

/** The soft limit of this very process; `null` on systems without /proc. */
async function readOpenFilesMax(): Promise<number | null> {
  const limits = await readFile('/proc/self/limits', 'utf8').catch(() => '');
  const found = /^Max open files\s+(\d+|unlimited)/m.exec(limits)?.[1];
  if (found === undefined) return null;
  return found === 'unlimited' ? Number.POSITIVE_INFINITY : Number(found);
}

async function readTimeSynchronized(): Promise<boolean | null> {
  const said = await outputOf('timedatectl', ['show', '--property=NTPSynchronized', '--value']);
  return said === null ? null : said.trim() === 'yes';
}

async function lookForPrograms(major: number | null): Promise<HostFacts['serverPrograms']> {
  if (major === null) return { kind: 'unseen' };
  try {
    const { binDirectory, version } = await findServerBinaries(major);
    return { kind: 'found', directory: binDirectory, version: version.text };
  } catch (error) {
    return { kind: 'absent', sentence: messageOf(error), major };
  }
}

async function listLocales(): Promise<string[] | null> {
  const said = await outputOf('locale', ['-a']);
  return said === null ? null : said.split('\n').filter(Boolean).map(plainLocale);
}

/** `en_US.UTF-8` and `en_US.utf8` are one. */
export function plainLocale(name: string): string {
  return name.trim().toLowerCase().replaceAll('-', '');
}

async function listServerUsers(): Promise<string[]> {
  const users = await readFile('/etc/passwd', 'utf8').catch(() => '');
  return SERVER_USERS.filter((name) => new RegExp(`^${name}:`, 'm').test(users));
}

async function outputOf(program: string, words: readonly string[]): Promise<string | null> {
  try {
    return (await run(program, [...words], { timeout: ANSWER_WAIT_MS })).stdout;
  } catch {
    // Not there, or it will not say: then nothing is said about it.
    return null;
  }
}
