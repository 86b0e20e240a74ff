import { stat } from 'node:fs/promises';
import { networkInterfaces } from 'node:os';
import { findLostByCopies, findLostByPrimary, findRegressions, RememberedHeads } from '../../ledger/index.ts';
import { type Clock, codeOf, HoldfastError } from '../../lib/index.ts';
import type { ConnectionTarget } from '../../postgres/index.ts';
import { readReceiverStatuses, readWalInventory, STATUS_FRESH_MS, serverSideName } from '../../protect/wal/index.ts';
import {
  type Credential,
  listSlots,
  type ObjectStore,
  openRepository,
  type Repository,
} from '../../repository/index.ts';
import type { AwayFacts } from '../copies/index.ts';
import { isOwnAddress, isServerHere } from '../own-machine.ts';
import { readStatus } from '../read-status.ts';
import { type Area, advice, type Check, checksOf, shell } from './check.ts';
import { findDataDirectory } from './data-directory.ts';
import { type CopyQuestion, gatherCopies } from './gather-copies.ts';
import { gatherHost } from './gather-host.ts';
import { gatherServer, tryReplication } from './gather-server.ts';
import { gatherStore, listLeases } from './gather-store.ts';
import { judgeArchiving } from './judge-archiving.ts';
import { judgeContents } from './judge-contents.ts';
import { judgeCopies, judgeDistance } from './judge-copies.ts';
import { judgeHost } from './judge-host.ts';
import { judgeIncrements } from './judge-increments.ts';
import { judgeKeys } from './judge-keys.ts';
import { judgeProtection } from './judge-protection.ts';
import { judgeReplication } from './judge-replication.ts';
import { judgeRights, type LinkFacts } from './judge-rights.ts';
import { judgeServer } from './judge-server.ts';
import { judgeLeases, judgeStore } from './judge-store.ts';
import type { KeysFacts } from './keys-facts.ts';
import { gatherPushSocket, judgePushSocket } from './push-socket.ts';
import type { ReplicationLogin, ServerFacts } from './server-facts.ts';
import type { StoreFacts } from './store-facts.ts';

/** What there is to look at; whatever is `null` is told as not looked at. */
export interface DoctorOptions {
  readonly clock: Clock;
  /** The name of the cluster; `null` when none was given, and then it is the only one that the repository keeps, or the one that the server is. */
  readonly cluster: string | null;
  /** The name that a cluster has for which nobody gave one. */
  readonly defaultCluster: string;
  readonly source: ConnectionTarget | null;
  readonly store: { readonly store: ObjectStore; readonly directory: string | null } | null;
  readonly copies: readonly CopyQuestion[];
  /** Which of the places, the primary first, are on this machine. */
  readonly places: AwayFacts['places'];
  readonly credential: Credential | null;
  /** The file that the passphrase was read from, when it was one. */
  readonly passphraseFile: string | null;
  readonly stateDirectory: string;
}

/** All that was looked at, the worst first within each area. */
export interface DoctorReport {
  readonly checks: readonly Check[];
  /** The cluster that was looked at. */
  readonly cluster: string;
  /** `problem` when a check is one; `not-looked` when the only one is that the server was away; `not-told` when neither server nor repository was named. */
  readonly outcome: 'well' | 'problem' | 'not-looked' | 'not-told';
}

/** What became of asking the server. */
type ServerAnswer = { readonly facts: ServerFacts | null; readonly refusal: HoldfastError | null };

/** What the repository says, when it opens. */
interface RepositoryFacts {
  readonly cluster: string;
  /** Whether it is clear which of several clusters is meant. */
  readonly isChosen: boolean;
  readonly knownSystems: readonly string[];
  readonly receiverRuns: boolean;
}

/** Which cluster is looked at, and the name of its slot. */
interface Subject {
  readonly cluster: string;
  readonly slot: string;
}

/**
 * Looks at the server, the rights, this host, the keys, the store and the state of protection, and judges what it saw.
 *
 * It changes nothing but a few small objects in each place, which it removes again. What cannot be looked at is told and is no error.
 * Errors: none of those parts; only faults of the program.
 */
