import { S3Client, type S3ClientConfig } from '@aws-sdk/client-s3';
import { NodeHttpHandler } from '@smithy/node-http-handler';
import { HoldfastError } from '../../../lib/index.ts';
import { makeAgents, SILENCE_MS_MAX } from '../agents.ts';
import type { StoreCredentials } from '../credentials.ts';
import type { S3Location } from './location.ts';

/** A server that does not even let us connect for this long is not there. */
const CONNECT_MS_MAX = 10_000;

/** Amazon's client, as every request of a store uses it. Nothing is sent yet. */
export async function makeClient({
  location,
  credentials,
}: {
  location: S3Location;
  credentials?: StoreCredentials;
}): Promise<S3Client> {
  const config: S3ClientConfig = {
    ...(location.region === undefined && location.endpoint === undefined
      ? {}
      : { region: location.region ?? 'us-east-1' }),
    ...(location.endpoint === undefined ? {} : { endpoint: location.endpoint.href }),
    ...credentialsOf(credentials),
    forcePathStyle: location.pathStyle,
    // The store around this one repeats, with one budget for everything.
    maxAttempts: 1,
    // Everything that is read authenticates itself; everything that is written brings a checksum of its own.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    followRegionRedirects: false,
    disableS3ExpressSessionAuth: true,
    // It would wait for a second answer before each large object; refusals of what is there already are rare.
    expectContinueHeader: false,
    logger: silent,
    requestHandler: new NodeHttpHandler({
      ...(await makeAgents(location)),
      connectionTimeout: CONNECT_MS_MAX,
      socketTimeout: SILENCE_MS_MAX,
      logger: silent,
    }),
  };
  const client = new S3Client(config);
  // It would take the time from the date of every answer: after one with a wrong date the next request would be refused, and a host whose
  // clock is wrong would never be told so.
  Object.defineProperty(client.config, 'systemClockOffset', { get: () => 0, set: ignore });
  return client;
}

/** What the SDK has to say reaches people as errors; it would write on standard output besides. */
const silent = { trace: ignore, debug: ignore, info: ignore, warn: ignore, error: ignore };

function ignore(): void {}

function credentialsOf(credentials: StoreCredentials | undefined): Pick<S3ClientConfig, 'credentials' | 'profile'> {
  switch (credentials?.kind) {
    case undefined:
      return {};
    case 'profile':
      return { profile: credentials.profile };
    case 'access-key': {
      const { accessKeyId, secretAccessKey, sessionToken } = credentials;
      return {
        credentials: {
          ...{ accessKeyId, secretAccessKey: secretAccessKey.reveal() },
          ...(sessionToken === undefined ? {} : { sessionToken: sessionToken.reveal() }),
        },
      };
    }
    case 'account-key':
    case 'sas':
      throw new HoldfastError('STORE_CREDENTIALS_REJECTED', 'cannot use credentials of Azure for a repository in S3', {
        detail: `Expected an access key or a profile, found ${credentials.kind === 'sas' ? 'a shared access signature' : 'the key of an account'}.`,
        hints: ['Name credentials of the kind that the address asks for.'],
      });
  }
}
