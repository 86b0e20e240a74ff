import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { FileSource } from './file-sources.ts';
import { type GatherOptions, gatherFiles, type ReceivedConfiguration } from './gather-files.ts';

/** A server's files by their paths. A text of null may not be read. */
function sourceOf(files: Record<string, string | null>): FileSource {
  return {
    read: async (path) => {
      const text = files[path];
      if (text === null) throw new Error('permission denied');
      return text === undefined ? null : { content: Buffer.from(text), mode: 0o640, mtimeMs: 5 };
    },
    list: async (directory) => {
      const names = Object.keys(files).filter((path) => path.startsWith(`${directory}/`));
      return names.map((path) => path.slice(directory.length + 1));
    },
  };
}

function receivedOf(files: Record<string, string>): ReceivedConfiguration {
  const texts = new Map(Object.entries(files).map(([path, text]) => [path, Buffer.from(text)]));
  return { texts, has: (path) => texts.has(path) };
}

async function gather(options: Partial<GatherOptions>): Promise<{ stored: string[]; missed: string[] }> {
  const seeds = [{ path: '/etc/pg/postgresql.conf', kind: 'settings' as const }];
  const { files, failures } = await gatherFiles({
    dataDirectory: '/data',
    seeds,
    received: null,
    sources: [],
    ...options,
  });
  return {
    stored: files.map(({ treePath }) => treePath),
    missed: failures.map(({ path, reason }) => `${path}: ${reason}`),
  };
}

describe('gathering configuration files', () => {
  it('follows inclusions from where each file lies, and meets each file once', async () => {
    const source = sourceOf({
      '/etc/pg/postgresql.conf': "include_dir 'conf.d'\ninclude '../common.conf'\ninclude '/etc//common.conf'",
      '/etc/pg/conf.d/a.conf': "include '../postgresql.conf'",
      '/etc/pg/conf.d/.b.conf': '',
      '/etc/pg/conf.d/c.txt': '',
      '/etc/common.conf': "include_if_exists 'nowhere'",
    });
    const { stored, missed } = await gather({ sources: [source] });
    assert.deepEqual(stored, [
      'config/files/etc/pg/postgresql.conf',
      'config/files/etc/pg/conf.d/a.conf',
      'config/files/etc/common.conf',
    ]);
    assert.deepEqual(missed, []);
  });

  it('takes from the backup what lies in the data directory, and reads behind a link of it', async () => {
    const received = receivedOf({ 'postgresql.conf': "include 'extra.conf'", 'extra.conf': '' });
    const seeds = [
      { path: '/data/./postgresql.conf', kind: 'settings' as const },
      { path: '/data/pg_hba.conf', kind: 'hba' as const },
    ];
    const sources = [sourceOf({ '/data/pg_hba.conf': 'local all all peer' })];
    const { stored, missed } = await gather({ received, seeds, sources });
    assert.deepEqual(stored, ['data/postgresql.conf', 'config/files/data/pg_hba.conf', 'data/extra.conf']);
    assert.deepEqual(missed, []);
  });

  it('tells what is missing and what may not be read, and tries every way first', async () => {
    const closed = sourceOf({ '/etc/pg/postgresql.conf': null, '/etc/pg/closed.conf': null });
    const open = sourceOf({
      '/etc/pg/postgresql.conf': "include 'closed.conf'\ninclude 'gone.conf'",
      '/etc/pg/closed.conf': null,
    });
    const { stored, missed } = await gather({ sources: [closed, open] });
    assert.deepEqual(stored, ['config/files/etc/pg/postgresql.conf']);
    assert.deepEqual(missed, [
      '/etc/pg/closed.conf: It could not be read: permission denied.',
      '/etc/pg/gone.conf: There is no such file on the server.',
    ]);
  });

  it('does with relative paths where the server does not say where its data directory is', async () => {
    const received = receivedOf({
      'postgresql.conf': "include 'conf.d/a.conf'\ninclude '../out.conf'",
      'conf.d/a.conf': '',
    });
    const seeds = [{ path: 'postgresql.conf', kind: 'settings' as const }];
    const { stored, missed } = await gather({ dataDirectory: null, received, seeds, sources: [sourceOf({})] });
    assert.deepEqual(stored, ['data/postgresql.conf', 'data/conf.d/a.conf']);
    assert.deepEqual(missed, ['../out.conf: The server does not say where its data directory is.']);
  });
});