export async function runDoctor(options: DoctorOptions): Promise<DoctorReport> {
  const { clock } = options;
  const server = await askServerIfGiven(options);
  const replication = await tryReplicationIfGiven(options, server);
  const link = options.source === null ? null : await describeLink(options.source, replication, server.facts);
  const opening = await openIfGiven(options);
  try {
    const keys = await describeKeys(options, opening);
    const known = opening.repository === null ? null : await readKnown(opening.repository, options, server);
    const cluster = known?.cluster ?? options.cluster ?? options.defaultCluster;
    const subject = { cluster, slot: serverSideName(cluster) };
    const host = await gatherHost({
      repositoryDirectory: options.store?.directory ?? null,
      stateDirectory: options.stateDirectory,
      dataDirectory: server.facts === null ? null : await findDataDirectory(server.facts),
      serverMajor: server.facts?.version.major ?? null,
    });
    const store =
      options.store === null ? null : await gatherStore(options.store.store, options.store.directory, clock);
    const copies =
      options.store === null || options.copies.length === 0
        ? null
        : await gatherCopies(options.store.store, options.copies, clock);
    const now = clock.now();
    const checks = [
      ...judgeServerAnswer({ ...options, ...subject }, server, known, host.volumes.data?.freeBytes ?? null, now),
      ...(link === null ? [] : judgeRights({ link, server: server.facts, replication, now })),
      ...judgeHost(host, {
        clockOffset: server.facts?.clockOffset ?? null,
        storeOffsetMs: store?.probe.kind === 'done' ? store.probe.facts.offsetMs : null,
        locales: server.facts?.locales ?? null,
      }),
      ...judgePushSocket(
        server.facts === null ? null : await gatherPushSocket(options.stateDirectory, server.facts.system),
      ),
      ...judgeKeys(keys),
      ...(store === null ? [notGiven('store', 'store', 'No repository was named')] : judgeStore(store, host.volumes)),
      ...(copies === null ? [] : judgeCopies(copies, host.volumes.data)),
      ...(store === null
        ? []
        : [judgeDistance({ places: options.places, serverIsHere: isServerHere(options.source) })]),
      ...judgeChoice(known),
      ...(await judgeOpened({ ...options, ...subject }, opening.repository, store, server.facts !== null)),
    ];
    return { cluster, checks: checks.toSorted(byAreaAndVerdict), outcome: sumUp(checks, server, options) };
  } finally {
    await opening.repository?.close();
  }
}

/** That a server is away may be over in a minute; everything else that is wrong was seen to be so. */
function sumUp(
  checks: readonly Check[],
  { refusal }: ServerAnswer,
  { source, store }: DoctorOptions,
): DoctorReport['outcome'] {
  const problems = checks.filter(({ verdict }) => verdict === 'problem').map(({ code }) => code);
  // Whoever lost the environment, as a timer does, must not hear that all is well.
  if (problems.length === 0) return source === null && store === null ? 'not-told' : 'well';
  const onlyAway = refusal !== null && isAway(refusal) && problems.every((code) => code === 'server-reachable');
  return onlyAway ? 'not-looked' : 'problem';
}

function judgeChoice(known: RepositoryFacts | null): Check[] {
  if (known === null || known.isChosen) return [];
  const sentence = `The repository keeps several clusters and none was named; "${known.cluster}" was looked at. Name one with --cluster`;
  return [notGiven('protection', 'cluster', sentence)];
}

const areas: readonly Area[] = ['server', 'rights', 'host', 'keys', 'store', 'protection'];
const verdicts: readonly Check['verdict'][] = ['problem', 'warning', 'unseen', 'ok'];

function byAreaAndVerdict(a: Check, b: Check): number {
  return areas.indexOf(a.area) - areas.indexOf(b.area) || verdicts.indexOf(a.verdict) - verdicts.indexOf(b.verdict);
}

function notGiven(area: Area, code: string, sentence: string): Check {
  return checksOf(area).unseen(code, `${sentence}, so nothing was looked at there.`);
}

async function askServerIfGiven({ source, clock }: DoctorOptions): Promise<ServerAnswer> {
  if (source === null) return { facts: null, refusal: null };
  try {
    return { facts: await gatherServer(source, clock), refusal: null };
  } catch (error) {
    if (error instanceof HoldfastError) return { facts: null, refusal: error };
    throw error;
  }
}

