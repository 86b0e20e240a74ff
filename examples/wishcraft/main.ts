import { appendFileSync, readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { startApp } from './app.ts';
import { connect, createDatabase } from './database.ts';
import { type AcknowledgedWrite, createLoad } from './load.ts';
import { checkInvariants, type SoughtWrite, verifyWrites } from './verify-writes.ts';

const usage = `usage: DATABASE_URL=… node examples/wishcraft/main.ts COMMAND
  create                       the tables and a seed, in an empty database
  serve  [--port N]            the application, until Ctrl-C
  load   [--rate N] [--connections N] --record FILE
                               numbered writes, until Ctrl-C; each acknowledged one becomes a line of FILE
  verify --record FILE         looks for every line of FILE; exit code 3 when one is not there`;

/** One line of a record file: enough to find the write, and when it was acknowledged. */
type RecordLine = SoughtWrite & { acknowledgedAt: string };

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    port: { type: 'string', default: '3000' },
    rate: { type: 'string', default: '100' },
    connections: { type: 'string', default: '4' },
    record: { type: 'string' },
  },
});
process.exitCode = await run(positionals[0] ?? '', process.env.DATABASE_URL);

async function run(command: string, connectionString: string | undefined): Promise<number> {
  if (connectionString === undefined) return refuse('DATABASE_URL is not set');
  if (command === 'create') {
    console.log(await createDatabase(connectionString));
    return 0;
  }
  if (command === 'serve') return await runApp(connectionString);
  if (values.record === undefined) return refuse(`"${command}" needs --record FILE`);
  if (command === 'load') return await runLoad(connectionString, values.record);
  if (command === 'verify') return await runVerify(connectionString, values.record);
  return refuse(`unrecognized command "${command}"`);
}

async function runApp(connectionString: string): Promise<number> {
  const app = await startApp({ connectionString, port: Number(values.port) });
  console.log(`${app.url} (bearer token for /app and /api/registry-db: ${app.token})`);
  await untilInterrupted();
  await app.stop();
  return 0;
}

async function runLoad(connectionString: string, file: string): Promise<number> {
  const load = createLoad({
    connectionString: () => connectionString,
    writesPerSecond: Number(values.rate),
    connections: Number(values.connections),
    onAcknowledged: (write) => appendFileSync(file, `${JSON.stringify(toLine(write))}\n`),
  });
  await load.start();
  await untilInterrupted();
  const { acknowledged, unknown, rejected, reconnects } = await load.stop();
  console.log({ acknowledged: acknowledged.length, unknown: unknown.length, rejected, reconnects });
  return 0;
}

async function runVerify(connectionString: string, file: string): Promise<number> {
  const lines = readFileSync(file, 'utf8').split('\n').filter(Boolean);
  const client = await connect(connectionString);
  try {
    const writes = lines.map((line) => JSON.parse(line) as RecordLine);
    const { found, missing, altered } = await verifyWrites(client, writes);
    for (const write of [...missing, ...altered]) console.log(JSON.stringify(write));
    const broken = await checkInvariants(client);
    for (const sentence of broken) console.log(`broken: ${sentence}`);
    console.log({ found: found.length, missing: missing.length, altered: altered.length });
    return missing.length + altered.length + broken.length === 0 ? 0 : 3;
  } finally {
    await client.end();
  }
}

function toLine({ number, kind, evidence, acknowledgedAtMs }: AcknowledgedWrite): RecordLine {
  return { number, kind, evidence, acknowledgedAt: new Date(acknowledgedAtMs).toISOString() };
}

function untilInterrupted(): Promise<void> {
  return new Promise((resolve) => {
    process.once('SIGINT', () => resolve());
    process.once('SIGTERM', () => resolve());
  });
}

function refuse(reason: string): number {
  console.error(`${reason}\n${usage}`);
  return 2;
}
