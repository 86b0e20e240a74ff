import assert from 'node:assert/strict';
import { mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { systemClock } from '../../src/lib/index.ts';
import { formatLsn, parseLsn } from '../../src/postgres/index.ts';
import { openDiskStore } from '../../src/repository/index.ts';
import { documentOf, type RunningCommand, startHoldfast } from '../support/command-line.ts';
import { namesIn } from '../support/listing.ts';
import { type PostgresServer, startPostgres } from '../support/postgres-server.ts';
import { reopenRepository, testPassphrase } from '../support/repository.ts';
import { makeScratchDirectory } from '../support/scratch.ts';
import { until } from '../support/until.ts';
import { compareWithServer, flushLsnOf, onlyLineage } from '../support/wal-receiver.ts';

const stack = new AsyncDisposableStack();
let server: PostgresServer;
let scratch: string;
before(async () => {
  scratch = await makeScratchDirectory('without-primary');
  stack.defer(() => rm(scratch, { recursive: true, force: true }));
  server = stack.use(await startPostgres({ major: 18, walSegmentSizeMb: 1, settings: { wal_keep_size: '256MB' } }));
  await server.query('CREATE TABLE item (n int)');
});
after(() => stack.disposeAsync());

type Protect = 'writes' | 'wal';

/** Two disks, a plan that names them, and commands that go by it. */
class World {
  readonly #name: string;
  readonly #protect: Protect;
  readonly primary: string;
  readonly copy: string;

  private constructor(name: string, protect: Protect) {
    this.#name = name;
    this.#protect = protect;
    this.primary = this.path('primary');
    this.copy = this.path('copy');
  }

  static async make(name: string, protect: Protect): Promise<World> {
    const world = new World(name, protect);
    const { primary, copy } = world;
    await mkdir(world.copy, { recursive: true });
    const plan = {
      clusters: [{ name }],
      repository: { primary, copies: [{ name: 'copy', location: copy, required: true }], protect },
    };
    await writeFile(world.path('holdfast.config.json'), JSON.stringify(plan));
    await world.succeed('repository', 'init');
    return world;
  }

  path(part: string): string {
    return join(scratch, `${this.#name}-${this.#protect}-${part}`);
  }

  start(...words: string[]): RunningCommand {
    return startHoldfast([...words, '--plan', this.path('holdfast.config.json'), '--json', '--events'], {
      environment: {
        DATABASE_URL: server.backupUrl,
        HOLDFAST_PASSPHRASE: testPassphrase,
        HOLDFAST_STATE_DIR: this.path('state'),
      },
    });
  }

  async succeed(...words: string[]): Promise<Record<string, unknown>> {
    const ended = await this.start(...words).ended;
    assert.equal(ended.code, 0, `${words.join(' ')}: ${ended.stdout}${ended.stderr}`);
    return documentOf(ended);
  }

  /**
   * Until the copy has what the primary has of WAL, and what that needs: what it has not when the primary goes waits until that is back. The index of
   * WAL is brought later, and nothing waits for it.
   */
  async copied(): Promise<void> {
    const [from, to] = [this.primary, this.copy].map((path) => openDiskStore(path, { clock: systemClock }));
    await until('the copy to have all', async () => {
      const there = new Set(await namesIn(to!));
      return (await namesIn(from!)).every((name) => /^volatile\/|\/landmarks\//.test(name) || there.has(name));
    });
  }

  /** As an unmounted disk. */
  cut(place: 'primary' | 'copy' = 'primary'): Promise<void> {
    return rename(this[place], `${this[place]}.away`);
  }

  mend(place: 'primary' | 'copy' = 'primary'): Promise<void> {
    return rename(`${this[place]}.away`, this[place]);
  }

  async waiting(): Promise<number> {
    const options = { recursive: true, withFileTypes: true } as const;
    const found = await readdir(join(this.path('state'), 'outage'), options).catch(() => []);
    return found.filter((entry) => entry.isFile()).length;
  }
}

/** Writes, and gives the position up to which everything has to be. */
async function write(): Promise<bigint> {
  await server.query('INSERT INTO item SELECT generate_series(1, 20000)');
  return flushLsnOf(server);
}

/** A receiver that tells at which position it reported WAL as flushed. */
class Stream {
  readonly command: RunningCommand;
  #confirmed = 0n;

  constructor(world: World) {
    this.command = world.start('wal', 'stream');
    let rest = '';
    this.command.child.stdout!.on('data', (text: string) => {
      const lines = (rest + text).split('\n');
      rest = lines.pop()!;
      for (const line of lines) {
        const { kind, lsn } = JSON.parse(line) as { kind?: string; lsn?: string };
        if (kind === 'flush-reported') this.#confirmed = parseLsn(lsn!);
      }
    });
  }

  async confirmed(lsn: bigint): Promise<void> {
    const died = this.command.ended.then(({ stdout, stderr }) => assert.fail(`it ended: ${stdout}${stderr}`));
    const reached = until(`a confirmation of ${formatLsn(lsn)}`, () => this.#confirmed >= lsn);
    await Promise.race([reached, died]);
  }

  async kill9(): Promise<void> {
    this.command.child.kill('SIGKILL');
    await this.command.ended;
  }

  async stop(): Promise<void> {
    this.command.child.kill('SIGTERM');
    await this.command.ended;
  }
}

for (const protect of ['writes', 'wal'] as const) {
  describe(`a receiver that is killed while the primary is away, with protect: ${protect}`, () => {
    it('begins again from the copy and the spool, confirms, and hands everything over, byte for byte', async () => {
      const world = await World.make('killed', protect);
      const first = new Stream(world);
      await first.confirmed(await write());
      await world.copied();
      await world.cut();
      await first.confirmed(await write());
      await first.kill9();
      const missed = await write();
      const second = new Stream(world);
      await second.confirmed(missed);
      await second.kill9();
      const third = new Stream(world);
      const last = await write();
      await third.confirmed(last);
      assert.ok((await world.waiting()) > 0);
      await world.mend();
      await until('an empty spool', async () => (await world.waiting()) === 0);
      const behind = await write();
      await third.confirmed(behind);
      await third.stop();
      for (const place of [world.primary, world.copy]) {
        const repository = await reopenRepository(place, 'read');
        const compared = await compareWithServer(repository, server, await onlyLineage(repository));
        await repository.close();
        assert.equal(compared.runs, 1);
        assert.ok(compared.end >= behind);
      }
    });
  });
}

describe('WAL that lies on this machine alone', () => {
  it('is restored from here while the primary is away, and handed over by the next command that writes', async () => {
    const world = await World.make('alone', 'writes');
    const stream = new Stream(world);
    await stream.confirmed(await write());
    await world.succeed('backup');
    await world.copied();
    await world.cut();
    await world.cut('copy');
    const last = await write();
    await stream.confirmed(last);
    await stream.kill9();
    await world.mend('copy');
    const { proposal } = (await world.succeed('restore', '--into', world.path('into'), '--dry-run')) as {
      proposal: { wal: { to: string } };
    };
    assert.ok(parseLsn(proposal.wal.to) >= last);
    await world.mend();
    await world.succeed('copies', 'sync');
    assert.equal(await world.waiting(), 0);
    for (const place of [world.primary, world.copy]) {
      const repository = await reopenRepository(place, 'read');
      const compared = await compareWithServer(repository, server, await onlyLineage(repository));
      await repository.close();
      assert.equal(compared.runs, 1);
      assert.ok(compared.end >= last);
    }
  });
});