async function tryReplicationIfGiven(
  { source, clock }: DoctorOptions,
  server: ServerAnswer,
): Promise<ReplicationLogin> {
  if (source === null) return { kind: 'unseen', why: 'no connection was given' };
  // A server that nobody reaches says nothing about rights; one that lets us in for replication alone does.
  if (server.refusal !== null && isAway(server.refusal)) return { kind: 'unseen', why: 'the server did not answer' };
  return await tryReplication(source, clock);
}

/** Nobody answered, or not yet: that may be over in a minute. */
function isAway({ retryable }: HoldfastError): boolean {
  return retryable;
}

async function describeLink(
  source: ConnectionTarget,
  replication: ReplicationLogin,
  server: ServerFacts | null,
): Promise<LinkFacts> {
  const addresses = server?.addresses ?? null;
  const isSame = addresses !== null && addresses.client === addresses.server;
  const isOnThisHost = source.isLocal || isOwnAddress(source.host) || isSame;
  const passwordFile = source.parts.passwordFile ?? null;
  const mode = passwordFile === null ? null : await modeOf(passwordFile);
  return {
    ...{ host: source.host, user: source.user, sslMode: source.parts.sslMode },
    isOnThisHost,
    clientAddress: source.isLocal ? null : (addresses?.client ?? (isOnThisHost ? '127.0.0.1' : firstOwnAddress())),
    isEncrypted: replication.kind === 'done' ? replication.isEncrypted : null,
    passwordFile: passwordFile === null || mode === null ? null : { path: passwordFile, mode },
  };
}

async function modeOf(path: string): Promise<number | null> {
  try {
    return (await stat(path)).mode;
  } catch {
    // Not there, or closed to us: there is nothing that others could read by our fault.
    return null;
  }
}

/** The first address under which another host sees this one; a guess where there are several. */
function firstOwnAddress(): string {
  const addresses = Object.values(networkInterfaces()).flatMap((each) => each ?? []);
  return addresses.find(({ internal }) => !internal)?.address ?? '127.0.0.1';
}

interface Opening {
  readonly repository: Repository | null;
  readonly refusal: HoldfastError | null;
}

async function openIfGiven({ store, credential, clock }: DoctorOptions): Promise<Opening> {
  if (store === null || credential === null) return { repository: null, refusal: null };
  try {
    return {
      repository: await openRepository({ store: store.store, credential, access: 'read', clock }),
      refusal: null,
    };
  } catch (error) {
    if (error instanceof HoldfastError) return { repository: null, refusal: error };
    throw error;
  }
}

async function describeKeys(options: DoctorOptions, { repository, refusal }: Opening): Promise<KeysFacts> {
  const { store, credential, passphraseFile } = options;
  return {
    opening: await describeOpening(options, repository, refusal),
    source: await describeSource(credential, passphraseFile),
    repositoryDirectory: store?.directory ?? null,
  };
}

async function describeSource(
  credential: Credential | null,
  passphraseFile: string | null,
): Promise<KeysFacts['source']> {
  switch (credential?.kind) {
    case undefined:
      return { kind: 'none' };
    case 'key-file':
    case 'age-identity':
      return { kind: credential.kind, file: { path: credential.path, mode: await modeOf(credential.path) } };
    case 'command':
      return { kind: 'command' };
    default:
      return passphraseFile === null
        ? { kind: 'passphrase' }
        : { kind: 'passphrase-file', file: { path: passphraseFile, mode: await modeOf(passphraseFile) } };
  }
}

async function describeOpening(
  { store }: DoctorOptions,
  repository: Repository | null,
  refusal: HoldfastError | null,
): Promise<KeysFacts['opening']> {
  if (repository !== null) return { kind: 'opened', ...(await listSlots(repository)) };
  if (refusal !== null) {
    const { code, message, detail, hints } = refusal;
    return { kind: 'refused', code, hints, sentence: [`${message}.`, detail ?? ''].join(' ').trim() };
  }
  return {
    kind: 'unseen',
    why: store === null ? 'no repository was named' : 'no passphrase and no key file was given',
  };
}

