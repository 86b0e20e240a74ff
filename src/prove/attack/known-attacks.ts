import type { AttemptId } from '../../repository/index.ts';

/** Attacks that are played through without touching the place, as they need nothing that a writer may not do every day. */
export type PlayedAttackId = 'plant-future-snapshot' | 'plant-index' | 'plant-index-with-key' | 'forge-proof';

export type AttackId = AttemptId | PlayedAttackId;

/** What is known of an attack before it is tried. */
export interface KnownAttack {
  /** What is tried, to be read behind "to". */
  readonly what: string;
  /** Whether a backup can be lost when it succeeds. */
  readonly isDangerous: boolean;
  /** How it is noticed, or why it does not count, where it is not prevented; one whole sentence. */
  readonly noticed: string;
  /** What prevents it, one whole sentence. */
  readonly advice: string;
}

const policies = 'give the writer the rights of docs/policies/writer.json and no others';
const locks = 'keep the repository in a bucket with object lock, and set lock in the plan';

const ignored =
  'Readers take the oldest version of a name and ignore delete markers; holdfast repository locks names what was overwritten.';

export const knownAttacks: Readonly<Record<AttackId, KnownAttack>> = {
  overwrite: {
    what: 'overwrite an object',
    isDangerous: true,
    noticed: ignored,
    advice: `Make the bucket with versions, and ${policies}: on Amazon they let nobody write over a name.`,
  },
  'overwrite-by-copy': {
    what: 'overwrite an object by copying or moving another one over it',
    isDangerous: true,
    noticed: ignored,
    advice: `Make the bucket with versions, and ${policies}.`,
  },
  'overwrite-in-parts': {
    what: 'overwrite an object by an upload in parts',
    isDangerous: true,
    noticed: ignored,
    advice: `Make the bucket with versions, and ${policies}.`,
  },
  delete: {
    what: 'delete an object',
    isDangerous: true,
    noticed: ignored,
    advice: `Make the bucket with versions, and ${policies}: they delete nothing but what is volatile.`,
  },
  'delete-many': {
    what: 'delete objects by one request for many',
    isDangerous: true,
    noticed: ignored,
    advice: `Make the bucket with versions, and ${policies}.`,
  },
  'delete-versions': {
    what: 'delete every version of an object',
    isDangerous: true,
    noticed: 'holdfast verify and holdfast copies compare name what is gone; nothing brings it back but a copy.',
    advice: `First of all ${locks}; then ${policies}.`,
  },
  'delete-elsewhere': {
    what: 'delete under the names of keys, packs, index, snapshots, WAL, statements and the ledger',
    isDangerous: true,
    noticed: ignored,
    advice: `Make the bucket with versions, and ${policies}.`,
  },
  'shorten-lock': {
    what: 'shorten a lock',
    isDangerous: true,
    noticed: 'holdfast repository locks compares what was attested with what the place says.',
    advice: 'Use a store whose locks cannot be shortened (object lock in compliance mode).',
  },
  'weaken-lock': {
    what: 'change a lock into one that can be lifted',
    isDangerous: true,
    noticed: 'holdfast repository locks compares what was attested with what the place says.',
    advice: 'Use a store whose locks cannot be weakened (object lock in compliance mode).',
  },
  'lock-for-long': {
    what: 'lock an object for longer than the plan asks for',
    isDangerous: false,
    noticed: 'Nothing is lost by it; it costs space that nobody can free before the lock ends.',
    advice:
      'Cap it by s3:object-lock-remaining-retention-days as docs/policies/writer.json does, where the server knows that condition.',
  },
  hold: {
    what: 'put a hold without an end on an object',
    isDangerous: false,
    noticed: 'Nothing is lost by it; whoever owns the bucket can take holds off.',
    advice: `To prevent it, ${policies}.`,
  },
  publish: {
    what: 'change who may read an object',
    isDangerous: false,
    noticed: 'Objects are encrypted: the world would see sizes, times and names.',
    advice: `To prevent it, ${policies}.`,
  },
  'suspend-versions': {
    what: 'switch off the keeping of versions',
    isDangerous: true,
    noticed: 'holdfast doctor asks the bucket whether it keeps versions.',
    advice: `To prevent it, ${policies}; a bucket with object lock cannot switch them off.`,
  },
  'change-policy': {
    what: 'change the policy of the bucket',
    isDangerous: true,
    noticed: 'Nothing in a repository tells; the log of the provider does.',
    advice: `To prevent it, ${policies}.`,
  },
  'change-lifecycle': {
    what: 'let the bucket delete objects by itself',
    isDangerous: true,
    noticed: 'holdfast verify names what is gone, when it is gone.',
    advice: `To prevent it, ${policies}; what is locked is not deleted by a bucket either.`,
  },
  'change-lock-settings': {
    what: 'change how the bucket locks what is new',
    isDangerous: true,
    noticed: 'What is put carries a lock of its own, whatever the bucket would set.',
    advice: `To prevent it, ${policies}.`,
  },
  'change-access': {
    what: 'give others rights in the bucket',
    isDangerous: true,
    noticed: 'Nothing in a repository tells; the log of the provider does.',
    advice: `To prevent it, ${policies}.`,
  },
  'delete-place': {
    what: 'delete the bucket',
    isDangerous: false,
    noticed: 'A bucket that holds anything cannot be deleted.',
    advice: `To prevent it, ${policies}.`,
  },
  'plant-future-snapshot': {
    what: 'plant a snapshot that is dated in the future, with the key',
    isDangerous: false,
    noticed:
      'list, show and status call it dated in the future, as the time at which the store took it counts, and status takes the newest honest one.',
    advice: 'Give the key to nobody but writers, and look at status.',
  },
  'plant-index': {
    what: 'plant bytes among the objects of the index, without the key',
    isDangerous: false,
    noticed: 'They do not authenticate, so that nobody reads them; holdfast verify names them.',
    advice: 'Nothing needs to be done; whoever prunes removes them.',
  },
  'plant-index-with-key': {
    what: 'plant an index that names chunks where none are, with the key',
    isDangerous: false,
    noticed:
      'What is restored is proved chunk by chunk, so that no wrong byte comes of it; a later backup may count on a chunk that is not there, which holdfast verify names, and in a place with locks the backup itself.',
    advice:
      'Verify each backup on another host, and give every group of servers that do not trust each other a repository of its own.',
  },
  'forge-proof': {
    what: 'forge a statement that a snapshot was proved, with the key',
    isDangerous: false,
    noticed: 'Every writer can sign statements today; the ledgers of those who verify do not have it.',
    advice: 'Believe restores that you have seen, and compare statements with the ledger.',
  },
};
