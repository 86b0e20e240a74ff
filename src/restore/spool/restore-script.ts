/**
 * The exit codes of the `restore_command`.
 *
 * PostgreSQL takes 1 to 125 as "there is no more WAL" and ends recovery; anything above stops the server (xlogarchive.c,
 * RestoreArchivedFile). So 1 is said only of what the WAL plan does not name, and everything that goes wrong is above 125. Codes of 128
 * plus a signal's number are left alone, as PostgreSQL reads 143 (SIGTERM) as a wish to shut down.
 */
export const restoreExit = {
  placed: 0,
  notInPlan: 1,
  /** The spool itself, its plan or the target cannot be read or written. Also said by a shell that cannot start the script. */
  spoolBroken: 126,
  /** The plan names the file and the repository could not give it; the reason is in the file `error`. */
  walUnavailable: 201,
  /** The process that fetches WAL ahead is gone: its heartbeat stood still. */
  fetcherDead: 202,
} as const;

/** Where the spool lies inside the restored data directory; relative, as PostgreSQL runs the command there. */
export const SPOOL_DIRECTORY = 'holdfast-recovery';

/** Names inside the spool. */
export const spoolNames = {
  script: 'restore-wal',
  /** One file name a line: all that exists for this recovery. */
  plan: 'plan',
  /** Files that are ready to be taken, whole. */
  ready: 'wal',
  /** Empty files named for what PostgreSQL asked for, for the fetcher to see. */
  asked: 'asked',
  /** A number that the fetcher raises while it lives; absent when the spool holds all of the plan. */
  heartbeat: 'heartbeat',
  /** Why the fetcher gave up, in one line. */
  error: 'error',
} as const;

/**
 * The value of `restore_command`. The test in front is not idle: a shell that cannot open its script exits with 2 in some systems, which
 * PostgreSQL would read as the end of WAL.
 */
export function restoreCommand(): string {
  const script = `${SPOOL_DIRECTORY}/${spoolNames.script}`;
  return `test -r ${script} || exit ${restoreExit.spoolBroken}; exec sh ${script} "%f" "%p"`;
}

/**
 * The shell script that PostgreSQL runs for each WAL and history file.
 *
 * It copies and never moves: PostgreSQL asks again for a file after a restart in the middle of recovery and when recovery ends. It runs in
 * a plain POSIX shell, without Node, as it is started hundreds of times. `fetcherSilenceSecondsMax` is how long a heartbeat may stand still.
 */
export function restoreScript(options: { fetcherSilenceSecondsMax: number }): string {
  const { notInPlan, spoolBroken, walUnavailable, fetcherDead } = restoreExit;
  return `#!/bin/sh
# Written by "holdfast restore": gives PostgreSQL the WAL of this recovery.
# Exit codes: 0 the file was placed; ${notInPlan} the plan says that no such file exists; above 125 something is wrong, and PostgreSQL must stop
# instead of taking it for the end of WAL.
LC_ALL=C
export LC_ALL
name=$1
destination=$2
spool=\${0%/*}

stop() {
  echo "holdfast: $2" >&2
  exit "$1"
}

[ -n "$name" ] && [ -n "$destination" ] || stop ${spoolBroken} 'restore-wal needs a file name and a destination'
grep -qxF -e "$name" "$spool/${spoolNames.plan}"
case $? in
  0) ;;
  1) exit ${notInPlan} ;;
  *) stop ${spoolBroken} "could not read the WAL plan \\"$spool/${spoolNames.plan}\\"" ;;
esac

ready=$spool/${spoolNames.ready}/$name
if [ ! -f "$spool/${spoolNames.heartbeat}" ]; then
  [ -f "$ready" ] || stop ${spoolBroken} "WAL file \\"$name\\" of the plan is not in the spool"
  cp "$ready" "$destination" || stop ${spoolBroken} "could not copy WAL file \\"$name\\""
  exit 0
fi

(: > "$spool/${spoolNames.asked}/$name") || stop ${spoolBroken} "could not ask for WAL file \\"$name\\""
seen=
silent=0
while :; do
  if [ -f "$ready" ]; then
    cp "$ready" "$destination" && exit 0
    # Taken away between the test and the copy, it comes back, as it was asked for; anything else is a failure.
    [ -f "$ready" ] && stop ${spoolBroken} "could not copy WAL file \\"$name\\""
  fi
  if [ -f "$spool/${spoolNames.error}" ]; then
    stop ${walUnavailable} "could not get WAL file \\"$name\\": $(cat "$spool/${spoolNames.error}")"
  fi
  beat=$(cat "$spool/${spoolNames.heartbeat}") || beat=
  if [ "$beat" = "$seen" ]; then
    silent=$((silent + 1))
  else
    seen=$beat
    silent=0
  fi
  if [ "$silent" -ge ${Math.ceil(options.fetcherSilenceSecondsMax * POLLS_PER_SECOND)} ]; then
    stop ${fetcherDead} "the process that fetches WAL has not been heard of for ${options.fetcherSilenceSecondsMax} s"
  fi
  sleep ${1 / POLLS_PER_SECOND} || sleep 1
done
`;
}

/** How often the script looks for a file that is not there yet. */
const POLLS_PER_SECOND = 20;