/** What the repository keeps of the cluster that is meant. Errors: those of the store. */
async function readKnown(
  repository: Repository,
  options: DoctorOptions,
  server: ServerAnswer,
): Promise<RepositoryFacts> {
  const { snapshots } = await repository.listSnapshots();
  const { lineages } = await readWalInventory(repository);
  const kept = [
    ...snapshots.map(({ cluster, wal }) => ({ cluster, system: wal.system })),
    ...lineages.map(({ header, system }) => ({ cluster: header.cluster, system })),
  ];
  const names = [...new Set(kept.map(({ cluster }) => cluster))];
  const bySystem = kept.find(({ system }) => system === server.facts?.system)?.cluster;
  const only = names.length === 1 ? names[0] : bySystem;
  const cluster = options.cluster ?? only ?? options.defaultCluster;
  const receivers = await readReceiverStatuses(repository);
  return {
    cluster,
    isChosen: options.cluster !== null || only !== undefined || names.length === 0,
    knownSystems: [...new Set(kept.filter((each) => each.cluster === cluster).map(({ system }) => system))],
    receiverRuns: receivers.some((each) => each.cluster === cluster && each.running && each.ageMs < STATUS_FRESH_MS),
  };
}

function judgeServerAnswer(
  { source, cluster, slot }: Omit<DoctorOptions, 'cluster'> & Subject,
  { facts, refusal }: ServerAnswer,
  known: RepositoryFacts | null,
  freeBytes: number | null,
  now: number,
): Check[] {
  const { ok, problem } = checksOf('server');
  if (source === null) return [notGiven('server', 'server', 'No connection to a server was given')];
  if (facts === null) {
    const found = refusal === null ? '' : [`${refusal.message}.`, refusal.detail ?? ''].join(' ').trim();
    return [
      problem('server-reachable', `The ${source.place} could not be asked.`, {
        found,
        expected: 'a connection for SQL',
        why: 'Nothing that depends on its settings could be looked at.',
        mends: [shell('pg_isready -d "$DATABASE_URL"'), ...(refusal?.hints ?? []).map(advice)],
      }),
    ];
  }
  return [
    ok('server-reachable', `The ${source.place} answers.`),
    ...judgeServer(facts, { cluster, knownSystems: known?.knownSystems ?? null, now }),
    ...judgeReplication(facts, { slot, walDirectoryFreeBytes: freeBytes }),
    ...judgeIncrements(facts),
    ...judgeArchiving(facts, { receiverRuns: known?.receiverRuns ?? null }),
    ...judgeContents(facts),
  ];
}

/** What only an opened repository tells. A store that fails half-way is told as one that was not looked at to the end. */
async function judgeOpened(
  options: Omit<DoctorOptions, 'cluster'> & Subject,
  repository: Repository | null,
  store: StoreFacts | null,
  serverAnswers: boolean,
): Promise<Check[]> {
  if (repository === null || store === null) {
    return [notGiven('protection', 'protection', 'The repository was not opened')];
  }
  try {
    const status = await readStatus({
      repository,
      cluster: options.cluster,
      clock: options.clock,
      ...(options.source === null || !serverAnswers ? {} : { source: options.source }),
    });
    return [
      judgeLeases(await listLeases(repository)),
      ...judgeProtection({
        status: status.clusters[0]!,
        findings: status.findings,
        regressions: await readRegressions(repository, options.stateDirectory),
      }),
    ];
  } catch (error) {
    if (!(error instanceof HoldfastError)) throw error;
    return [
      checksOf('protection').unseen('protection', `The state of protection could not be read: ${error.message}.`),
    ];
  }
}

async function readRegressions(repository: Repository, stateDirectory: string): Promise<string[] | null> {
  try {
    const found = [
      ...(await findRegressions(repository, new RememberedHeads(stateDirectory, repository.id))),
      ...(await findLostByPrimary(repository, stateDirectory)),
      ...(await findLostByCopies(repository, stateDirectory)),
    ];
    return found.map(({ writer, remembered, found: how, ...where }) => {
      const place = 'place' in where ? ` in copy "${where.place}"` : '';
      return `Entry ${remembered?.seq} of writer ${writer} is ${how}${place}.`;
    });
  } catch (error) {
    if (codeOf(error) === 'STATE_UNREADABLE') return null;
    throw error;
  }
}
