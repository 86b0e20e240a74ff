import type { Setting } from './configuration.ts';

/** What stands where a secret was. */
const HIDDEN = '[redacted]';

/** Settings whose whole value is a secret, or a command that may print one. */
const SECRET_NAME =
  /(^|[._])(passphrase|password|passwd|secret|secrets|token|salt|credentials?|api_?key|private_?key|access_?key|jwt)($|[._])/i;
/** No setting of PostgreSQL's own ends so. */
const KEY_NAME = /key$/i;
const SECRET_NAMES: ReadonlySet<string> = new Set(['ssl_passphrase_command']);
/** These have the words and no secret. */
const OPEN_NAMES: ReadonlySet<string> = new Set(['password_encryption', 'ssl_passphrase_command_supports_reload']);

/**
 * `password=…`, `AWS_SECRET_ACCESS_KEY=…`, `ldapbindpasswd=…`, `radiussecrets=…`: the word may be part of a longer one. The value may stand in quotes,
 * in doubled ones inside a quoted value, or in none.
 */
const SECRET_WORD = new RegExp(
  '([\\w.-]*(?:pass(?:word|wd|phrase)|secret|token|credential|(?:access|api|encryption)_?key)[\\w.-]*\\s*=\\s*)' +
    `("(?:[^"\\\\]|\\\\.)*"|''(?:[^']|'(?!'))*''|'(?:[^'\\\\]|\\\\.|'')*'|[^\\s'"&;,#]+)`,
  'gi',
);
/** The password in a URL. */
const URL_PASSWORD = /([a-z][a-z0-9+.-]*:\/\/[^/?#@\s:'"]*:)[^/?#@\s'"]+(@)/gi;
/** A setting at the beginning of a line, also one that is commented out. */
const SETTING_LINE = /^(\s*#?\s*)([a-z_][\w.]*)(\s*=\s*|\s+)('(?:[^']|'')*'|[^\s#]+)/i;

/** The value of a setting as it may be shown. */
export function redactSetting(name: string, value: string | null): string | null {
  if (value === null || value === '' || value === '(disabled)') return value;
  return isSecretName(name) ? HIDDEN : redactText(value);
}

/** A line of a configuration file as it may be shown. */
export function redactLine(line: string): string {
  const setting = SETTING_LINE.exec(line);
  if (setting !== null && isSecretName(setting[2]!) && setting[4] !== "''") {
    return `${setting[1]}${setting[2]}${setting[3]}'${HIDDEN}'${redactText(line.slice(setting[0].length))}`;
  }
  return redactText(line);
}

/** Set by the server itself, or for the session that asked. */
const UNTOUCHED_SOURCES: ReadonlySet<string> = new Set(['default', 'override', 'client', 'session']);

/** Whether somebody changed a setting from what the server was built with. */
export function isChangedSetting({ setting, bootValue, source }: Setting): boolean {
  return !UNTOUCHED_SOURCES.has(source) && setting !== bootValue;
}

function isSecretName(name: string): boolean {
  if (OPEN_NAMES.has(name)) return false;
  return SECRET_NAMES.has(name) || SECRET_NAME.test(name) || KEY_NAME.test(name);
}

function redactText(text: string): string {
  return text
    .replaceAll(URL_PASSWORD, `$1${HIDDEN}$2`)
    .replaceAll(SECRET_WORD, (all, key: string) => (OPEN_NAMES.has(key.split('=')[0]!.trim()) ? all : key + HIDDEN));
}
