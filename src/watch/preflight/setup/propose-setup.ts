import { formatBytes, HoldfastError } from '../../../lib/index.ts';
import { quoteIdentifier } from '../check.ts';
import { largestKept, neededSenders, neededSlots, proposeSlotBudget, standbysFirst } from '../needs.ts';
import { type ServerFacts, settingBytes } from '../server-facts.ts';
import { proposeDirect } from './direct-rights.ts';
import type {
  ExistingRole,
  RoleStep,
  SettingStep,
  SetupFacts,
  SetupProposal,
  SetupWish,
  SlotStep,
} from './setup-facts.ts';

/** An idle server archives its last segment after so long (error E5: without it, perhaps never). */
const ARCHIVE_TIMEOUT_SECONDS = 60;

const MEGABYTE = 1024 ** 2;

/** What the server shows in the place of any archive_command while archive_mode is off. Source: xlog.c, show_archive_command. */
export const ARCHIVING_OFF = '(disabled)';

/**
 * What has to be done so that base backups and WAL can leave the server. Pure; the same facts after it was done give an empty proposal.
 *
 * Errors: SETUP_ON_STANDBY, SETUP_ARCHIVE_TAKEN, SETUP_SLOT_ENDANGERED.
 */
export function proposeSetup(facts: SetupFacts, wish: SetupWish): SetupProposal {
  const { server } = facts;
  if (!server.isPrimary) throw onStandby();
  const settings = [
    ...proposeLevel(server),
    ...proposeCounts(server),
    ...proposeBudget(facts, wish),
    ...proposeSummaries(server),
    ...proposeArchive(facts, wish),
  ].map((step) => ({ ...step, isWritten: isWritten(step, facts.written) }));
  const role = wish.role === null ? null : proposeRole(facts.role, wish.role);
  const direct = facts.direct === undefined ? null : proposeDirect(facts.direct);
  const slot = proposeSlot(server, wish.slot);
  return {
    ...{ system: server.system, settings, role, direct, slot },
    needsRestart: settings.some(({ needsRestart }) => needsRestart),
    isEmpty: settings.length === 0 && role === null && direct === null && slot === null,
  };
}

type Wanted = Omit<SettingStep, 'isWritten'>;

/** A step for a parameter without a unit, unless it has the value already. */
function want(
  { settings }: ServerFacts,
  name: string,
  value: string,
  parts: { readonly why: string; readonly needsRestart: boolean; readonly to?: string },
): Wanted[] {
  const setting = settings.get(name);
  if (setting === undefined || setting.value === value) return [];
  const { why, needsRestart, to = value } = parts;
  return [{ name, from: setting.value, to, value, why, needsRestart, origin: setting.origin }];
}

function isWritten({ name, to, value }: Wanted, written: SetupFacts['written']): boolean {
  const text = written?.get(name);
  return text !== undefined && (text === to || text === value);
}

function proposeLevel(server: ServerFacts): Wanted[] {
  // "logical" holds all that "replica" does.
  if (server.settings.get('wal_level')?.value !== 'minimal') return [];
  return want(server, 'wal_level', 'replica', { why: 'WAL must hold enough to bring data back', needsRestart: true });
}

function proposeCounts(server: ServerFacts): Wanted[] {
  const atLeast = (name: string, { count, sum }: { count: number; sum: string }) =>
    Number(server.settings.get(name)?.value ?? 0) >= count
      ? []
      : want(server, name, String(count), { why: sum, needsRestart: true });
  const senders = neededSenders(server);
  const first = standbysFirst(server);
  return [
    ...atLeast('max_wal_senders', first === null ? senders : { ...senders, sum: `${senders.sum}. ${first}` }),
    ...atLeast('max_replication_slots', neededSlots(server)),
  ];
}

/** A limit that somebody chose stays unless another one is asked for. */
function proposeBudget({ server, walDirectoryFreeBytes }: SetupFacts, wish: SetupWish): Wanted[] {
  const name = 'max_slot_wal_keep_size';
  const setting = server.settings.get(name);
  if (setting === undefined) return [];
  if (wish.slotBudgetBytes === null && settingBytes(setting) !== null) return [];
  const { bytes, origin } = proposeSlotBudget(server, {
    wantedBytes: wish.slotBudgetBytes,
    freeBytes: walDirectoryFreeBytes,
  });
  if (bytes < largestKept(server)) throw slotEndangered(bytes, largestKept(server));
  const megabytes = String(Math.max(1, Math.ceil(bytes / MEGABYTE)));
  const why = `a slot must not fill the disk of the server; ${origin}`;
  return want(server, name, megabytes, { why, needsRestart: false, to: `${megabytes}MB` });
}

