import { codeOf, HoldfastError, messageOf } from '../../../lib/index.ts';

/** What leads on when files cannot be read here. */
const OVER_PROTOCOL = 'Or take the backup without --direct: it then comes over the connection, from anywhere.';

export function notHere(path: string, server: string): HoldfastError {
  return new HoldfastError('BACKUP_DIRECT_NOT_HERE', `cannot read "${path}" directly: it is not on this machine`, {
    detail: `The server at ${server} says that its data directory is there; no such directory was found here.`,
    hints: ['Run the command on the host, or in the container, where that directory is.', OVER_PROTOCOL],
  });
}

/** A tablespace of a server whose data directory is here; `found` is a whole sentence. */
export function tablespaceNotHere(path: string, found: string): HoldfastError {
  return new HoldfastError(
    'BACKUP_DIRECT_TABLESPACE_NOT_HERE',
    `cannot read the tablespace at "${path}" directly: it is not on this machine`,
    {
      detail: `The data directory is that of the server. ${found}`,
      hints: ['Run the command where all volumes of the server are mounted, at the same paths.', OVER_PROTOCOL],
    },
  );
}

/** `found` completes "found …". */
export function noData(path: string, found: string): HoldfastError {
  return new HoldfastError('BACKUP_DIRECT_NO_DATA', `cannot read "${path}" directly: it is no data directory`, {
    detail: `Expected the files of a cluster of PostgreSQL as the server has them, found ${found}.`,
    hints: [
      'The server may run in a container whose paths mean other places here: run the command inside it.',
      OVER_PROTOCOL,
    ],
  });
}

/** `found` is a whole sentence. */
export function otherServer(path: string, found: string): HoldfastError {
  return new HoldfastError(
    'BACKUP_DIRECT_OTHER_SERVER',
    `cannot read "${path}" directly: it belongs to another server`,
    {
      detail: `Expected the data directory of the server that the connection string leads to. ${found}`,
      hints: [
        'Check where the connection string leads: a standby, a copy or a server in a container may have the same path.',
        OVER_PROTOCOL,
      ],
    },
  );
}

export function closedToUs(path: string, cause: unknown): HoldfastError {
  return new HoldfastError('BACKUP_DIRECT_CLOSED', `cannot read "${path}" directly: it is closed to this user`, {
    detail: `The system said: ${messageOf(cause)}.`,
    hints: [
      "Run the command as the server's user, or as root.",
      'Or let its group in (initdb --allow-group-access, or chmod -R g+rX with the server stopped) and add this user to that group.',
      OVER_PROTOCOL,
    ],
    cause,
  });
}

/** What an error of the system about a file that was there a moment ago means: never that it vanished. */
export function readFailed(path: string, cause: unknown): HoldfastError {
  const code = codeOf(cause);
  if (code === 'EACCES' || code === 'EPERM') return closedToUs(path, cause);
  return new HoldfastError('BACKUP_DIRECT_READ_FAILED', `could not read "${path}"`, {
    detail: `The system said: ${messageOf(cause)}. A file that cannot be read is not one that vanished, so the backup has ended.`,
    hints: [
      'Look into the system log for errors of the disk or the file system.',
      'If the disk fails, take what can be had: pg_dump of the databases that still answer.',
    ],
    cause,
  });
}

export function sessionLost(cause: unknown): HoldfastError {
  return new HoldfastError(
    'BACKUP_DIRECT_SESSION_LOST',
    'could not finish the backup: its session with the server ended',
    {
      detail:
        'The server is in backup mode for a direct read only as long as the session lives that began it, and that was ended from its side.',
      cause,
      hints: ['Look into the log of the server, and take the backup again.'],
      retryable: true,
    },
  );
}

/** `wish` completes "may not …"; `grants` are the statements that mend it; `cause` is what the server said, if it was tried. */
export function rightsMissing(wish: string, grants: readonly string[], cause: unknown): HoldfastError {
  return new HoldfastError('BACKUP_DIRECT_RIGHTS', `cannot read the files directly: the role may not ${wish}`, {
    detail:
      cause === undefined
        ? 'Only superusers may, and those to whom it was granted.'
        : `The server said: ${messageOf(cause)}.`,
    hints: [`As a superuser, run: ${grants.join(' ')}`, OVER_PROTOCOL],
    ...(cause === undefined ? {} : { cause }),
  });
}
