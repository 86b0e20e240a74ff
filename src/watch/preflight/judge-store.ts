import { formatDuration, formatMoment, formatQuantity } from '../../lib/index.ts';
import type { ProbeFinding, StoreProbe, StorePromise } from '../../repository/index.ts';
import { isOnOtherMachine, type VolumeFacts } from '../volume.ts';
import { advice, type Check, checksOf, type Mend, quoteWord, shell } from './check.ts';
import type { LeaseFacts, StoreFacts } from './store-facts.ts';

const { ok, unseen, warning, problem } = checksOf('store');

/** WAL is made durable once a second; a store that takes half of that for a small object falls behind. */
const WRITE_MS_WARNED = 500;

/** File systems that forget everything at the next start. */
const forgetful = new Set(['tmpfs', 'ramfs']);

/** The volumes of the repository and of the server's data, as far as they were seen. */
export interface StoreVolumes {
  readonly repository: VolumeFacts | null;
  readonly data: VolumeFacts | null;
}

/** Judges one place of the repository. Nobody overwrites anything in a copy. Pure. */
export function judgeStore(facts: StoreFacts, volumes: StoreVolumes, place: 'primary' | 'copy' = 'primary'): Check[] {
  return [
    ...judgeProbe(facts, place),
    ...judgeProtection(facts),
    ...(facts.directory === null ? [] : judgePlace(facts, facts.directory, volumes)),
    judgeLeftOvers(facts),
  ];
}

function judgeProbe(facts: StoreFacts, place: 'primary' | 'copy'): Check[] {
  const { probe } = facts;
  if (probe.kind === 'failed') {
    return [
      problem('store-write', `Nothing can be written to ${facts.description}.`, {
        found: probe.sentence,
        expected: 'an object that is stored, read back and removed',
        why: 'No backup and no WAL can be stored.',
        mends: mendWrite(probe.code, facts),
      }),
    ];
  }
  return [
    ok('store-write', `An object was stored in ${facts.description}.`),
    ...judgePromises(probe.facts, place),
    judgeSpeed(probe.facts),
  ];
}

function mendWrite(code: string, { directory, owner }: StoreFacts) {
  const place = directory === null ? '' : quoteWord(directory);
  if (directory === null) return [advice('Check the address and the rights of the credentials.')];
  if (code === 'STORE_ABSENT') {
    return [
      advice('Mount its disk, or make a repository there with the next line.'),
      shell('holdfast repository init'),
    ];
  }
  if (code === 'STORE_FULL')
    return [shell(`df -h ${place}`), advice('Free room on its file system, or make it larger.')];
  if (code === 'STORE_DENIED' && owner?.isOurs === true) {
    return [
      shell(`chmod u+rwx ${place}`),
      advice('If that changes nothing, its file system is mounted read-only: look at the next line.'),
      shell(`findmnt -T ${place}`),
    ];
  }
  if (code === 'STORE_DENIED') {
    return [
      shell(`sudo chown -R "$(id -un)" ${place}`),
      advice('If that changes nothing, its file system is mounted read-only: look at the next line.'),
      shell(`findmnt -T ${place}`),
    ];
  }
  return [advice('Look at the disk, and at what the system says of it.')];
}

