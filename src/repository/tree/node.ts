import { ByteReader, ByteWriter } from '../../lib/index.ts';
import { comparePaths, isTreePath, type TreeEntry } from './entry.ts';
import { readFileMapFrom, writeFileMap } from './file-map.ts';
import { treeInvalid } from './tree-invalid.ts';

/** What an inner node says of one node below it. */
export interface Child {
  /** The path of the first entry below. */
  firstPath: string;
  id: Buffer;
  /** Regular files below, and their bytes. */
  files: number;
  bytes: number;
}

/** A node as it is read. */
export type TreeNode = { type: 'leaf'; entries: TreeEntry[] } | { type: 'inner'; children: Child[] };

export const NODE_HEAD_BYTES = 8;

const NODE_VERSION = 1;
const TYPE_LEAF = 1;
const TYPE_INNER = 2;

const ENTRY_TYPES = { file: 1, directory: 2, link: 3 } as const;
const FORM_INLINE = 0;
const FORM_SPLIT = 1;

/** Joins encoded entries or children. Shape: u8 version 1 · u8 type (1 leaf, 2 inner) · u16 zero · u32 count · entries. */
export function encodeNode(type: 'leaf' | 'inner', items: readonly Buffer[]): Buffer {
  const head = new ByteWriter(NODE_HEAD_BYTES);
  head
    .u8(NODE_VERSION)
    .u8(type === 'leaf' ? TYPE_LEAF : TYPE_INNER)
    .u16(0)
    .u32(items.length);
  return Buffer.concat([head.finish(), ...items]);
}

/** Shape: text path · u8 type · u32 mode · u64 mtime in ms · u64 size · [link: text target | file: u8 form · map or leaves]. */
export function encodeEntry(entry: TreeEntry): Buffer {
  const writer = new ByteWriter(160);
  writer.text(entry.path).u8(ENTRY_TYPES[entry.type]).u32(entry.mode).u64(BigInt(entry.mtimeMs));
  writer.u64(entry.type === 'file' ? BigInt(entry.size) : 0n);
  if (entry.type === 'link') writer.text(entry.target);
  if (entry.type === 'file') {
    const { content } = entry;
    if (content.form === 'inline') writeFileMap(writer.u8(FORM_INLINE), content.map);
    else {
      writer.u8(FORM_SPLIT).u32(content.leaves.length);
      for (const id of content.leaves) writer.bytes(id);
    }
  }
  return writer.finish();
}

/** Shape: text first path · 32 child · u64 files below · u64 bytes below. */
export function encodeChild(child: Child): Buffer {
  const writer = new ByteWriter(128);
  writer.text(child.firstPath).bytes(child.id).u64(BigInt(child.files)).u64(BigInt(child.bytes));
  return writer.finish();
}

/** Reverses `encodeNode`; identities are views. Errors: `TREE_INVALID`, also for paths that lead astray or are out of order. */
export function decodeNode(bytes: Uint8Array): TreeNode {
  try {
    const reader = new ByteReader(bytes);
    const version = reader.u8();
    const type = reader.u8();
    if (version !== NODE_VERSION || reader.u16() !== 0) throw treeInvalid(`a node has version ${version}`);
    const count = reader.u32();
    const node = readItems(reader, type, count);
    reader.end();
    return node;
  } catch (error) {
    throw treeInvalid('a node has a form that this version does not write', error);
  }
}

function readItems(reader: ByteReader, type: number, count: number): TreeNode {
  if (type === TYPE_LEAF) {
    const entries: TreeEntry[] = [];
    while (entries.length < count) entries.push(readEntry(reader));
    checkOrder(entries.map(({ path }) => path));
    return { type: 'leaf', entries };
  }
  if (type !== TYPE_INNER) throw treeInvalid(`a node has type ${type}`);
  const children: Child[] = [];
  while (children.length < count) {
    const firstPath = reader.text();
    children.push({ firstPath, id: reader.bytes(32), files: readCount(reader), bytes: readCount(reader) });
  }
  checkOrder(children.map(({ firstPath }) => firstPath));
  return { type: 'inner', children };
}

function readEntry(reader: ByteReader): TreeEntry {
  const path = reader.text();
  if (!isTreePath(path)) throw treeInvalid(`an entry has the path ${JSON.stringify(path)}`);
  const type = reader.u8();
  const head = { path, mode: reader.u32(), mtimeMs: readCount(reader) };
  const size = readCount(reader);
  if (type === ENTRY_TYPES.directory) return { type: 'directory', ...head };
  if (type === ENTRY_TYPES.link) return { type: 'link', ...head, target: reader.text() };
  if (type !== ENTRY_TYPES.file) throw treeInvalid(`"${path}" is of type ${type}`);
  const form = reader.u8();
  if (form === FORM_INLINE)
    return { type: 'file', ...head, size, content: { form: 'inline', map: readFileMapFrom(reader) } };
  if (form !== FORM_SPLIT) throw treeInvalid(`the map of "${path}" has form ${form}`);
  const leaves: Buffer[] = [];
  for (let left = reader.u32(); left > 0; left--) leaves.push(reader.bytes(32));
  return { type: 'file', ...head, size, content: { form: 'split', leaves } };
}

function readCount(reader: ByteReader): number {
  const value = reader.u64();
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw treeInvalid(`a number is ${value}`);
  return Number(value);
}

function checkOrder(paths: readonly string[]): void {
  for (let i = 1; i < paths.length; i++) {
    if (comparePaths(paths[i - 1]!, paths[i]!) >= 0) throw treeInvalid(`"${paths[i]}" stands behind "${paths[i - 1]}"`);
  }
}
