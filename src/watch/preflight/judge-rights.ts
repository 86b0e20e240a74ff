import { formatMoment } from '../../lib/index.ts';
import { advice, type Check, checksOf, quoteIdentifier, quoteWord, setParameter, shell, sql } from './check.ts';
import { restartCommand } from './judge-server.ts';
import type { ReplicationLogin, ServerFacts } from './server-facts.ts';

const { ok, unseen, warning, problem } = checksOf('rights');

/** A password that ends within this is renewed now. */
const PASSWORD_MS_WARNED = 14 * 24 * 60 * 60 * 1000;

/** How the server is reached. */
export interface LinkFacts {
  readonly host: string;
  readonly user: string;
  /** True for a Unix socket or an address of this very host, which nobody on a network can listen to. */
  readonly isOnThisHost: boolean;
  /** Our address as the server sees it, for a line of pg_hba.conf; `null` over a socket. */
  readonly clientAddress: string | null;
  readonly sslMode: string;
  readonly isEncrypted: boolean | null;
  readonly passwordFile: PasswordFileFacts | null;
}

/** The password file that is looked into, when there is one. */
export interface PasswordFileFacts {
  readonly path: string;
  readonly mode: number;
}

/** The facts to judge; `server` is `null` when the role was not let in for SQL. */
export interface RightsFacts {
  readonly link: LinkFacts;
  readonly server: Pick<ServerFacts, 'role' | 'settings'> | null;
  readonly replication: ReplicationLogin;
  readonly now: number;
}

/** Judges what the role may do, and how safely its password travels. Pure. */
export function judgeRights(facts: RightsFacts): Check[] {
  return [
    judgeReplicationRight(facts),
    judgeReplicationLogin(facts),
    judgeMonitor(facts),
    judgeSuperuser(facts),
    judgePasswordEnd(facts),
    judgeTls(facts.link),
    judgePasswordFile(facts.link),
  ];
}

function judgeReplicationRight({ server }: RightsFacts): Check {
  if (server === null) return unseen('role-replication', 'The rights of the role could not be looked at.');
  const { name, mayReplicate } = server.role;
  if (mayReplicate) return ok('role-replication', `The role "${name}" has REPLICATION.`);
  return problem('role-replication', `The role "${name}" has no REPLICATION.`, {
    found: 'NOREPLICATION',
    expected: 'REPLICATION',
    why: 'Neither a base backup nor WAL can be had over this connection.',
    mends: [sql(`ALTER ROLE ${quoteIdentifier(name)} REPLICATION;`)],
  });
}

function judgeReplicationLogin({ replication, link, server }: RightsFacts): Check {
  switch (replication.kind) {
    case 'done':
      return ok('replication-login', `"${link.user}" is let in for replication.`);
    case 'unseen':
      return unseen(
        'replication-login',
        `Whether "${link.user}" is let in for replication could not be tried: ${replication.why}.`,
      );
    case 'refused':
      return problem('replication-login', `"${link.user}" is not let in for replication.`, {
        found: replication.sentence,
        expected: 'a connection for replication',
        why: 'Neither a base backup nor WAL can be had over this connection.',
        mends: mendLogin(replication.code, link, server),
      });
  }
}

function mendLogin(code: string, link: LinkFacts, server: RightsFacts['server']) {
  if (code === 'PG_REPLICATION_OFF' && server !== null) {
    return [
      ...setParameter('wal_level', 'replica'),
      ...setParameter('max_wal_senders', '10'),
      restartCommand(server.settings),
    ];
  }
  if (code === 'PG_TOO_MANY_CONNECTIONS') {
    return [advice('Raise max_wal_senders, as the check of it says, or close what uses them.')];
  }
  if (code === 'PG_PASSWORD_MISSING' || code === 'PG_AUTHENTICATION_FAILED') return [mendPassword(link)];
  if (server?.role.mayReplicate === false) return [sql(`ALTER ROLE ${quoteIdentifier(link.user)} REPLICATION;`)];
  return [
    advice(
      "Add the line to the server's pg_hba.conf above any line that refuses this role, then let the server read it.",
    ),
    shell(`echo ${quoteWord(hbaLine(link))} >> ${quoteWord(server?.settings.get('hba_file')?.value ?? 'pg_hba.conf')}`),
    sql('SELECT pg_reload_conf();'),
  ];
}

/** The server asked for a password, so that its pg_hba.conf lets the role in. A role that is missing is told in the same words. */
function mendPassword({ user }: LinkFacts) {
  return advice(
    `Give the password in PGPASSWORD or the password file (~/.pgpass). If the role "${user}" is not there yet, or nobody knows its password: holdfast database setup --role ${quoteWord(user)} --write-password ~/.pgpass, with a superuser's connection in HOLDFAST_ADMIN_URL.`,
  );
}

