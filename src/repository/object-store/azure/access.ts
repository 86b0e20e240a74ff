import { HoldfastError, Secret } from '../../../lib/index.ts';
import type { StoreCredentials } from '../credentials.ts';
import type { AzureLocation } from './location.ts';

/** By what an account lets us in, and where it is asked. */
export interface AzureAccess {
  readonly credentials: Extract<StoreCredentials, { kind: 'account-key' | 'sas' }>;
  readonly endpoint: URL;
}

/** The variables that Azure's own tools read. */
type Environment = Readonly<Record<string, string | undefined>>;

/** What services find in their environment when Azure gives them an identity; this version does not ask for its tokens. */
const identityVariables = ['AZURE_FEDERATED_TOKEN_FILE', 'IDENTITY_ENDPOINT', 'MSI_ENDPOINT', 'AZURE_CLIENT_ID'];

/**
 * Finds the credentials: those that were handed in, or of the environment a connection string, a key or a shared access signature, in this order.
 *
 * Errors: `STORE_CREDENTIALS_ABSENT`; `STORE_CREDENTIALS_REJECTED` for some of another kind or of another account. No value is repeated.
 */
export function findAccess(
  location: AzureLocation,
  credentials: StoreCredentials | undefined,
  environment: Environment,
): AzureAccess {
  const endpoint = location.endpoint ?? publicEndpoint(location);
  if (credentials?.kind === 'account-key' || credentials?.kind === 'sas') return { credentials, endpoint };
  if (credentials !== undefined) {
    throw new HoldfastError('STORE_CREDENTIALS_REJECTED', 'cannot use credentials of S3 for a repository in Azure', {
      detail: `Expected the key of an account or a shared access signature, found ${credentials.kind === 'profile' ? 'a profile' : 'an access key'}.`,
      hints: ['Name credentials of the kind that the address asks for.'],
    });
  }
  const text = environment.AZURE_STORAGE_CONNECTION_STRING;
  if (text !== undefined && text !== '') return readConnectionString(text, location);
  const key = environment.AZURE_STORAGE_KEY;
  const token = environment.AZURE_STORAGE_SAS_TOKEN;
  const isNamed = (value: string | undefined): value is string => value !== undefined && value !== '';
  if (isNamed(key) || isNamed(token))
    checkAccount(environment.AZURE_STORAGE_ACCOUNT, 'AZURE_STORAGE_ACCOUNT', location);
  if (isNamed(key)) return { credentials: { kind: 'account-key', key: new Secret(key) }, endpoint };
  if (isNamed(token)) return { credentials: { kind: 'sas', token: toToken(token) }, endpoint };
  throw credentialsAbsent(location, environment);
}

/**
 * Source: Azure, "Configure Azure Storage connection strings". An endpoint in the address goes before one in the text.
 */
function readConnectionString(text: string, location: AzureLocation): AzureAccess {
  const parts = new Map(
    text
      .split(';')
      .filter((part) => part.includes('='))
      .map((part) => [part.slice(0, part.indexOf('=')).trim(), part.slice(part.indexOf('=') + 1).trim()] as const),
  );
  checkAccount(parts.get('AccountName'), 'AccountName in AZURE_STORAGE_CONNECTION_STRING', location);
  const endpoint = location.endpoint ?? endpointOf(parts, location);
  const [key, token] = [parts.get('AccountKey'), parts.get('SharedAccessSignature')];
  if (key !== undefined) return { credentials: { kind: 'account-key', key: new Secret(key) }, endpoint };
  if (token !== undefined) return { credentials: { kind: 'sas', token: toToken(token) }, endpoint };
  throw new HoldfastError(
    'STORE_CREDENTIALS_ABSENT',
    `cannot reach ${nameOf(location)}: its connection string has no credentials`,
    {
      detail: 'Expected AccountKey or SharedAccessSignature in AZURE_STORAGE_CONNECTION_STRING, found neither.',
      hints: ['Take it from "Access keys" or "Shared access signature" of the account as it stands there.'],
    },
  );
}

function endpointOf(parts: ReadonlyMap<string, string>, location: AzureLocation): URL {
  const named = parts.get('BlobEndpoint');
  if (named !== undefined && URL.canParse(named)) return new URL(named);
  const [scheme = 'https', suffix = 'core.windows.net'] = [
    parts.get('DefaultEndpointsProtocol'),
    parts.get('EndpointSuffix'),
  ];
  const composed = `${scheme}://${location.account}.blob.${suffix}`;
  return URL.canParse(composed) ? new URL(composed) : publicEndpoint(location);
}

function publicEndpoint({ account }: AzureLocation): URL {
  return new URL(`https://${account}.blob.core.windows.net`);
}

/** Portals show a token with the "?" that stands before it in an address. */
function toToken(text: string): Secret {
  return new Secret(text.replace(/^\?/, ''));
}

/** Credentials of one account open no other one; they would be sent to whoever has that name. */
function checkAccount(found: string | undefined, where: string, location: AzureLocation): void {
  if (found === undefined || found === '' || found === location.account) return;
  throw new HoldfastError(
    'STORE_CREDENTIALS_REJECTED',
    `cannot use the credentials of the environment for ${nameOf(location)}: they are of another account`,
    {
      detail: `Expected the account "${location.account}", as the address says, found "${found}" in ${where}.`,
      hints: ['Name the credentials of this place in the plan, or correct the address.'],
    },
  );
}

function credentialsAbsent(location: AzureLocation, environment: Environment): HoldfastError {
  const found = identityVariables.find((name) => (environment[name] ?? '') !== '');
  const expected = 'Expected AZURE_STORAGE_CONNECTION_STRING, AZURE_STORAGE_KEY or AZURE_STORAGE_SAS_TOKEN';
  return new HoldfastError('STORE_CREDENTIALS_ABSENT', `cannot reach ${nameOf(location)}: no credentials were found`, {
    detail:
      found === undefined
        ? `${expected}, found none of them.`
        : `${expected}, found ${found}: managed and workload identities are not used by this version.`,
    hints: ['Set one of them, or name credentials in the plan: a shared access signature has the fewest rights.'],
  });
}

function nameOf({ account, container }: AzureLocation): string {
  return `Azure "${account}/${container}"`;
}
