import { type AddressRules, commonParameters, invalidAddress, prefixOf, readAddress } from '../address.ts';

/** What an address `azure://account/container/prefix?…` says. */
export interface AzureLocation extends AzureParameters {
  readonly account: string;
  readonly container: string;
  /** Empty, or the start of every blob's name, with its last slash. */
  readonly prefix: string;
}

interface AzureParameters {
  /** Without it that of the account in Azure's public cloud. An emulator has the account in its path. */
  readonly endpoint?: URL;
  readonly caFile?: string;
  readonly proxy?: URL;
  /** Bytes in a second, both ways together. */
  readonly maxRate?: number;
}

const rules: AddressRules<AzureParameters> = {
  scheme: 'azure',
  where: 'in Azure',
  // Source: Azure, "Storage account overview", names of accounts.
  host: /^[a-z0-9]{3,24}$/,
  hostNamed: 'an account',
  parameters: {
    ...commonParameters,
    endpoint: {
      read: commonParameters.endpoint.read,
      expected: 'an address such as https://account.blob.core.usgovcloudapi.net, without credentials',
    },
  },
  example: 'azure://account/container/prefix',
  credentialHint:
    'Take it out of the address: put it into the environment (AZURE_STORAGE_KEY, AZURE_STORAGE_SAS_TOKEN, AZURE_STORAGE_CONNECTION_STRING), or name it in the plan.',
};

/**
 * Reads `azure://account/container/prefix?endpoint=…&caFile=…&proxy=…&maxRate=…`.
 *
 * Errors: `STORE_LOCATION_INVALID`. No value of the address is repeated, as one may be a credential.
 */
export function parseAzureLocation(location: string): AzureLocation {
  const { host, path, parameters } = readAddress(location, rules);
  const [container, ...prefix] = path;
  // Source: Azure, "Naming and referencing containers, blobs, and metadata".
  if (container === undefined || !/^(?=.{3,63}$)[a-z0-9]+(-[a-z0-9]+)*$/.test(container)) {
    throw invalidAddress(rules, 'it does not name a container', `Expected ${rules.example}.`);
  }
  return { ...parameters, account: host, container, prefix: prefixOf(prefix, rules) };
}
