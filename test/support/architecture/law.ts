import { posix } from 'node:path';
import { listImports, listWorldlyCalls } from './imports.ts';

/** The folders of src/: each imports only from those above it. The public library stands last and is imported by none. */
export const layers = [
  ...['lib', 'repository', 'postgres', 'plan', 'ledger', 'providers', 'protect', 'restore', 'prove', 'watch'],
  ...['recover', 'respond', 'dashboard', 'agent', 'cli', 'index.ts'],
];

/**
 * The order inside a wing. `.` is where the wing's own files stand, together with its sub-folders that are not named
 * (such as `stages/`).
 */
export const wings: Record<string, readonly string[]> = {
  protect: ['wal', 'locks', 'backup', 'logical', 'application', 'retention', 'keys', 'replication', '.'],
  restore: ['erasure', 'data-checks', '.'],
  prove: ['.'],
  watch: ['notify', '.'],
  recover: ['inbox', '.', 'lab', 'drill'],
  respond: ['incident', 'checklist', 'evidence', 'handbook', '.'],
};

/** Folders that never import each other, whatever their order. */
const strangers = [['postgres', 'repository']];

/** Folders that import from these only. */
const onlyFrom: Record<string, readonly string[]> = { plan: ['lib'] };

/** Where execution begins; all else has to be reached from here, or from the folders outside src/ that use it. */
const entries = ['src/index.ts', 'src/cli/main.ts'];

/** Where real time may be asked for: the clock itself, and the command line, which hands it in. */
const worldly = (path: string) => path === 'src/lib/clock.ts' || path.startsWith('src/cli/');

/** One breach of the law, as a line that names the file and says what is wrong. */
export type Breach = string;

/** `files`: path from the checkout, with slashes, to its text. Only those of src/ are judged. */
export function findBreaches(files: ReadonlyMap<string, string>): Breach[] {
  const breaches: Breach[] = [];
  for (const [path, source] of files) {
    if (!isProductFile(path)) continue;
    if (layerOf(path) === -1) breaches.push(`${path}: its folder is not in the list of layers`);
    for (const name of listImports(source)) breaches.push(...breachesOfImport(path, name));
    if (worldly(path)) continue;
    breaches.push(
      ...listWorldlyCalls(source).map((call) => `${path}: calls ${call}; take a Clock or what is handed in`),
    );
  }
  return breaches;
}

/** Files of src/ to which no way leads from where execution begins; a test that imports one does not count. */
export function findIdleFiles(files: ReadonlyMap<string, string>): string[] {
  const reached = findReached(files);
  return [...files.keys()].filter((path) => isProductFile(path) && !reached.has(path));
}

function isProductFile(path: string): boolean {
  return path.startsWith('src/') && path.endsWith('.ts') && !path.endsWith('.test.ts') && !path.endsWith('.d.ts');
}

function breachesOfImport(path: string, name: string): Breach[] {
  const breach = (why: string) => [`${path}: imports "${name}"; ${why}`];
  if (/^(?:node:)?timers(?:\/promises)?$/.test(name) && !worldly(path)) return breach('take a Clock');
  if (name === 'holdfast' || name.startsWith('holdfast/')) return breach('the public library is for users of it');
  const target = resolveImport(path, name);
  if (target === undefined || target === 'package.json') return [];
  if (!target.startsWith('src/')) return breach('nothing outside src/ belongs to the product');
  if (target.endsWith('.test.ts')) return breach('a test is not part of the product');
  return [breachOfLayers(path, target), breachOfIndex(path, target)].flatMap((why) => (why ? breach(why) : []));
}

/** The file that a relative name means, from the checkout; `undefined` for a package. */
function resolveImport(path: string, name: string): string | undefined {
  return name.startsWith('.') ? posix.normalize(posix.join(posix.dirname(path), name)) : undefined;
}

function layerOf(path: string): number {
  return layers.indexOf(folderOf(path));
}

function folderOf(path: string): string {
  return path.split('/')[1] as string;
}

function breachOfLayers(from: string, to: string): string | undefined {
  const [source, target] = [folderOf(from), folderOf(to)];
  if (source === target) return breachOfWing(from, to);
  const pair = strangers.find((both) => both.includes(source) && both.includes(target));
  if (pair !== undefined) return `${pair.join('/ and ')}/ never import each other`;
  const allowed = onlyFrom[source];
  if (allowed !== undefined && !allowed.includes(target)) return `${source}/ imports only ${allowed.join(', ')}/`;
  if (layerOf(to) >= layerOf(from)) return `${target} does not stand above ${source} in the list of layers`;
  return undefined;
}

function breachOfWing(from: string, to: string): string | undefined {
  const order = wings[folderOf(from)];
  if (order === undefined) return undefined;
  // The wing's own index.ts gathers what all its parts offer.
  if (from === `src/${folderOf(from)}/index.ts`) return undefined;
  const [source, target] = [from, to].map((path) => wingPart(path, order)) as [string, string];
  if (source === target || order.indexOf(target) < order.indexOf(source)) return undefined;
  return `in the wing ${folderOf(from)}/, ${partName(target)} does not stand above ${partName(source)}`;
}

function wingPart(path: string, order: readonly string[]): string {
  const [, , part] = path.split('/');
  return part !== undefined && order.includes(part) ? part : '.';
}

function partName(part: string): string {
  return part === '.' ? 'what stands in the wing itself' : `${part}/`;
}

/**
 * Another folder is entered through its index.ts. Not another folder: one that the file lies in, and, within the same
 * top folder or part of a wing, one that lies beside the file, such as the `stages/` of a recipe.
 */
function breachOfIndex(from: string, to: string): string | undefined {
  const [source, target] = [posix.dirname(from), posix.dirname(to)];
  if (posix.basename(to) === 'index.ts') {
    const isOwn = `${source}/`.startsWith(`${target}/`);
    return isOwn ? 'a file does not import the index.ts of a folder that it lies in' : undefined;
  }
  const inside = `${source}/`.startsWith(`${target}/`) || `${target}/`.startsWith(`${source}/`);
  if (inside && sameUnit(from, to)) return undefined;
  return 'another folder is imported through its index.ts only';
}

function sameUnit(from: string, to: string): boolean {
  if (folderOf(from) !== folderOf(to)) return false;
  const order = wings[folderOf(from)];
  return order === undefined || wingPart(from, order) === wingPart(to, order);
}

/** Every file that some way leads to: from the entries, from what uses src/ outside of it, from workers that are started. */
function findReached(files: ReadonlyMap<string, string>): Set<string> {
  const users = [...files.keys()].filter((path) => !path.startsWith('src/') && !path.startsWith('test/'));
  const reached = new Set<string>();
  const waiting = [...entries, ...users];
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    const source = files.get(path);
    if (source === undefined || reached.has(path)) continue;
    reached.add(path);
    for (const name of listImports(source)) {
      const target = name === 'holdfast' ? 'src/index.ts' : resolveImport(path, name);
      if (target !== undefined) waiting.push(target);
    }
  }
  return reached;
}
