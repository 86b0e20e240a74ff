import { findRegressions, type Ledger, type LedgerEvent, openLedger, RememberedHeads } from '../ledger/index.ts';
import { codeOf, messageOf } from '../lib/index.ts';
import { formatLsn, formatTimestamp } from '../postgres/index.ts';
import type { Repository } from '../repository/index.ts';
import type { RestoreProposal } from './proposal.ts';
import { formatRecoveryTarget } from './recovery-target.ts';
import type { ClaimedTarget } from './stages/claim-target.ts';
import type { Loss } from './stages/measure-loss.ts';

/**
 * What is written down of a restore while it goes on: entries in the ledger, and the marker in the restored directory.
 *
 * A restore does not fail for want of an entry: in a disaster the credentials at hand may only read. Then `notes` say so.
 */
export class RestoreRecord {
  readonly notes: string[] = [];
  readonly #proposal: RestoreProposal;
  readonly #ledger: Ledger | null;
  #target: ClaimedTarget | null = null;
  #isSealed = false;

  /** Made by `openRestoreRecord`. */
  constructor(proposal: RestoreProposal, ledger: Ledger | null, notes: readonly string[]) {
    this.#proposal = proposal;
    this.#ledger = ledger;
    this.notes.push(...notes);
  }

  async started(): Promise<void> {
    await this.#append('started', {});
  }

  /** The marker is there; from now on a failure is written into it. */
  claimed(target: ClaimedTarget): void {
    this.#target = target;
  }

  /** The directory is complete: a server that is started on it recovers. */
  async sealed(): Promise<void> {
    this.#isSealed = true;
    await this.#target?.mark('ready');
  }

  async done(lost: Loss, isRecovered: boolean): Promise<void> {
    if (isRecovered) await this.#target?.mark('recovered');
    const { last, commits } = lost;
    await this.#append('done', {
      recovered: isRecovered,
      lostCommits: commits,
      lastLostCommitAt: last === null ? null : formatTimestamp(last.at),
    });
  }

  /** Before it was complete the directory may be used again for the same restore; afterwards it is nobody's to use. */
  async failed(error: unknown): Promise<void> {
    const reason = messageOf(error);
    try {
      await this.#target?.mark(this.#isSealed ? 'failed' : 'restoring', reason);
    } catch (markError) {
      // The restore's own failure is what the user must hear of; without the reason the marker still says that the restore was not finished.
      this.notes.push(`The failure could not be written into the directory: ${messageOf(markError)}.`);
    }
    await this.#append('failed', { reason, code: codeOf(error) ?? null });
  }

  async #append(outcome: LedgerEvent['outcome'], facts: LedgerEvent['facts']): Promise<void> {
    if (this.#ledger === null) return;
    const { snapshot, target, into } = this.#proposal;
    try {
      await this.#ledger.append({
        action: 'restore',
        outcome,
        subject: snapshot.id,
        facts: {
          cluster: snapshot.cluster,
          into,
          target: formatRecoveryTarget(target.asked),
          position: formatLsn(target.reachedLsn),
          timeline: target.timeline,
          ...facts,
        },
      });
    } catch (error) {
      this.notes.push(`The ledger has no entry that this restore was ${outcome}: ${messageOf(error)}.`);
    }
  }
}

/**
 * What this host has seen of the ledger and the store lacks: of a copy that was behind when the primary was lost, or of a place that hides what is newest. Whoever only reads is not
 * stopped by it, as it may be all that is left.
 */
async function noteRegressions({
  repository,
  stateDirectory,
}: {
  repository: Repository;
  stateDirectory: string;
}): Promise<string[]> {
  try {
    const lost = await findRegressions(repository, new RememberedHeads(stateDirectory, repository.id));
    if (lost.length === 0) return [];
    return ['The ledger lacks entries that this host has seen: what is newest may be missing here, or hidden.'];
  } catch (error) {
    return [`Whether the ledger is what it was could not be found out: ${messageOf(error)}.`];
  }
}

/** What keeps a ledger from being written and is no reason to refuse a restore to a position that was named. */
export async function openRestoreRecord(
  options: { repository: Repository; stateDirectory: string },
  proposal: RestoreProposal,
): Promise<RestoreRecord> {
  if (options.repository.access === 'read') {
    return new RestoreRecord(proposal, null, [
      'The repository was opened for reading: the ledger has no entry of this restore.',
      ...(await noteRegressions(options)),
    ]);
  }
  try {
    return new RestoreRecord(proposal, await openLedger(options.repository, options.stateDirectory), []);
  } catch (error) {
    // A store that hides what it had may hide the newest WAL as well (rule B4): "latest" would then be a lie.
    if (codeOf(error) === 'LEDGER_HEAD_REGRESSED' && proposal.target.asked.kind === 'latest') throw error;
    return new RestoreRecord(proposal, null, [`The ledger has no entry of this restore: ${messageOf(error)}.`]);
  }
}
