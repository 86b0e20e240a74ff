import { randomBytes } from 'node:crypto';
import { type Clock, codeOf } from '../../../lib/index.ts';
import type { StoreCredentials } from '../credentials.ts';
import { type Attempt, attempt, type Intruder } from '../intruder.ts';
import { uploadOfBytes } from '../upload.ts';
import { findAccess } from './access.ts';
import { connect } from './connection.ts';
import type { AzureLocation } from './location.ts';

/**
 * Whoever has the key of an account or a signature for a container. What an account keeps of overwritten and deleted blobs is not read by this version, so that both are losses.
 *
 * The settings of an account are not tried: there are no requests to Azure that ask for a right and cannot succeed. Nothing is sent before the first attempt. Errors: those of the credentials.
 */
export async function openAzureIntruder(
  location: AzureLocation,
  options: { description: string; clock: Clock; credentials?: StoreCredentials; signal?: AbortSignal },
): Promise<Intruder> {
  const { description, clock, credentials, signal } = options;
  const connection = await connect({
    ...{ location, description, clock, rate: null },
    access: findAccess(location, credentials, process.env),
    ...(signal === undefined ? {} : { signal }),
  });
  const onBait = (id: Attempt['id'], run: (bait: string) => Promise<unknown>): Attempt => ({
    ...{ id, on: 'bait' },
    run: (bait) =>
      attempt(
        () => run(bait),
        (error) => codeOf(error) === 'STORE_DENIED',
      ),
  });
  return {
    attempts: [
      onBait('overwrite', (bait) =>
        connection.put(bait, uploadOfBytes(randomBytes(64), 'md5', null), { onlyNew: false }),
      ),
      onBait('delete', (bait) => connection.delete(bait)),
    ],
    // What is left of a bait is the bait.
    tidy: async () => {},
    close: () => {},
  };
}
