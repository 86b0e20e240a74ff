import { type AddressRules, commonParameters, prefixOf, readAddress, readOrigin } from '../address.ts';

/** What an address `s3://bucket/prefix?…` says. */
export interface S3Location extends S3Parameters {
  readonly bucket: string;
  /** Empty, or the start of every key, with its last slash. */
  readonly prefix: string;
  readonly pathStyle: boolean;
  readonly checksums: 'when-supported' | 'when-required';
}

interface S3Parameters {
  readonly region?: string;
  /** Without it the SDK's own: AWS. */
  readonly endpoint?: URL;
  readonly pathStyle?: boolean;
  readonly caFile?: string;
  readonly proxy?: URL;
  readonly checksums?: 'when-supported' | 'when-required';
  /** Bytes in a second, both ways together. */
  readonly maxRate?: number;
}

const rules: AddressRules<S3Parameters> = {
  scheme: 's3',
  where: 'in S3',
  // As wide as any server's rule; the server says what is wrong with a bucket's name that it does not like.
  host: /^[A-Za-z0-9][A-Za-z0-9._-]{1,254}$/,
  hostNamed: 'a bucket',
  parameters: {
    region: {
      read: (value) => (/^[a-z0-9-]{1,64}$/i.test(value) ? value : null),
      expected: 'the name of a region, such as eu-central-1',
    },
    ...commonParameters,
    endpoint: {
      read: readOrigin,
      expected: 'an address such as https://s3.example.net, without a path and without credentials',
    },
    pathStyle: {
      read: (value) => (['true', 'false'].includes(value) ? value === 'true' : null),
      expected: 'true or false',
    },
    checksums: {
      read: (value) => (value === 'when-supported' || value === 'when-required' ? value : null),
      expected: 'when-supported or when-required',
    },
  },
  example: 's3://bucket/prefix?region=eu-central-1',
  credentialHint:
    'Take it out of the address: put it into the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY), a profile, or name it in the plan.',
};

/**
 * Reads `s3://bucket/prefix?region=…&endpoint=…&pathStyle=…&caFile=…&proxy=…&checksums=…&maxRate=…`.
 *
 * Path style (the bucket in the path instead of the host's name) is the default wherever an endpoint is named, as most such servers have no
 * host name for each bucket.
 * Errors: `STORE_LOCATION_INVALID`. No value of the address is repeated, as one may be a credential.
 */
export function parseS3Location(location: string): S3Location {
  const { host, path, parameters } = readAddress(location, rules);
  return {
    checksums: 'when-supported',
    pathStyle: parameters.endpoint !== undefined,
    ...parameters,
    bucket: host,
    prefix: prefixOf(path, rules),
  };
}
