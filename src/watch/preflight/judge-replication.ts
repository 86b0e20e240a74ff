import { formatBytes } from '../../lib/index.ts';
import { findInSynchronousNames } from '../../protect/wal/index.ts';
import { advice, type Check, checksOf, type Mend, quoteLiteral, setParameter, shell, sql } from './check.ts';
import { restartCommand } from './judge-server.ts';
import { neededSenders, neededSlots, proposeSlotBudget, standbysFirst } from './needs.ts';
import { type ServerFacts, type SlotFacts, settingBytes, toMegabytes } from './server-facts.ts';

const { ok, unseen, warning, problem } = checksOf('server');

/** A slot that has used this share of its budget is near to being given up. */
const BUDGET_SHARE_WARNED = 0.5;

/** What is known besides the server itself. */
export interface ReplicationQuestion {
  /** The name of our slot, and of our receiver. */
  readonly slot: string;
  /** Free bytes beside pg_wal; `null` when it lies elsewhere. */
  readonly walDirectoryFreeBytes: number | null;
}

/** Judges whether WAL can be streamed, and is kept until it was. Pure. */
export function judgeReplication(facts: ServerFacts, question: ReplicationQuestion): Check[] {
  return [
    judgeWalLevel(facts),
    judgeSenders(facts),
    judgeSlotCount(facts),
    judgeSlot(facts, question.slot),
    judgeBudget(facts, question),
    judgeUse(facts, question.slot),
    judgeIdleTimeout(facts),
    judgeSenderTimeout(facts),
    judgeSynchronousNames(facts, question.slot),
  ];
}

function judgeWalLevel({ settings }: ServerFacts): Check {
  const value = settings.get('wal_level')?.value;
  if (value === undefined) return unseen('wal-level', 'The server did not say what wal_level is.');
  if (value !== 'minimal') return ok('wal-level', `wal_level is ${value}.`);
  return problem('wal-level', 'wal_level is minimal.', {
    found: value,
    expected: 'replica or logical',
    why: 'WAL of this kind cannot bring data back: neither a base backup nor a restore to a moment is possible.',
    mends: [...setParameter('wal_level', 'replica'), restartCommand(settings)],
  });
}

function judgeSenders({ settings, senders, slots }: ServerFacts): Check {
  const value = settings.get('max_wal_senders')?.value;
  if (value === undefined) return unseen('wal-senders', 'The server did not say what max_wal_senders is.');
  const { count, sum } = neededSenders({ senders, slots });
  if (Number(value) >= count) return ok('wal-senders', `max_wal_senders is ${value}, and ${count} are needed.`);
  return problem('wal-senders', `max_wal_senders is ${value}, which is too few.`, {
    found: value,
    expected: `${count} or more: ${sum}`,
    why: 'A replica, the receiver or a backup is turned away when all are taken.',
    mends: [
      ...[standbysFirst({ senders, slots })].flatMap((sentence) => (sentence === null ? [] : [advice(sentence)])),
      ...setParameter('max_wal_senders', String(count)),
      restartCommand(settings),
    ],
  });
}

function judgeSlotCount({ settings, slots }: ServerFacts): Check {
  const value = settings.get('max_replication_slots')?.value;
  if (value === undefined) return unseen('replication-slots', 'The server did not say what max_replication_slots is.');
  const { count, sum } = neededSlots({ slots });
  if (Number(value) >= count)
    return ok('replication-slots', `max_replication_slots is ${value}, and ${count} are needed.`);
  return problem('replication-slots', `max_replication_slots is ${value}, which is too few.`, {
    found: value,
    expected: `${count} or more: ${sum}`,
    why: 'Without a slot the server removes WAL that the receiver has not stored yet.',
    mends: [...setParameter('max_replication_slots', String(count)), restartCommand(settings)],
  });
}

/** The statement that makes a slot which keeps WAL from now on. */
export function createSlot(name: string): Mend {
  return sql(`SELECT pg_create_physical_replication_slot(${quoteLiteral(name)}, true);`);
}

function judgeSlot({ slots }: ServerFacts, name: string): Check {
  const slot = slots.find((each) => each.name === name);
  if (slot === undefined) {
    return warning('slot', `The slot "${name}" is not there.`, {
      found: 'none',
      expected: 'a physical slot that keeps WAL',
      why: 'Until the receiver makes it, the server may remove WAL that is not stored.',
      mends: [createSlot(name)],
    });
  }
  const drop = sql(`SELECT pg_drop_replication_slot(${quoteLiteral(name)});`);
  if (!slot.isPhysical) {
    return problem('slot', `The slot "${name}" is a logical one.`, {
      found: 'logical',
      expected: 'physical',
      why: 'The receiver cannot stream over it.',
      mends: [drop, createSlot(name)],
    });
  }
  if (slot.walStatus === 'lost' || slot.invalidation !== null) {
    return problem('slot', `The server has given up the slot "${name}".`, {
      found: slot.invalidation ?? 'wal_status lost',
      expected: 'reserved',
      why: 'WAL that was not stored by then is gone: moments in it cannot be restored.',
      mends: [drop, createSlot(name), shell('holdfast backup')],
    });
  }
  if (slot.keptBytes === null) {
    return warning('slot', `The slot "${name}" keeps no WAL yet.`, {
      found: 'no restart_lsn',
      expected: 'WAL kept from some position on',
      why: 'Until a receiver has used it, the server may remove WAL that is not stored.',
      mends: [drop, createSlot(name)],
    });
  }
  const use = slot.isActive ? 'in use' : 'not in use just now';
  return ok('slot', `The slot "${name}" keeps ${formatBytes(slot.keptBytes)} of WAL and is ${use}.`);
}

