import type { Command } from '../command.ts';
import { backup } from './backup.ts';
import { completion } from './completion.ts';
import { copiesCompare } from './copies-compare.ts';
import { copiesStatus } from './copies-status.ts';
import { copiesSync } from './copies-sync.ts';
import { crossCheck } from './cross-check.ts';
import { databaseSetup } from './database-setup.ts';
import { doctor } from './doctor.ts';
import { holdAdd } from './hold-add.ts';
import { holdList } from './hold-list.ts';
import { holdRemove } from './hold-remove.ts';
import { keysAdd } from './keys-add.ts';
import { keysList } from './keys-list.ts';
import { keysNewEpoch } from './keys-new-epoch.ts';
import { keysRemove } from './keys-remove.ts';
import { keysRotate } from './keys-rotate.ts';
import { list } from './list.ts';
import { planDiff } from './plan-diff.ts';
import { planLint } from './plan-lint.ts';
import { planShow } from './plan-show.ts';
import { recoveryKit } from './recovery-kit.ts';
import { repositoryAccept } from './repository-accept.ts';
import { repositoryAcknowledge } from './repository-acknowledge.ts';
import { repositoryAttackTest } from './repository-attack-test.ts';
import { repositoryHeal } from './repository-heal.ts';
import { repositoryInfo } from './repository-info.ts';
import { repositoryInit } from './repository-init.ts';
import { repositoryLocks } from './repository-locks.ts';
import { restore } from './restore.ts';
import { settingsDiff } from './settings-diff.ts';
import { show } from './show.ts';
import { status } from './status.ts';
import { verify } from './verify.ts';
import { walCommits } from './wal-commits.ts';
import { walFetch } from './wal-fetch.ts';
import { walIndex } from './wal-index.ts';
import { walPush } from './wal-push.ts';
import { walRescue } from './wal-rescue.ts';
import { walStatus } from './wal-status.ts';
import { walStream } from './wal-stream.ts';

/** In the order in which `--help` lists them: the daily ones first. */
export const commands: readonly Command[] = [
  status,
  doctor,
  backup,
  list,
  show,
  settingsDiff,
  verify,
  crossCheck,
  restore,
  planLint,
  planShow,
  planDiff,
  databaseSetup,
  repositoryInit,
  repositoryInfo,
  repositoryHeal,
  repositoryLocks,
  repositoryAttackTest,
  repositoryAccept,
  repositoryAcknowledge,
  holdAdd,
  holdList,
  holdRemove,
  keysList,
  keysAdd,
  keysRotate,
  keysRemove,
  keysNewEpoch,
  recoveryKit,
  copiesStatus,
  copiesSync,
  copiesCompare,
  walStream,
  walStatus,
  walCommits,
  walIndex,
  walFetch,
  walPush,
  walRescue,
  completion,
];

/** The command that the first words of a line name, also when the rest cannot be understood. */
export function findCommand(words: readonly string[]): Command | undefined {
  const names = words.filter((word) => !word.startsWith('-'));
  return commands.find(({ path }) => path.every((name, index) => names[index] === name));
}
