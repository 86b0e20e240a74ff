/**
 * The one way into the project's scripts: `node bin/launch.mjs <script> [arguments]`.
 *
 * It runs on any Node from version 20 on and needs no package: it installs what the lock files name, then starts the
 * Node that the toolchain pins. (A line such as `node a && node b` in package.json would keep the first Node of PATH.)
 * Whatever it or npm has to say goes to standard error; standard output belongs to the script.
 */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { isatty } from 'node:tty';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const platform = `${process.platform}-${process.arch}`;
const pinnedNode = join(root, 'toolchain', 'node_modules', `node-${platform}`, 'bin', 'node');

/** The oldest Node that runs the sources: argon2 is built in from here on. */
const nodeMajorMin = 24;
const nodeMinorMin = 7;

/** Each script's entry; `install` and `exec` have none. */
const entries = {
  check: 'bin/tasks/check.ts',
  test: 'bin/tasks/test.ts',
  build: 'bin/tasks/build.ts',
  demo: 'examples/wishcraft/demo/main.ts',
  bench: 'bench/main.ts',
  campaign: 'campaign/main.ts',
};

/** Nobody waits longer for somebody else's installation; a slow network has taken minutes. */
const lockWaitMsMax = 15 * 60_000;
const lockPollMs = 100;

class Refusal extends Error {}

/** The folders with a lock file of their own; each is stamped when what is installed matches it. */
const installations = [root, join(root, 'toolchain')].map((folder) => ({
  folder,
  stampFile: join(folder, 'node_modules', '.holdfast-installed'),
  stamp: () =>
    `${createHash('sha256')
      .update(readFileSync(join(folder, 'package-lock.json')))
      .digest('hex')} ${platform}\n`,
}));

function outdated() {
  return installations.filter(({ stampFile, stamp }) => readIfThere(stampFile) !== stamp());
}

function readIfThere(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  }
}

/** Brings both `node_modules` to what their lock files say; costs two small reads when they are. */
async function install() {
  if (outdated().length === 0) return;
  const release = await takeLock(join(root, '.cache', 'install.lock'));
  try {
    const missing = outdated(); // Whoever held the lock before us may have done it all.
    if (missing.length === 0) return;
    const started = performance.now();
    process.stderr.write('Installing what this checkout needs, once … ');
    await Promise.all(missing.map(installOne));
    process.stderr.write(`done in ${((performance.now() - started) / 1000).toFixed(1)} s\n`);
  } finally {
    release();
  }
}

async function installOne({ folder, stampFile, stamp }) {
  rmSync(stampFile, { force: true });
  const expected = stamp(); // Before npm reads the lock file: one that changes meanwhile is installed again.
  const npm = npmCommand();
  // No package needs its install script: the PostgreSQL ones only make links, which the tests' cache makes itself.
  const flags = ['--ignore-scripts', '--include=dev', '--include=optional', '--no-audit', '--no-fund'];
  const { code, output } = await run(
    npm.command,
    [...npm.arguments, 'ci', ...flags, '--engine-strict=false', '--loglevel=error'],
    folder,
  );
  if (code !== 0) throw new Refusal(`\n${output}\nnpm ci failed in "${folder}" (exit code ${code}).`);
  mkdirSync(dirname(stampFile), { recursive: true }); // npm makes none where no package fits the platform.
  writeFileSync(stampFile, expected);
}

/** The npm that started us when there is one, as it belongs to the Node that runs this; else the one in PATH. */
function npmCommand() {
  const npmScript = process.env.npm_execpath;
  if (npmScript?.endsWith('npm-cli.js') && existsSync(npmScript)) {
    return { command: process.execPath, arguments: [npmScript] };
  }
  return { command: 'npm', arguments: [] };
}

function run(command, commandArguments, cwd) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, commandArguments, { cwd, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text) => {
        output += text;
      });
    }
    child.once('error', (error) => reject(new Refusal(`could not start "${command}": ${error.message}`)));
    child.once('close', (code, signal) => resolve({ code: code ?? signal, output }));
  });
}

/**
 * Takes a lock between processes: a directory that holds its owner's process id.
 *
 * It is filled under another name and renamed into place, which fails while a filled one is there; so a lock never
 * stands without its owner, and one whose owner is dead can be told and put aside.
 */