/**
 * The line of pg_hba.conf that lets a role in for replication as it comes now.
 * Source: PostgreSQL manual, "The pg_hba.conf File": the key word replication matches no database of that name.
 */
export function hbaLine(link: Pick<LinkFacts, 'user' | 'clientAddress' | 'isOnThisHost'>): string {
  const user = /^[a-z_][a-z0-9_]*$/.test(link.user) ? link.user : `"${link.user.replaceAll('"', '""')}"`;
  if (link.clientAddress === null) return `local replication ${user} scram-sha-256`;
  const mask = link.clientAddress.includes(':') ? 128 : 32;
  const type = link.isOnThisHost ? 'host' : 'hostssl';
  return `${type} replication ${user} ${link.clientAddress}/${mask} scram-sha-256`;
}

function judgeMonitor({ server }: RightsFacts): Check {
  if (server === null) return unseen('role-monitor', 'Whether the role may watch the server could not be looked at.');
  const { name, mayMonitor } = server.role;
  if (mayMonitor) return ok('role-monitor', `The role "${name}" may watch the server.`);
  return warning('role-monitor', `The role "${name}" is no member of pg_monitor.`, {
    found: 'no member',
    expected: 'a member',
    why: 'Growth of pg_wal, failures of archiving and synchronous standbys stay unseen until they have done harm.',
    mends: [sql(`GRANT pg_monitor TO ${quoteIdentifier(name)};`)],
  });
}

function judgeSuperuser({ server }: RightsFacts): Check {
  if (server === null) return unseen('role-rights', 'Whether the role may do too much could not be looked at.');
  const { name, isSuperuser } = server.role;
  if (!isSuperuser) return ok('role-rights', `The role "${name}" is no superuser.`);
  return warning('role-rights', `The role "${name}" is a superuser.`, {
    found: 'SUPERUSER',
    expected: 'a role with REPLICATION and pg_monitor alone',
    why: 'Whoever gets at the connection of the backups can destroy the database with it.',
    mends: [shell('holdfast database setup --role holdfast')],
  });
}

function judgePasswordEnd({ server, now }: RightsFacts): Check {
  if (server === null) return unseen('role-expiry', 'Whether the password of the role ends could not be looked at.');
  const { name, passwordValidUntil: until } = server.role;
  if (until === null) return ok('role-expiry', 'The password of the role has no end.');
  const sentence = `The password of "${name}" is valid until ${formatMoment(until)}.`;
  if (until - now > PASSWORD_MS_WARNED) return ok('role-expiry', sentence);
  return warning('role-expiry', sentence, {
    found: formatMoment(until),
    expected: 'an end that is further away, or none',
    why: 'From then on backups and WAL stop at the next reconnect.',
    mends: [sql(`ALTER ROLE ${quoteIdentifier(name)} VALID UNTIL 'infinity';`)],
  });
}

function judgeTls({ isOnThisHost, isEncrypted, sslMode, host }: LinkFacts): Check {
  if (isOnThisHost) return ok('tls', 'The connection does not leave this host.');
  if (isEncrypted === null) return unseen('tls', 'Whether the connection is encrypted could not be looked at.');
  const why = 'Whoever can listen on the way reads all data, and whoever can change it takes the place of the server.';
  const mends = [
    advice('Add sslmode=verify-full, and sslrootcert=FILE for a certificate of your own, to the connection.'),
  ];
  if (!isEncrypted) {
    const parts = { found: `sslmode=${sslMode}, not encrypted`, expected: 'sslmode=verify-full', why, mends };
    return problem('tls', `The connection to "${host}" is not encrypted.`, parts);
  }
  if (sslMode === 'verify-full')
    return ok('tls', `The connection to "${host}" is encrypted, and the server proved who it is.`);
  const parts = { found: `sslmode=${sslMode}`, expected: 'sslmode=verify-full', why, mends };
  return warning('tls', `The connection to "${host}" is encrypted, but the server need not prove who it is.`, parts);
}

function judgePasswordFile({ passwordFile }: LinkFacts): Check {
  if (passwordFile === null) return ok('password-file', 'There is no password file that others could read.');
  const { path, mode } = passwordFile;
  if ((mode & 0o077) === 0) return ok('password-file', `Only its owner can read the password file "${path}".`);
  return problem('password-file', `Others can read the password file "${path}", so it is passed over.`, {
    found: `mode ${(mode & 0o777).toString(8)}`,
    expected: 'mode 600',
    why: 'Passwords in it are known to others, and the connection is made without one.',
    mends: [shell(`chmod 600 ${quoteWord(path)}`)],
  });
}