function judgeBudget(facts: ServerFacts, question: ReplicationQuestion): Check {
  const setting = facts.settings.get('max_slot_wal_keep_size');
  if (setting === undefined) return unseen('slot-budget', 'The server did not say what max_slot_wal_keep_size is.');
  const { bytes, origin } = proposeSlotBudget(facts, { wantedBytes: null, freeBytes: question.walDirectoryFreeBytes });
  const limit = settingBytes(setting);
  if (limit !== null) return ok('slot-budget', `A slot keeps at most ${formatBytes(limit)} of WAL.`);
  return problem('slot-budget', 'max_slot_wal_keep_size is -1: a slot may keep WAL until the disk is full.', {
    found: '-1',
    expected: `a limit, such as ${toMegabytes(bytes)} (${origin})`,
    why: 'A receiver that stays away stops the server itself when pg_wal has filled its disk.',
    mends: setParameter('max_slot_wal_keep_size', toMegabytes(bytes)),
  });
}

/** Of every slot, as any of them can lose its WAL or fill the disk. */
function judgeUse({ slots, settings }: ServerFacts, name: string): Check {
  const setting = settings.get('max_slot_wal_keep_size');
  const limit = setting === undefined ? null : settingBytes(setting);
  const near = (slot: SlotFacts) =>
    slot.walStatus === 'unreserved' ||
    (limit !== null && limit > 0 && slot.keptBytes !== null && slot.keptBytes > limit * BUDGET_SHARE_WARNED);
  const found = slots.filter(near);
  if (found.length === 0) return ok('slot-use', 'No slot is near to what it may keep.');
  const told = found.map((slot) => `${slot.name}: ${formatBytes(slot.keptBytes ?? 0)}`).join(', ');
  const idle = found.find((slot) => !slot.isActive && slot.name === name);
  return warning('slot-use', 'A slot has used much of the WAL that it may keep.', {
    found: told,
    expected: limit === null ? 'little' : `well below ${formatBytes(limit)}`,
    why: 'Behind the limit the server gives the slot up, and what was not stored is lost.',
    mends: [idle === undefined ? advice('Look at what holds its client up.') : shell('holdfast wal stream')],
  });
}

function judgeIdleTimeout({ settings }: ServerFacts): Check {
  const setting = settings.get('idle_replication_slot_timeout');
  if (setting === undefined || setting.value === '0')
    return ok('slot-idle-timeout', 'Slots that are not in use are kept.');
  return warning('slot-idle-timeout', 'The server gives up a slot that is not in use for a while.', {
    found: `${setting.value} ${setting.unit}`.trim(),
    expected: '0',
    why: 'A receiver that is away for longer leaves a gap, although there may be room for its WAL.',
    mends: setParameter('idle_replication_slot_timeout', '0'),
  });
}

function judgeSenderTimeout({ settings }: ServerFacts): Check {
  const setting = settings.get('wal_sender_timeout');
  if (setting === undefined) return unseen('sender-timeout', 'The server did not say what wal_sender_timeout is.');
  if (setting.value !== '0') return ok('sender-timeout', 'The server lets go of receivers that were cut off.');
  return warning('sender-timeout', 'wal_sender_timeout is 0: a receiver that was cut off keeps its slot busy.', {
    found: '0',
    expected: '60s',
    why: 'The next receiver cannot take the slot, and nothing is stored until somebody looks.',
    mends: setParameter('wal_sender_timeout', '60s'),
  });
}

/** Rule C3. */
function judgeSynchronousNames({ settings }: ServerFacts, name: string): Check {
  const code = 'synchronous-names';
  const value = settings.get('synchronous_standby_names')?.value;
  if (value === undefined) return unseen(code, 'The server did not say what synchronous_standby_names is.');
  const mention = findInSynchronousNames(value, name);
  if (mention === 'wildcard') {
    return warning(
      code,
      'synchronous_standby_names has "*", which takes the receiver for a synchronous standby, too.',
      {
        found: value,
        expected: 'names',
        why: 'Commits may wait for the repository although nobody asked for that, and stop when it is away.',
        mends: [
          // No line to copy: with names that nobody has, no commit would return.
          advice(
            'Put the names of the standbys that commits shall wait for in the place of "*", such as \'ANY 1 (first_standby, second_standby)\'.',
          ),
        ],
      },
    );
  }
  if (mention === 'named' && !/,/.test(value)) {
    return warning(code, 'Commits wait for the receiver alone.', {
      found: value,
      expected: 'two names of which one is enough',
      why: 'While the receiver or its store is away no commit returns.',
      mends: [
        advice('Name a standby beside it, as in the next line, or accept that writes stop when it is away.'),
        sql(`ALTER SYSTEM SET synchronous_standby_names = 'ANY 1 (${name}, other_standby)';`),
      ],
    });
  }
  return ok(
    code,
    mention === 'named' ? 'Commits wait for the receiver or another standby.' : 'No commit waits for the receiver.',
  );
}