async function takeLock(lock) {
  mkdirSync(dirname(lock), { recursive: true });
  const mine = mkdtempSync(`${lock}-`);
  writeFileSync(join(mine, 'owner'), String(process.pid));
  const deadline = Date.now() + lockWaitMsMax;
  for (let told = false; ; ) {
    try {
      renameSync(mine, lock);
      return () => rmSync(lock, { recursive: true, force: true });
    } catch (error) {
      if (!['ENOTEMPTY', 'EEXIST', 'EPERM'].includes(error.code)) throw error;
    }
    const owner = readIfThere(join(lock, 'owner'));
    if (owner !== undefined && !isAlive(Number(owner))) {
      putAside(lock, owner);
      continue;
    }
    if (Date.now() > deadline) {
      rmSync(mine, { recursive: true, force: true });
      throw new Refusal(
        `process ${owner} has held "${lock}" for too long; end it, or remove that directory, and try again.`,
      );
    }
    if (!told && owner !== undefined) process.stderr.write(`Waiting for process ${owner}, which is installing …\n`);
    told = true;
    await new Promise((resolve) => setTimeout(resolve, lockPollMs));
  }
}

/** Moves a dead owner's lock away; the look at what was moved guards against having moved its successor. */
function putAside(lock, deadOwner) {
  const aside = `${lock}-dead-${process.pid}`;
  try {
    renameSync(lock, aside);
  } catch (error) {
    if (error.code === 'ENOENT') return; // Another process was quicker.
    throw error;
  }
  if (readIfThere(join(aside, 'owner')) === deadOwner) rmSync(aside, { recursive: true, force: true });
  else renameSync(aside, lock);
}

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM'; // It is there, and somebody else's.
  }
}

function findNode() {
  if (existsSync(pinnedNode)) return pinnedNode;
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major > nodeMajorMin || (major === nodeMajorMin && minor >= nodeMinorMin)) return process.execPath;
  throw new Refusal(
    `Node ${nodeMajorMin}.${nodeMinorMin} or newer is needed, and this is ${process.versions.node}.\n` +
      `The toolchain has none for ${platform}: "${pinnedNode}" is missing.\n` +
      `Install Node ${nodeMajorMin} from https://nodejs.org and run the command again.`,
  );
}

function commandLine(script, rest) {
  const node = findNode();
  if (script === 'exec') {
    const [command, ...commandArguments] = rest[0] === '--' ? rest.slice(1) : rest;
    if (command === undefined)
      throw new Refusal('exec needs a command: node bin/launch.mjs exec -- <command> [arguments]');
    return { node, command, arguments: commandArguments };
  }
  const entry = join(root, entries[script]);
  if (!existsSync(entry)) throw new Refusal(`this checkout has no "${entries[script]}", which "${script}" would run.`);
  const flags = ['--disable-warning=ExperimentalWarning', '--conditions=holdfast-source'];
  return { node, command: node, arguments: [...flags, entry, ...rest] };
}

/** Runs the script in our place as far as can be: same streams, its signals, its exit code. */
function hand({ node, command, arguments: commandArguments }) {
  const environment = { ...process.env, PATH: `${dirname(node)}${delimiter}${process.env.PATH ?? ''}` };
  // A terminal sends its signals to the child as well; passing them on would be a second Ctrl-C.
  const inTerminal = [0, 1, 2].some((descriptor) => isatty(descriptor));
  let child;
  // Before the child is there: one that is quick may have somebody signal us the moment it runs.
  for (const signal of ['SIGINT', 'SIGQUIT', 'SIGHUP', 'SIGTERM']) {
    process.on(signal, () => {
      if (signal === 'SIGTERM' || !inTerminal) child.kill(signal);
    });
  }
  child = spawn(command, commandArguments, { stdio: 'inherit', env: environment });
  return new Promise((resolve, reject) => {
    child.once('error', (error) => reject(new Refusal(`could not start "${command}": ${error.message}`)));
    child.once('exit', (code, signal) => resolve(code ?? 128 + constants.signals[signal]));
  });
}

async function main() {
  const [script, ...rest] = process.argv.slice(2);
  const known = [...Object.keys(entries), 'install', 'exec'];
  if (!known.includes(script)) throw new Refusal(`expected one of ${known.join(', ')}; found "${script ?? ''}".`);
  await install();
  return script === 'install' ? 0 : await hand(commandLine(script, rest));
}

try {
  process.exitCode = await main();
} catch (error) {
  if (!(error instanceof Refusal)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
}
