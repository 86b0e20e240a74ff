import { type ErrorParts, HoldfastError } from '../lib/index.ts';

/** What the server says of an error or a notice, field by field; `sqlState` is five characters. */
export interface ServerReport {
  readonly severity: string;
  readonly sqlState: string;
  readonly message: string;
  readonly detail: string | undefined;
  readonly hint: string | undefined;
  readonly where: string | undefined;
}

/**
 * An error that the server reported.
 *
 * `code` is PG_SERVER_ERROR unless the error ended the attempt to connect, which has codes of its own (`connectError`).
 */
export class PostgresError extends HoldfastError {
  readonly sqlState: string;
  readonly severity: string;
  readonly report: ServerReport;

  constructor(report: ServerReport, code = 'PG_SERVER_ERROR', message?: string, parts: ErrorParts = {}) {
    const serverDetail = report.detail === undefined ? [] : [oneLine(report.detail)];
    super(code, message ?? `server reported "${oneLine(report.message)}" (SQLSTATE ${report.sqlState})`, {
      ...parts,
      detail: [...(parts.detail === undefined ? [] : [parts.detail]), ...serverDetail].join(' ') || undefined,
      hints: [
        ...(report.hint === undefined ? [] : [oneLine(report.hint)]),
        ...(parts.hints ?? hintsOn(report.sqlState)),
      ],
      retryable: parts.retryable ?? isTransient(report.sqlState),
    } as ErrorParts);
    this.sqlState = report.sqlState;
    this.severity = report.severity;
    this.report = report;
  }

  /** The same error with another sentence behind its detail. */
  withDetail(sentence: string): PostgresError {
    // What the report had to add stands in the parts already.
    const report = { ...this.report, detail: undefined, hint: undefined };
    return new PostgresError(report, this.code, this.message, {
      detail: [this.detail ?? '', sentence].join(' ').trim(),
      hints: this.hints,
      retryable: this.retryable,
      cause: this.cause,
    });
  }
}

/**
 * Classes of SQLSTATE after which the same call may succeed without anybody's help: connection trouble, serialization
 * failures, lack of resources, and a server that is stopping or starting.
 */
function isTransient(sqlState: string): boolean {
  return /^(08|40|53)/.test(sqlState) || ['57P01', '57P02', '57P03', '55006'].includes(sqlState);
}

/** What to do about an error for which nobody has hints of his own; nothing where only the server's words help. */
function hintsOn(sqlState: string): readonly string[] {
  if (sqlState !== '57P01' && sqlState !== '57P02') return [];
  return [
    'The server is stopping, or somebody ended this session (pg_terminate_backend): its log says which.',
    'Run the same command again once the server takes connections.',
  ];
}

/** The error that ended an attempt to connect, told by what a person has to do about it. `place` names the server. */
export function connectError(report: ServerReport, place: string): PostgresError {
  const said = `The server said: ${oneLine(report.message)}.`;
  switch (report.sqlState) {
    case '28P01':
      return new PostgresError(
        report,
        'PG_AUTHENTICATION_FAILED',
        `cannot log in to ${place}: wrong user or password`,
        {
          detail: said,
          hints: ['Check the user and the password, also PGPASSWORD and the password file.'],
        },
      );
    case '28000':
      return new PostgresError(
        report,
        'PG_ACCESS_DENIED',
        `cannot log in to ${place}: the server does not let this user in`,
        {
          detail: said,
          hints: [
            'Check that the role exists, may log in and, for backups, has REPLICATION.',
            'Check that pg_hba.conf has a line for this user and host; connections for replication need "replication" as database.',
            'Where the line asks for a client certificate, give sslcert and sslkey.',
          ],
        },
      );
    case '3D000':
      return new PostgresError(
        report,
        'PG_DATABASE_NOT_FOUND',
        `cannot open a database on ${place}: it does not exist`,
        {
          detail: said,
          hints: ['Check the database name; without one, the name of the user is taken.'],
        },
      );
    case '42501':
      return new PostgresError(report, 'PG_ACCESS_DENIED', `cannot stream from ${place}: the role may not`, {
        detail: said,
        hints: ['Run ALTER ROLE … REPLICATION for the role that connects.'],
      });
    case '53300':
      // The number is in every language: a server with wal_level = minimal, or one that was told to serve nobody.
      if (/max_wal_senders.*\D0\)/.test(report.message)) {
        return new PostgresError(
          report,
          'PG_REPLICATION_OFF',
          `cannot stream from ${place}: it serves no replication`,
          {
            detail: said,
            hints: [
              "Run ALTER SYSTEM SET wal_level = 'replica' and ALTER SYSTEM SET max_wal_senders = 10, then restart the server.",
            ],
            retryable: false,
          },
        );
      }
      if (report.message.includes('max_wal_senders')) {
        return new PostgresError(
          report,
          'PG_TOO_MANY_CONNECTIONS',
          `could not stream from ${place}: all its WAL senders are in use`,
          {
            detail: said,
            hints: [
              'SELECT pid, application_name, client_addr FROM pg_stat_replication tells who uses them.',
              'Raise max_wal_senders, which needs a restart; standbys must have at least as many.',
            ],
            retryable: true,
          },
        );
      }
      return new PostgresError(
        report,
        'PG_TOO_MANY_CONNECTIONS',
        `could not connect to ${place}: too many connections`,
        {
          detail: said,
          hints: ['Close connections, or raise max_connections or the limit of the role or the database.'],
          retryable: true,
        },
      );
    case '57P03':
      return new PostgresError(report, 'PG_SERVER_STARTING', `could not connect to ${place}: the server is not ready`, {
        detail: said,
        hints: ['Wait until it takes connections; its log says what it is doing.'],
        retryable: true,
      });
    case '08P01':
      if (/unsupported startup parameter/.test(report.message)) {
        return new PostgresError(
          report,
          'PG_POOLER_IN_BETWEEN',
          `cannot stream from ${place}: a pooler answers there`,
          {
            detail: `${said} Poolers such as PgBouncer pass on neither replication nor all settings of a session.`,
            hints: ['Give the direct address and port of the server (often 5432), not those of the pooler.'],
            retryable: false,
          },
        );
      }
      return connectReported(report, place, said);
    default:
      return connectReported(report, place, said);
  }
}

function connectReported(report: ServerReport, place: string, said: string): PostgresError {
  return new PostgresError(report, 'PG_CONNECT_REPORTED', `could not connect to ${place}`, { detail: said });
}

function oneLine(text: string): string {
  return text.replaceAll(/\s*\n\s*/g, ' ').trim();
}