/** Servers before 17 do not have the parameter. */
function proposeSummaries(server: ServerFacts): Wanted[] {
  const why = 'a backup then reads only what changed since the last one';
  return want(server, 'summarize_wal', 'on', { why, needsRestart: false });
}

function proposeArchive({ server, written }: SetupFacts, wish: SetupWish): Wanted[] {
  if (wish.archiveCommand === null) return [];
  const value = (name: string) => server.settings.get(name)?.value ?? '';
  const [shown, library] = [value('archive_command'), value('archive_library')];
  const command = shown === ARCHIVING_OFF ? (written?.get('archive_command') ?? '') : shown;
  const isTaken = library !== '' || !['', wish.archiveCommand].includes(command);
  if (isTaken && !wish.replacesArchive) throw archiveTaken(library === '' ? command : library);
  return [
    ...(value('archive_mode') === 'off'
      ? want(server, 'archive_mode', 'on', { why: 'the server must hand its segments over', needsRestart: true })
      : []),
    ...(library === ''
      ? []
      : want(server, 'archive_library', '', { why: 'it would take the place of the command', needsRestart: false })),
    ...want(server, 'archive_command', wish.archiveCommand, {
      why: 'segments go into the repository',
      needsRestart: false,
    }),
    ...(value('archive_timeout') === '0'
      ? want(server, 'archive_timeout', String(ARCHIVE_TIMEOUT_SECONDS), {
          ...{ why: 'only whole segments are archived', needsRestart: false, to: `${ARCHIVE_TIMEOUT_SECONDS}s` },
        })
      : []),
  ];
}

/** Least rights: to log in, to replicate, to watch. Nothing is taken from a role that is there. */
function proposeRole(existing: ExistingRole | null, wish: NonNullable<SetupWish['role']>): RoleStep | null {
  const name = quoteIdentifier(wish.name);
  if (existing === null) {
    const statements = [`CREATE ROLE ${name} LOGIN REPLICATION;`, `GRANT pg_monitor TO ${name};`];
    return { name: wish.name, action: 'create', statements, password: wish.password, undo: [`DROP ROLE ${name};`] };
  }
  const { mayLogIn, mayReplicate, mayMonitor, passwordFits } = existing;
  const granted = [...(mayLogIn ? [] : ['LOGIN']), ...(mayReplicate ? [] : ['REPLICATION'])];
  const statements = [
    ...(granted.length === 0 ? [] : [`ALTER ROLE ${name} ${granted.join(' ')};`]),
    ...(mayMonitor ? [] : [`GRANT pg_monitor TO ${name};`]),
  ];
  const undo = [
    ...granted.map((right) => `ALTER ROLE ${name} NO${right};`),
    ...(mayMonitor ? [] : [`REVOKE pg_monitor FROM ${name};`]),
  ];
  const password = passwordFits === false ? wish.password : null;
  if (statements.length === 0 && password === null) return null;
  return { name: wish.name, action: 'alter', statements, password, undo };
}

function proposeSlot({ slots }: ServerFacts, name: string): SlotStep | null {
  const slot = slots.find((each) => each.name === name);
  if (slot === undefined) return { name, action: 'create' };
  const isUseless = slot.walStatus === 'lost' || slot.invalidation !== null || slot.keptBytes === null;
  return isUseless && slot.isPhysical && !slot.isActive ? { name, action: 'renew' } : null;
}

function onStandby(): HoldfastError {
  return new HoldfastError('SETUP_ON_STANDBY', 'cannot set up a standby', {
    detail:
      'Expected a primary, found a server that is in recovery: it takes roles from its primary and cannot be told to switch segments.',
    hints: ['Point the connection at the primary.'],
  });
}

function archiveTaken(found: string): HoldfastError {
  return new HoldfastError('SETUP_ARCHIVE_TAKEN', 'refused to replace an archive_command that is there', {
    detail: `Expected none or our own, found "${found}". Somebody may rely on the archive that it fills.`,
    hints: [
      'Leave it and let holdfast wal stream bring the WAL: run again without --archive.',
      'Or replace it with --replace-archive-command.',
    ],
  });
}

function slotEndangered(limit: number, kept: number): HoldfastError {
  return new HoldfastError('SETUP_SLOT_ENDANGERED', 'refused a limit for slots that one of them is beyond already', {
    detail: `Expected at least ${formatBytes(kept)}, which a slot keeps now, found ${formatBytes(limit)}: the server would give that slot up at its next checkpoint.`,
    hints: [
      'Let the client of that slot catch up first; SELECT slot_name, restart_lsn FROM pg_replication_slots shows which it is.',
      'Or give a higher limit with --slot-budget.',
    ],
  });
}