/** Which loss a promise prevents, and what is said of it; the same codes as ever for those that were tried before. */
const promises: readonly {
  readonly promise: StorePromise;
  readonly code: string;
  readonly kept: string;
  readonly broken: string;
  readonly why: string;
}[] = [
  {
    promise: 'create-once',
    code: 'store-create-once',
    kept: 'The store keeps the first object of a name.',
    broken: 'The store replaces an object by a second one of its name.',
    why: 'Two writers destroy what the other one stored without noticing.',
  },
  {
    promise: 'create-once-at-once',
    code: 'store-create-once-at-once',
    kept: 'The store takes one of several writers that come at once.',
    broken: 'The store tells several writers of one name that it took theirs.',
    why: 'Two writers that meet believe both to have stored what only one of them did.',
  },
  {
    promise: 'read-after-write',
    code: 'store-read-back',
    kept: 'The store gives back what it was given.',
    broken: 'The store gives back other bytes than it was given.',
    why: 'What is stored is not what was backed up.',
  },
  {
    promise: 'ranged-read',
    code: 'store-range',
    kept: 'The store gives any part of an object.',
    broken: 'The store does not give the part of an object that was asked for.',
    why: 'A restore reads parts of large objects, and would read each of them whole or not at all.',
  },
  {
    promise: 'list-after-write',
    code: 'store-list',
    kept: 'The store lists an object at once.',
    broken: 'The store does not list an object that was just stored.',
    why: 'A pruner that does not see a new backup would delete what it needs.',
  },
  {
    promise: 'overwrite',
    code: 'store-overwrite',
    kept: 'The store gives the newest bytes of what may be overwritten.',
    broken: 'The store gives older bytes of what was overwritten.',
    why: 'A lease that was renewed seems to have run out, and what its holder needs may be pruned.',
  },
  {
    promise: 'delete',
    code: 'store-delete',
    kept: 'The store removes an object when asked.',
    broken: 'The store keeps showing an object that was removed.',
    why: 'What is expired fills the store, and a lease that was given up seems to be held.',
  },
];

function judgePromises({ findings }: StoreProbe, place: 'primary' | 'copy'): Check[] {
  const elsewhere = [
    advice('Choose another place for the repository: this one does not keep what every object is built on.'),
  ];
  return promises.map(({ promise, code, kept, broken, why }) => {
    const { outcome, found, expected } = findings[promise];
    if (outcome === 'kept') return ok(code, kept);
    if (outcome === 'broken') return problem(code, broken, { found, expected, why, mends: elsewhere });
    if (promise === 'overwrite' && place === 'primary') return mayNotOverwrite(code, found);
    const what = promise === 'delete' ? 'removes an object' : 'gives the newest bytes of what is overwritten';
    return unseen(code, `Whether the store ${what} could not be tried: found ${found}.`);
  });
}

function mayNotOverwrite(code: string, found: string): Check {
  return problem(code, 'The credentials may not overwrite what is overwritten by design.', {
    ...{ found, expected: 'the right to overwrite below "volatile/"' },
    why: 'Leases cannot be renewed, and the state of a receiver cannot be told: nothing here can be written.',
    mends: [advice('Give them the right there and nowhere else.')],
  });
}

/** What the place offers beside its promises; a directory has neither, and nothing is missed there. */
function judgeProtection({ directory, probe }: StoreFacts): Check[] {
  if (directory !== null || probe.kind === 'failed') return [];
  const { versioning, lock } = probe.facts.findings;
  const place =
    'Make a bucket or container with it, and copy the repository there; most places cannot turn it on later.';
  return [
    versioning.outcome === 'kept'
      ? ok('store-versioning', 'The store keeps older versions.')
      : versioning.outcome === 'unseen'
        ? unseen('store-versioning', 'The store does not say whether it keeps older versions.')
        : warning('store-versioning', 'The store keeps no older versions.', {
            ...{ found: versioning.found, expected: versioning.expected },
            why: 'Whoever holds credentials that may delete takes away backups for good.',
            mends: [advice('Turn versioning on in the settings of the bucket or account.')],
          }),
    judgeLock(lock, [advice(place)]),
  ];
}

function judgeLock({ outcome, found, expected }: ProbeFinding, mends: readonly Mend[]): Check {
  const why = 'Whoever holds the credentials of this host, or takes them, can delete every backup.';
  switch (outcome) {
    case 'kept':
      return ok('store-lock', 'The store can lock objects.');
    case 'unseen':
      return unseen('store-lock', 'The store does not say whether it can lock objects.');
    case 'not-offered':
      return warning('store-lock', 'The store cannot lock objects.', { found, expected, why, mends });
    case 'broken':
      return problem('store-lock', 'The store cannot lock objects, and the plan asks for it.', {
        found,
        expected,
        why,
        mends,
      });
  }
}

function judgeSpeed({ writeMs, readMs }: StoreProbe): Check {
  const told = `a small object takes ${formatDuration(writeMs)} to be stored and ${formatDuration(readMs)} to be read`;
  if (writeMs < WRITE_MS_WARNED) return ok('store-latency', `The store is quick enough: ${told}.`);
  return warning('store-latency', 'The store is slow.', {
    found: told,
    expected: `less than ${formatDuration(WRITE_MS_WARNED)}`,
    why: 'WAL becomes durable later than it is written, and commits that wait for it wait longer.',
    mends: [advice('Look at what else keeps the disk or the network busy, or raise wal.flushInterval in the plan.')],
  });
}

