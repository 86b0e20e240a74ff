import { execFile } from 'node:child_process';
import { chown, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import pg from 'pg';
import { systemClock } from '../../../src/lib/index.ts';
import { findFreePort } from '../postgres-server.ts';
import { nobody } from '../scratch.ts';
import { type Machine, turnOn } from './machine.ts';
import { fetchPatroniTools, type PatroniTools } from './tools.ts';

/** One machine of a Patroni cluster. */
export interface PatroniNode {
  readonly name: string;
  readonly port: number;
  readonly dataDirectory: string;
  /** Starts Patroni there. */
  start(): void;
  /** As pulling its plug does. */
  turnOff(): Promise<void>;
  /** `kill -9` for PostgreSQL and all its processes; Patroni lives. */
  killServer(): Promise<void>;
  query<Row = Record<string, unknown>>(sql: string): Promise<Row[]>;
}

/** etcd and some machines with Patroni and PostgreSQL. */
export interface PatroniCluster extends AsyncDisposable {
  readonly tools: PatroniTools;
  readonly nodes: readonly PatroniNode[];
  readonly binDirectory: string;
  /** A connection string with all hosts, for the role `holdfast`. */
  urlOf(wanted: string): string;
  /** One more, which is not started, with additions to its configuration. */
  add(name: string, additions?: Pick<PatroniOptions, 'bootstrap' | 'postgresql'>): Promise<PatroniNode>;
  /** Runs `patronictl`; `answers` are typed when it asks. */
  control(words: readonly string[], answers?: readonly string[]): Promise<string>;
  /** The node that leads, as soon as one does and takes writes. */
  primary(): Promise<PatroniNode>;
  /** Settled when `check` gives something. */
  until<Found>(what: string, check: () => Promise<Found | undefined | false>): Promise<Found>;
  logs(): Promise<string>;
}

export interface PatroniOptions {
  readonly scratch: string;
  readonly names: readonly string[];
  /** Added to `bootstrap.dcs`, and to `bootstrap` and `postgresql` of every node, as YAML is a superset of JSON. */
  readonly dynamic?: Readonly<Record<string, unknown>>;
  readonly bootstrap?: Readonly<Record<string, unknown>>;
  readonly postgresql?: Readonly<Record<string, unknown>>;
  readonly environment?: Readonly<Record<string, string>>;
}

/** The role that backups use, and its password; the other ones have it too. */
const password = 'only-in-a-test';
const waitMsMax = 90_000;

/** Starts etcd and every node; resolves when one leads and all others follow it. */
export async function startPatroniCluster(options: PatroniOptions): Promise<PatroniCluster> {
  const tools = await fetchPatroniTools();
  const { binDirectory } = tools;
  const directory = join(options.scratch, 'patroni');
  await makeForServer(directory);
  const environment = { PATH: '/usr/local/bin:/usr/bin:/bin', LC_ALL: 'C.UTF-8', TZ: 'UTC', ...options.environment };
  const machines = new Map<string, Machine>();
  const etcdPort = await findFreePort();
  const peerPort = await findFreePort();
  const log = (name: string) => join(directory, `${name}.log`);
  const etcdUrl = `http://127.0.0.1:${etcdPort}`;
  machines.set(
    'etcd',
    turnOn({
      command: [
        tools.etcd,
        ...['--data-dir', join(directory, 'etcd'), '--name', 'etcd', '--unsafe-no-fsync'],
        ...['--listen-client-urls', etcdUrl, '--advertise-client-urls', etcdUrl],
        ...['--listen-peer-urls', `http://127.0.0.1:${peerPort}`],
        ...['--initial-advertise-peer-urls', `http://127.0.0.1:${peerPort}`],
        ...['--initial-cluster', `etcd=http://127.0.0.1:${peerPort}`],
      ],
      environment,
      log: log('etcd'),
    }),
  );
  const nodes: PatroniNode[] = [];
  const add: PatroniCluster['add'] = async (name, additions = {}) => {
    const place = join(directory, name);
    await makeForServer(place);
    const [port, restPort] = [await findFreePort(), await findFreePort()];
    const configuration = join(place, 'patroni.yml');
    const own = {
      ...options,
      bootstrap: { ...options.bootstrap, ...additions.bootstrap },
      postgresql: { ...options.postgresql, ...additions.postgresql },
    };
    const text = JSON.stringify(configure(own, { name, place, port, restPort, etcdPort, binDirectory }), null, 2);
    await writeFile(configuration, text);
    const node: PatroniNode = {
      name,
      port,
      dataDirectory: join(place, 'data'),
      start: () => machines.set(name, turnOn({ command: [tools.patroni, configuration], environment, log: log(name) })),
      turnOff: async () => machines.get(name)?.turnOff(),
      killServer: async () => machines.get(name)?.kill(join(place, 'data')),
      query: (sql) => query(port, sql),
    };
    nodes.push(node);
    return node;
  };
  for (const name of options.names) await add(name);
  const until: PatroniCluster['until'] = async (what, check) => {
    const deadline = systemClock.monotonic() + waitMsMax;
    for (;;) {
      const found = await check().catch(() => undefined); // Not there yet, which the deadline bounds.
      if (found !== undefined && found !== false) return found;
      if (systemClock.monotonic() > deadline) throw new Error(`not in time: ${what}\n${await logs()}`);
      await systemClock.sleep(100);
    }
  };
  const logs = async () => {
    const texts = [...machines.keys()].map(async (name) => {
      const text = await readFile(log(name), 'utf8').catch(() => ''); // It was never turned on.
      return `--- ${name}\n${text.slice(-2000)}`;
    });
    return (await Promise.all(texts)).join('\n');
  };
  const control: PatroniCluster['control'] = async (words, answers = []) => {
    const configuration = join(directory, options.names[0]!, 'patroni.yml');
    const run = promisify(execFile)(tools.patronictl, ['-c', configuration, ...words], { env: environment });
    run.child.stdin!.end(answers.map((answer) => `${answer}\n`).join(''));
    const { stdout } = await run;
    return stdout;
  };
  const primary = () =>
    until('a primary', async () => {
      for (const node of nodes) {
        const [row] = await node.query<{ is: boolean }>('SELECT pg_is_in_recovery() AS is').catch(() => []); // It is off.
        if (row?.is === false) return node;
      }
      return undefined;
    });
  const cluster: PatroniCluster = {
    tools,
    nodes,
    binDirectory,
    urlOf: (wanted) =>
      `postgresql://holdfast:${password}@${nodes.map(({ port }) => `127.0.0.1:${port}`).join(',')}/postgres?target_session_attrs=${wanted}`,
    add,
    control,
    primary,
    until,
    logs,
    [Symbol.asyncDispose]: async () => {
      for (const machine of [...machines.values()].reverse()) await machine.turnOff();
    },
  };
  try {
    for (const node of nodes) node.start();
    const leader = await primary();
    await until('all standbys', async () => {
      const following = await leader.query(
        `SELECT FROM pg_stat_replication WHERE application_name = ANY ('{${options.names}}')`,
      );
      return following.length >= nodes.length - 1;
    });
    return cluster;
  } catch (error) {
    await cluster[Symbol.asyncDispose]();
    throw error;
  }
}

async function makeForServer(directory: string): Promise<void> {
  await mkdir(directory, { mode: 0o755 });
  await chown(directory, nobody.uid, nobody.gid);
}

async function query<Row>(port: number, sql: string): Promise<Row[]> {
  const client = new pg.Client({ host: '127.0.0.1', port, user: 'postgres', password, database: 'postgres' });
  client.on('error', () => {}); // A server that is turned off is told by the query's own rejection.
  await client.connect();
  try {
    const results: pg.QueryResult | pg.QueryResult[] = await client.query(sql);
    const last = Array.isArray(results) ? results.at(-1) : results;
    return (last?.rows ?? []) as Row[];
  } finally {
    await client.end();
  }
}

interface Place {
  name: string;
  place: string;
  port: number;
  restPort: number;
  etcdPort: number;
  binDirectory: string;
}

/** The shortest times that Patroni accepts: a leader that is gone is replaced after 20 s. */
const shortTimes = { ttl: 20, loop_wait: 1, retry_timeout: 3 };

function configure(options: PatroniOptions, { name, place, port, restPort, etcdPort, binDirectory }: Place) {
  const account = (username: string) => ({ username, password });
  return {
    scope: 'shop',
    name,
    restapi: { listen: `127.0.0.1:${restPort}`, connect_address: `127.0.0.1:${restPort}` },
    etcd3: { hosts: `127.0.0.1:${etcdPort}` },
    bootstrap: {
      dcs: {
        ...shortTimes,
        ...options.dynamic,
        postgresql: {
          use_pg_rewind: true,
          use_slots: true,
          parameters: { shared_buffers: '32MB', wal_level: 'replica', max_wal_senders: 10, timezone: 'UTC' },
        },
      },
      initdb: [{ encoding: 'UTF8' }, { locale: 'C' }, 'data-checksums', { 'auth-host': 'scram-sha-256' }],
      ...options.bootstrap,
    },
    postgresql: {
      listen: `127.0.0.1:${port}`,
      connect_address: `127.0.0.1:${port}`,
      data_dir: join(place, 'data'),
      bin_dir: binDirectory,
      pgpass: join(place, 'pgpass'),
      pg_hba: [
        'local all all trust',
        'host replication all 127.0.0.1/32 scram-sha-256',
        'host all all 127.0.0.1/32 scram-sha-256',
      ],
      authentication: { superuser: account('postgres'), replication: account('replicator') },
      parameters: { unix_socket_directories: place },
      create_replica_methods: ['basebackup'],
      basebackup: [{ checkpoint: 'fast' }],
      ...options.postgresql,
    },
  };
}
