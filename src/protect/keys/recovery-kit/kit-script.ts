import type { KitCluster, KitFacts, KitPlace } from './kit-facts.ts';

/** The lines between which stands what is typed; the page says them, and whoever reads its text finds it by them. */
export const SCRIPT_BEGIN = '# Begin of what to type.';
export const SCRIPT_END = '# End of what to type.';

/**
 * What to type on an empty machine, as lines for `sh`: sentences for people are comments, so that all of it can be typed or run as it stands.
 *
 * Names come from records that whoever has a key may have written: none of them may become a command.
 * Secrets that the page does not hold are asked for with `read`, so that they stand in no history and no list of arguments.
 */
export function writeScript(facts: KitFacts): string[] {
  return [
    SCRIPT_BEGIN,
    '# Lines that begin with # are for you; the others are typed as they stand.',
    ...requirements(facts),
    'mkdir -p "$HOME/holdfast-recovery"',
    'cd "$HOME/holdfast-recovery"',
    ...install(facts),
    ...key(facts),
    ...store(facts),
    '# What is there, and whether the key fits:',
    'npx holdfast keys list',
    'npx holdfast list',
    ...restores(facts),
    SCRIPT_END,
  ];
}

function requirements({ clusters }: KitFacts): string[] {
  const majors = [...new Set(clusters.map(majorOf))].filter((major) => major !== '');
  const servers =
    majors.length === 0
      ? 'the server programs of the PostgreSQL that is to be restored, of the same major version'
      : `the server programs of PostgreSQL ${majors.join(' and ')} (on Debian: ${majors.map((major) => `postgresql-${major}`).join(', ')})`;
  return [`# Before: Linux or macOS, Node 24.7 or newer with npm (nodejs.org), and ${servers}.`];
}

function install({ version, places }: KitFacts): string[] {
  const azure = places.some(({ location }) => location.startsWith('azure://')) ? ' @azure/storage-blob' : '';
  return [
    '# Where npm cannot get it: the archive of the package, if you keep it beside this page, can be named instead.',
    `npm install holdfast@${version}${azure}`,
  ];
}

function key({ key: printed, slots }: KitFacts): string[] {
  if (printed !== null) {
    return [
      '# The key of this page. Each group ends with a check character: if one is mistyped, Holdfast says which.',
      `(umask 077; cat > recovery.key) <<'END'`,
      ...printed.lines,
      'END',
      'export HOLDFAST_KEY_FILE="$PWD/recovery.key"',
    ];
  }
  const kinds = new Set(slots.map(({ kind }) => kind));
  return [
    '# A key, which this page does not hold. One of those that it names is needed:',
    ...(kinds.has('key-file') ? ['#   a key file:        export HOLDFAST_KEY_FILE=/where/it/is'] : []),
    ...(kinds.has('age') ? ['#   an age identity:   export HOLDFAST_AGE_IDENTITY=/where/it/is'] : []),
    ...(kinds.has('command') ? ['#   a key command:     export HOLDFAST_KEY_COMMAND=/where/it/is'] : []),
    ...(kinds.has('passphrase') ? ['#   a passphrase:      nothing to type here; it is asked for'] : []),
  ];
}

function store({ places }: KitFacts): string[] {
  const [primary, ...copies] = places;
  const together = copies.filter(({ access, location }) => access.kind === 'environment' && !/\s/.test(location));
  const apart = copies.filter((copy) => !together.includes(copy));
  return [
    '# The store.',
    ...accessLines(primary!),
    `export HOLDFAST_REPOSITORY=${quote(primary!.location)}`,
    'export HOLDFAST_STATE_DIR="$PWD/state"',
    ...(together.length === 0
      ? []
      : [
          '# Its copies: what is away or damaged in one place is read from another.',
          `export HOLDFAST_COPIES=${quote(together.map(({ name, location }) => `${name}=${location}`).join(' '))}`,
        ]),
    ...apart.flatMap((copy) => [
      `# The copy ${forComment(copy.name)} is named alone. If it is what is left, type these instead of the lines above:`,
      ...[...accessLines(copy), `export HOLDFAST_REPOSITORY=${quote(copy.location)}`]
        .flatMap((line) => line.split('\n'))
        .map((line) => (line.startsWith('#') ? line : `#   ${line}`)),
    ]),
  ];
}

function accessLines({ location, access }: KitPlace): string[] {
  if (access.kind === 'variables') {
    return access.variables.map(({ name, value }) =>
      value === null ? `printf '%s: ' ${name}; read -r ${name}; export ${name}` : `export ${name}=${quote(value)}`,
    );
  }
  if (location.startsWith('s3://')) {
    return [
      '# Unless this machine is let in by itself, type the access key of the store first:',
      '#   read -r AWS_ACCESS_KEY_ID; read -r AWS_SECRET_ACCESS_KEY; export AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY',
    ];
  }
  if (location.startsWith('azure://')) {
    return [
      '# The key of the storage account, or a shared access signature, is typed first:',
      '#   read -r AZURE_STORAGE_KEY; export AZURE_STORAGE_KEY      (or AZURE_STORAGE_SAS_TOKEN)',
    ];
  }
  return ['# It lies on a disk: attach that first, and name the place where it is now.'];
}

function restores({ clusters }: KitFacts): string[] {
  if (clusters.length === 0) {
    return [
      '# Nothing was stored when this page was made. The list above says what there is now:',
      'npx holdfast restore --into "$PWD/restored" --start',
    ];
  }
  return clusters.flatMap((cluster, index) => [
    `# ${forComment(cluster.name)}: needs about ${Math.ceil(cluster.bytes / 2 ** 30)} GiB here. Its last lines say how to connect. To an earlier moment: --to TIME.`,
    ...(cluster.tablespaces.length === 0
      ? []
      : [
          `# It has tablespaces (${cluster.tablespaces.map(forComment).join(', ')}); --tablespaces-into DIRECTORY puts them elsewhere.`,
        ]),
    // The quotes would hold, but whoever types cannot tell what stands between them.
    HIDDEN.test(cluster.name)
      ? '# Its name cannot be typed here: npx holdfast list tells its snapshots; restore one of them by its id.'
      : `npx holdfast restore --cluster ${quote(cluster.name)} --into "$PWD/${directoryFor(cluster, index)}" --start`,
  ]);
}

/** Its name where that is plain: another one might lead out of the directory. */
function directoryFor({ name }: KitCluster, index: number): string {
  return /^[a-z0-9][\w.-]*$/i.test(name) ? name : `_cluster-${index + 1}`;
}

function majorOf({ serverVersion }: KitCluster): string {
  return /^\d+/.exec(serverVersion)?.[0] ?? '';
}

/** Characters that end a line, are not seen, or turn the direction of what is. */
const HIDDEN = /[\p{C}\p{Zl}\p{Zp}]/u;

/** In quotes on one line, so that it cannot leave the comment. */
function forComment(text: string): string {
  const hidden = new RegExp(HIDDEN, 'gu');
  return JSON.stringify(text).replaceAll(hidden, (found) => `\\u{${found.codePointAt(0)!.toString(16)}}`);
}

/** For `sh`, whatever stands in it. */
function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
