import { BLOCK_BYTES, PostgresError, uploadManifest } from '../../../postgres/index.ts';
import { zeroPageFingerprint } from '../../../repository/index.ts';
import type { Findings } from '../cross-check/index.ts';
import type { EntryTable } from '../entry-table.ts';
import type { FileAssembler } from '../file-assembler.ts';
import { describeBase, IncrementAssembler } from '../increment/index.ts';
import { LABEL_PATH } from '../kept-files.ts';
import type { PreviousFiles } from '../previous/index.ts';
import { Reception } from '../reception.ts';
import { checkIncrement, type IncrementVerdict } from './check-increment.ts';
import {
  beginAssembling,
  type EndedBackup,
  finishReception,
  type ReceivedFiles,
  type ReceiveOptions,
  runBaseBackup,
} from './receive-files.ts';
import type { SecuredWal } from './secured-wal.ts';
import { standbyErrorOf } from './standby-error.ts';
import { tellOfCheckpoint } from './tell-of-checkpoint.ts';

/** SQLSTATEs of this class say that somebody ended what ran, not that it cannot be. */
const OPERATOR_INTERVENTION = '57';

type IncrementOptions = ReceiveOptions & { lineage: string; base: PreviousFiles; wal: SecuredWal };

/** All that the server has, or why it could not be had as an increment, as a sentence without its full stop: then everything is to be read. */
export type IncrementOutcome =
  | { readonly received: ReceivedFiles; readonly verdict: Extract<IncrementVerdict, { why: null }> }
  | {
      readonly received: null;
      readonly why: string;
      readonly findings: Findings | null;
      readonly sparesBase?: boolean;
    };

/**
 * Has the server send what changed since `base`, and makes whole files of it over the base's maps (`docs/increments.md`). What it could not use of
 * that lies in the repository as chunks that nothing needs.
 *
 * Errors: those of `receiveFiles`.
 */
export async function receiveIncrement(options: IncrementOptions): Promise<IncrementOutcome> {
  const { connection, server, base } = options;
  const assembler = beginAssembling(options.stores);
  const increment = beginIncrement(options, assembler);
  const reception = new Reception(assembler, { ...options, previous: base, increment });
  await tellOfCheckpoint(options);
  const ended = await askForIncrement(options, reception).catch(async (error: unknown) => {
    if (!reception.hasStarted && isRefusal(error) && connection.isOpen) return error;
    throw server.isStandby ? await standbyErrorOf(error, connection) : error;
  });
  if (ended instanceof PostgresError) return refusedBy(`the server refused: ${wordsOf(ended)}`);
  const verdict = await judge(options, { ended, reception, increment });
  if (verdict.why !== null) {
    await assembler.abandon();
    return { received: null, ...verdict };
  }
  const manifest = await reception.end();
  const received = await finishReception(options, { ended, reception, assembler, manifest });
  return { received: { ...received, bytes: sumOfSizes(assembler.entries) }, verdict };
}

function beginIncrement({ repository, stores, base }: IncrementOptions, assembler: FileAssembler): IncrementAssembler {
  const { entries, collector } = assembler;
  return new IncrementAssembler({
    ...{ entries, base },
    stores: {
      pipeline: stores.ingest,
      bundler: collector.bundler,
      index: stores.index,
      storeLeaf: (raw) => stores.tree.store(raw),
      zeroFingerprint: zeroPageFingerprint(repository.keys.fingerprintKey),
    },
  });
}

async function askForIncrement(options: IncrementOptions, reception: Reception): Promise<EndedBackup> {
  await uploadManifest(options.connection, describeBase(options.base));
  return runBaseBackup(options, { incremental: true }, reception);
}

/** Before the server has begun to send, whatever it says of an increment leaves everything to be read. */
function isRefusal(error: unknown): error is PostgresError {
  return error instanceof PostgresError && !error.sqlState.startsWith(OPERATOR_INTERVENTION);
}

async function judge(
  { repository, server, lineage, base, wal }: IncrementOptions,
  { ended, reception, increment }: { ended: EndedBackup; reception: Reception; increment: IncrementAssembler },
): Promise<IncrementVerdict> {
  await increment.finish();
  if (increment.refusal !== null) return { why: increment.refusal, findings: null };
  return checkIncrement({
    ...{ repository, lineage, base: base.snapshot, system: server.identity.systemId },
    timeline: ended.backup.timeline,
    startLsn: ended.backup.startLsn,
    endLsn: ended.backup.endLsn,
    wal,
    baseBlocks: (path) => Math.ceil((base.find(path)?.size ?? 0) / BLOCK_BYTES),
    backupLabel: reception.kept.get(LABEL_PATH).toString('utf8'),
    sent: increment.sent,
  });
}

function refusedBy(why: string): IncrementOutcome {
  return { received: null, why, findings: null };
}

function wordsOf({ report }: PostgresError): string {
  const { message, detail } = report;
  return detail === undefined ? message : `${message} (${detail.replace(/\.$/, '')})`;
}

function sumOfSizes(entries: EntryTable): number {
  let bytes = 0;
  for (let row = 0; row < entries.count; row++) if (entries.isFile(row)) bytes += entries.sizeOf(row);
  return bytes;
}
