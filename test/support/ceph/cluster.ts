import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { closeSync, openSync } from 'node:fs';
import { chown, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { serverEnvironment, serverUser } from '../cluster-template.ts';
import { findFreePort } from '../postgres-server.ts';
import { type ProcessGuard, startProcessGuard } from '../process-guard.ts';
import { makeScratchDirectory, nobody, runsAsRoot } from '../scratch.ts';
import type { CephProgram, CephTools } from './tools.ts';

/** A Ceph of one monitor, one store in memory and one gateway that speaks S3; its objects are gone with it. */
export interface CephCluster {
  /** Of the gateway, `http://127.0.0.1:PORT`. */
  readonly endpoint: string;
  /** By which `radosgw-admin` reaches it from any process. */
  readonly configuration: string;
  /** Ends it at once; safe to call again. */
  stop(): Promise<void>;
}

/** On a busy machine with two cores the slowest step, the gateway's first start, has taken half a minute. */
const stepWaitMsMax = 120_000;
/** A free port may be taken by somebody else before the monitor or the gateway has it. */
const attemptsMax = 3;
/** As much as a run of all tests stores, and not so much that a runaway test takes the machine's memory. */
const storeBytes = 6 * 1024 ** 3;

/** Starts a cluster; it takes about 13 seconds. It ends with the process that started it, however that ends. */
export async function startCeph(tools: CephTools): Promise<CephCluster> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await startOnce(tools);
    } catch (error) {
      if (attempt === attemptsMax || !/in use|unable to bind|failed to bind/i.test(String(error))) throw error;
    }
  }
}