function judgePlace({ owner }: StoreFacts, directory: string, { repository, data }: StoreVolumes): Check[] {
  return [judgeKind(repository), judgeSameDisk(repository, data), judgeMode(owner, directory)];
}

function judgeKind(volume: VolumeFacts | null): Check {
  if (volume === null) return unseen('store-file-system', 'The file system of the repository could not be looked at.');
  const { kind, seenAt } = volume;
  const mends = [advice('Make the repository in a directory on a disk, with holdfast repository init.')];
  if (forgetful.has(kind)) {
    return problem('store-file-system', `The repository lies in memory: "${seenAt}" is a ${kind}.`, {
      ...{ found: kind, expected: 'a file system on a disk', mends },
      why: 'Everything is gone at the next start of the machine.',
    });
  }
  if (isOnOtherMachine(volume)) {
    return warning('store-file-system', `The repository lies on another machine: "${seenAt}" is ${kind}.`, {
      ...{ found: kind, expected: 'a local disk, or a share whose server syncs what it says it has synced', mends },
      why: 'Whether an object is durable is for that machine to say: exports with "async" lose what they had confirmed.',
    });
  }
  return ok('store-file-system', `The repository lies on ${kind}.`);
}

function judgeSameDisk(repository: VolumeFacts | null, data: VolumeFacts | null): Check {
  if (repository === null || data === null) {
    return unseen('store-same-disk', "Whether the repository lies on the server's own disk could not be looked at.");
  }
  if (repository.device !== data.device)
    return ok('store-same-disk', "The repository does not lie on the file system of the server's data.");
  return warning('store-same-disk', "The repository lies on the file system of the server's data.", {
    found: `both on the file system of "${data.seenAt}"`,
    expected: 'another disk, better another machine',
    why: 'One disk takes the server and its backups with it, and when one of them fills it both stop.',
    mends: [advice('Make the repository on another disk, with holdfast repository init.')],
  });
}

function judgeMode(owner: StoreFacts['owner'], directory: string): Check {
  if (owner === null) return unseen('store-mode', 'The owner of the repository could not be looked at.');
  const shown = `0${owner.mode.toString(8)}`;
  if ((owner.mode & 0o002) === 0) return ok('store-mode', `Not everybody may write to the repository (mode ${shown}).`);
  return problem('store-mode', 'Everybody on this host may write to the repository.', {
    found: `mode ${shown}`,
    expected: 'a directory that its owner alone may write to',
    why: 'Any user or program here can delete every backup.',
    mends: [shell(`chmod o-w ${quoteWord(directory)}`)],
  });
}

function judgeLeftOvers({ leftOvers }: StoreFacts): Check {
  const [first] = leftOvers;
  if (first === undefined) return ok('store-left-overs', 'No writer has left files behind.');
  return warning(
    'store-left-overs',
    `Writers that were stopped have left ${formatQuantity(leftOvers.length, 'file')} behind.`,
    {
      found: leftOvers.slice(0, 3).join(', '),
      expected: 'none',
      why: 'They take room; the next backup removes them.',
      mends: leftOvers.map((path) => shell(`rm ${quoteWord(path)}`)),
    },
  );
}

/** Judges the leases that are held. Pure. */
export function judgeLeases(leases: readonly LeaseFacts[]): Check {
  const stuck = leases.filter(({ mayBeAlive }) => !mayBeAlive);
  if (stuck.length === 0)
    return ok('leases', `${formatQuantity(leases.length, 'lease')} held, none by a process that is gone.`);
  const told = stuck.map(
    ({ purpose, pid, expiresAt }) => `${purpose} of process ${pid}, until ${formatMoment(expiresAt)}`,
  );
  return warning('leases', 'A process that is gone holds a lease.', {
    found: told.join('; '),
    expected: 'leases of running processes only',
    why: 'Until it ends by itself nothing is pruned.',
    mends: [advice('Wait until the time that is told; nothing else waits for it.')],
  });
}