async function startOnce(tools: CephTools): Promise<CephCluster> {
  const directory = await makeScratchDirectory('ceph');
  const guard = startProcessGuard(directory, 'KILL');
  const cluster = new StartingCluster(tools, directory, guard);
  const stop = async () => {
    await cluster.killAll();
    guard.dismiss();
    await rm(directory, { recursive: true, force: true });
  };
  try {
    const port = await findFreePort();
    await cluster.configure(port);
    await cluster.startMonitor();
    await cluster.startStore();
    const endpoint = `http://127.0.0.1:${port}`;
    await cluster.startGateway(endpoint);
    return { endpoint, configuration: cluster.configuration, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

class StartingCluster {
  readonly configuration: string;
  readonly #tools: CephTools;
  readonly #directory: string;
  readonly #guard: ProcessGuard;
  readonly #daemons: ChildProcess[] = [];
  readonly #id = randomUUID();

  constructor(tools: CephTools, directory: string, guard: ProcessGuard) {
    this.#tools = tools;
    this.#directory = directory;
    this.#guard = guard;
    this.configuration = join(directory, 'ceph.conf');
  }

  /** Whom the daemons know, where they meet, and where they write. */
  async configure(gatewayPort: number): Promise<void> {
    const path = (name: string) => join(this.#directory, name);
    for (const name of ['mon', 'osd']) await mkdir(path(name));
    if (runsAsRoot) for (const name of ['.', 'mon', 'osd']) await chown(path(name), nobody.uid, nobody.gid);
    const plugins = this.#tools.pluginDirectory;
    const addresses = `[v2:127.0.0.1:${await findFreePort()}/0,v1:127.0.0.1:${await findFreePort()}/0]`;
    const sections: Record<string, Record<string, string | number>> = {
      global: {
        fsid: this.#id,
        mon_host: addresses,
        public_addr: '127.0.0.1',
        cluster_addr: '127.0.0.1',
        auth_cluster_required: 'cephx',
        auth_service_required: 'cephx',
        auth_client_required: 'cephx',
        keyring: path('keyring'),
        mon_data: path('mon'),
        osd_data: path('osd'),
        run_dir: this.#directory,
        crash_dir: path('crash'),
        log_file: path('$name.log'),
        admin_socket: path('$name.asok'),
        plugin_dir: join(plugins, 'ceph'),
        erasure_code_dir: join(plugins, 'ceph/erasure-code'),
        osd_class_dir: join(plugins, 'rados-classes'),
        // One store keeps everything, once.
        osd_pool_default_size: 1,
        mon_allow_pool_size_one: 'true',
        osd_crush_chooseleaf_type: 0,
        osd_pool_default_pg_num: 1,
        osd_pool_default_pgp_num: 1,
        osd_pool_default_pg_autoscale_mode: 'off',
        mon_max_pg_per_osd: 1000,
        mon_data_avail_crit: 1, // A nearly full disk of the machine is none of its business.
      },
      'osd.0': {
        osd_objectstore: 'memstore',
        memstore_device_bytes: storeBytes,
        osd_class_load_list: '*',
        osd_class_default_list: '*',
      },
      'client.rgw': {
        // Without it each answer in two pieces waits 40 ms for the acknowledgement of the first.
        rgw_frontends: `beast endpoint=127.0.0.1:${gatewayPort} tcp_nodelay=1`,
        rgw_thread_pool_size: 64,
        // What was deleted is given back soon, as it lies in memory.
        rgw_gc_obj_min_wait: 10,
        rgw_gc_processor_period: 10,
        // A quota counts at once, so that a test can meet it.
        rgw_bucket_quota_ttl: 0,
        rgw_bucket_quota_soft_threshold: 0,
      },
    };
    const lines = Object.entries(sections).flatMap(([name, options]) => [
      `[${name}]`,
      ...Object.entries(options).map(([option, value]) => `${option} = ${value}`),
    ]);
    await writeFile(this.configuration, `${lines.join('\n')}\n`, { mode: 0o644 });
    const keys: Record<string, string[]> = {
      'mon.': ['--cap', 'mon', 'allow *'],
      'client.admin': ['--cap', 'mon', 'allow *', '--cap', 'osd', 'allow *', '--cap', 'mgr', 'allow *'],
      'osd.0': ['--cap', 'mon', 'allow profile osd', '--cap', 'osd', 'allow *'],
      'client.rgw': ['--cap', 'mon', 'allow rw', '--cap', 'osd', 'allow rwx'],
    };
    await this.#run('ceph-authtool', [path('keyring'), '--create-keyring']);
    for (const [name, capabilities] of Object.entries(keys)) {
      await this.#run('ceph-authtool', [path('keyring'), '--gen-key', '--name', name, ...capabilities]);
    }
    const map = ['--create', '--fsid', this.#id, '--addv', 'a', addresses.replaceAll('/0', ''), path('monmap')];
    await this.#run('monmaptool', map);
  }

  async startMonitor(): Promise<void> {
    const path = (name: string) => join(this.#directory, name);
    await this.#run('ceph-mon', ['--mkfs', '-i', 'a', '--monmap', path('monmap'), '--keyring', path('keyring')]);
    this.#start('ceph-mon', ['-i', 'a']);
  }

  async startStore(): Promise<void> {
    const id = randomUUID();
    await this.#run('ceph', ['osd', 'new', id]);
    await this.#run('ceph-osd', ['-i', '0', '--mkfs', '--osd-uuid', id]);
    this.#start('ceph-osd', ['-i', '0']);
    await this.#until('the store is up', async () => /\b1 up\b/.test(await this.#run('ceph', ['osd', 'stat'])));
  }

  async startGateway(endpoint: string): Promise<void> {
    this.#start('radosgw', ['--name', 'client.rgw']);
    await this.#until('the gateway answers', async () => {
      try {
        return (await fetch(endpoint, { signal: AbortSignal.timeout(5_000) })).ok;
      } catch {
        return false; // It does not listen yet, or is not ready.
      }
    });
  }

  /** SIGTERM makes the gateway of 20.2.4 hang; and nothing that these hold is to outlive them. */
  async killAll(): Promise<void> {
    const running = this.#daemons.filter(({ exitCode, signalCode }) => exitCode === null && signalCode === null);
    await Promise.all(
      running.map(
        (daemon) =>
          new Promise<void>((resolve) => {
            daemon.once('exit', () => resolve());
            daemon.ref();
            daemon.kill('SIGKILL');
          }),
      ),
    );
  }

  async #run(program: CephProgram, args: readonly string[]): Promise<string> {
    const daemon = this.#daemons.find(({ exitCode, signalCode }) => exitCode !== null || signalCode !== null);
    if (daemon !== undefined) throw new Error(`a part of Ceph ended:\n${await this.#logs()}`);
    const { stdout } = await promisify(execFile)(
      join(this.#tools.binDirectory, program),
      ['--conf', this.configuration, ...args],
      { ...serverUser, env: serverEnvironment, cwd: '/', timeout: stepWaitMsMax },
    ).catch(async (error: unknown) => {
      throw new Error(`${program} ${args[0]} failed: ${String(error)}\n${await this.#logs()}`);
    });
    return stdout;
  }

  #start(program: CephProgram, args: readonly string[]): void {
    const log = openSync(join(this.#directory, `${program}.out`), 'a');
    const daemon = spawn(
      join(this.#tools.binDirectory, program),
      ['--conf', this.configuration, ...args, '--foreground'],
      { ...serverUser, env: serverEnvironment, cwd: '/', stdio: ['ignore', log, log] },
    );
    closeSync(log);
    daemon.on('error', () => {}); // One that cannot be started is missed by whoever waits for it.
    daemon.unref(); // A test that forgets its server still ends, and the guard ends the server.
    this.#daemons.push(daemon);
    this.#guard.watch(this.#daemons.flatMap(({ pid }) => pid ?? []));
  }

  async #until(what: string, check: () => Promise<boolean>): Promise<void> {
    const deadline = Date.now() + stepWaitMsMax;
    while (!(await check())) {
      const ended = this.#daemons.some(({ exitCode, signalCode }) => exitCode !== null || signalCode !== null);
      if (ended || Date.now() > deadline) throw new Error(`Ceph did not come up until ${what}:\n${await this.#logs()}`);
      await delay(100);
    }
  }

  async #logs(): Promise<string> {
    const read = (name: string) => readFile(join(this.#directory, `${name}.out`), 'utf8').catch(() => ''); // Not started.
    return (await Promise.all(['ceph-mon', 'ceph-osd', 'radosgw'].map(read))).join('').slice(-8_000);
  }
}
