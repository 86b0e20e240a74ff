import { randomBytes } from 'node:crypto';
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateMultipartUploadCommand,
  DeleteBucketCommand,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetObjectRetentionCommand,
  ListObjectVersionsCommand,
  PutBucketAclCommand,
  PutBucketLifecycleConfigurationCommand,
  PutBucketPolicyCommand,
  PutBucketVersioningCommand,
  PutObjectAclCommand,
  PutObjectCommand,
  PutObjectLegalHoldCommand,
  PutObjectLockConfigurationCommand,
  PutObjectRetentionCommand,
  type S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import type { Attempt, AttemptAnswer, AttemptId, Intruder } from '../intruder.ts';
import { makeClient } from './client.ts';
import type { ConnectOptions } from './connection.ts';
import { s3CodeOf, s3ErrorOf, statusOf } from './errors.ts';

/** No server knows such a value, so that a request with it changes nothing wherever it gets. */
const NO_VALUE = 'Holdfast-Attack-Test' as never;

/** Parts of names that are under the same rules as everything but what is volatile; an object of such a name is never there. */
const ELSEWHERE = ['keys/', 'packs/', 'index/', 'snapshots/committed/', 'ledger/', 'attest/', 'wal/1/x/segments/'];

/** How much longer than the policy of our documentation allows: a bait stays so much longer, and no more, where no policy caps it. */
const BEYOND_THE_CAP_MS = 3 * 86_400_000;

/** Whoever has the credentials of a bucket, with Amazon's own client. Nothing is sent before the first attempt. */
export async function openS3Intruder(options: Omit<ConnectOptions, 'rate' | 'clock'>): Promise<Intruder> {
  return new S3Intruder(await makeClient(options), options);
}

class S3Intruder implements Intruder {
  readonly attempts: readonly Attempt[];
  readonly #client: S3Client;
  readonly #options: Omit<ConnectOptions, 'rate' | 'clock'>;
  readonly #bucket: string;

  constructor(client: S3Client, options: Omit<ConnectOptions, 'rate' | 'clock'>) {
    this.#client = client;
    this.#options = options;
    this.#bucket = options.location.bucket;
    const Bucket = this.#bucket;
    const onBait = (id: AttemptId, run: Attempt['run']): Attempt => ({ id, on: 'bait', run });
    const onPlace = (id: AttemptId, command: () => Promise<unknown>): Attempt => ({
      ...{ id, on: 'place' },
      run: () => this.#ask(id, command),
    });
    this.attempts = [
      onBait('overwrite', (bait) => this.#ask('overwrite', () => this.#put(bait))),
      onBait('overwrite-by-copy', (bait) => this.#overwriteByCopy(bait)),
      onBait('overwrite-in-parts', (bait) => this.#ask('overwrite-in-parts', () => this.#putInParts(bait))),
      onBait('delete', (bait) =>
        this.#ask('delete', () => client.send(new DeleteObjectCommand({ Bucket, Key: this.#key(bait) }))),
      ),
      onBait('delete-many', (bait) => this.#deleteMany(bait)),
      onBait('delete-versions', (bait) => this.#deleteVersions(bait)),
      { id: 'delete-elsewhere', on: 'place', run: () => this.#deleteElsewhere() },
      onBait('shorten-lock', (bait) => this.#shortenLock(bait)),
      onBait('weaken-lock', (bait) => this.#weakenLock(bait)),
      onBait('lock-for-long', (bait) => this.#lockForLong(bait)),
      onBait('hold', (bait) => this.#hold(bait)),
      onBait('publish', (bait) =>
        this.#ask('publish', () =>
          client.send(new PutObjectAclCommand({ Bucket, Key: this.#key(bait), ACL: 'private' })),
        ),
      ),
      onPlace('suspend-versions', () =>
        client.send(new PutBucketVersioningCommand({ Bucket, VersioningConfiguration: { Status: NO_VALUE } })),
      ),
      onPlace('change-policy', () => client.send(new PutBucketPolicyCommand({ Bucket, Policy: NO_VALUE }))),
      onPlace('change-lifecycle', () => {
        const Rules = [{ ID: NO_VALUE, Status: NO_VALUE, Filter: { Prefix: NO_VALUE }, Expiration: { Days: -1 } }];
        const LifecycleConfiguration = { Rules };
        return client.send(new PutBucketLifecycleConfigurationCommand({ Bucket, LifecycleConfiguration }));
      }),
      onPlace('change-lock-settings', () => {
        const ObjectLockConfiguration = { ObjectLockEnabled: NO_VALUE };
        return client.send(new PutObjectLockConfigurationCommand({ Bucket, ObjectLockConfiguration }));
      }),
      onPlace('change-access', () => {
        const Grantee = { Type: 'CanonicalUser', ID: NO_VALUE } as const;
        const AccessControlPolicy = { Grants: [{ Grantee, Permission: NO_VALUE }], Owner: { ID: NO_VALUE } };
        return client.send(new PutBucketAclCommand({ Bucket, AccessControlPolicy }));
      }),
      // A bucket that holds anything cannot be deleted, and it holds the baits.
      onPlace('delete-place', () => client.send(new DeleteBucketCommand({ Bucket }))),
    ];
  }

  async tidy(bait: string): Promise<void> {
    const { versions, markers } = await this.#versionsOf(bait);
    // The oldest version is the bait itself.
    for (const id of [...markers, ...versions.slice(0, -1)]) await this.#deleteVersion(bait, id);
  }

  close(): void {
    this.#client.destroy();
  }

  #key(name: string): string {
    return this.#options.location.prefix + name;
  }

  /**
   * What a refusal means. A server asks for the right before it looks at what was sent: whoever lacks it hears 403, whoever has it something else about a request that
   * makes no sense. Errors: those that say nothing, such as a server that does not answer.
   */
  async #ask(id: AttemptId, send: () => Promise<unknown>): Promise<AttemptAnswer> {
    try {
      await send();
      return 'accepted';
    } catch (error) {
      const status = statusOf(error);
      if (status === 403) return 'denied';
      if (status === 405 || status === 501) return 'inapplicable';
      const isAnswer = status !== undefined && status >= 400 && status < 500 && ![401, 408, 429].includes(status);
      if (isAnswer) return 'accepted';
      const place = { ...this.#options.location, description: this.#options.description };
      throw s3ErrorOf(error, `try the attack "${id}"`, { ...place, region: place.region });
    }
  }

  #put(name: string): Promise<unknown> {
    return this.#client.send(
      new PutObjectCommand({ Bucket: this.#bucket, Key: this.#key(name), Body: randomBytes(64) }),
    );
  }

  async #overwriteByCopy(bait: string): Promise<AttemptAnswer> {
    // Not onto itself, which servers refuse for reasons of their own.
    const source = `volatile/probe-${randomBytes(8).toString('hex')}`;
    await this.#put(source);
    try {
      const CopySource = `${this.#bucket}/${this.#key(source)}`;
      const target = { Bucket: this.#bucket, Key: this.#key(bait), CopySource };
      return await this.#ask('overwrite-by-copy', () => this.#client.send(new CopyObjectCommand(target)));
    } finally {
      await this.#client.send(new DeleteObjectCommand({ Bucket: this.#bucket, Key: this.#key(source) }));
    }
  }

  async #putInParts(bait: string): Promise<void> {
    const target = { Bucket: this.#bucket, Key: this.#key(bait) };
    const { UploadId } = await this.#client.send(new CreateMultipartUploadCommand(target));
    const upload = { ...target, UploadId };
    try {
      const Body = randomBytes(64);
      const { ETag } = await this.#client.send(new UploadPartCommand({ ...upload, PartNumber: 1, Body }));
      const MultipartUpload = { Parts: [{ ETag, PartNumber: 1 }] };
      await this.#client.send(new CompleteMultipartUploadCommand({ ...upload, MultipartUpload }));
    } catch (error) {
      // What cannot be aborted either is a part of 64 bytes of nothing.
      await this.#client.send(new AbortMultipartUploadCommand(upload)).catch(() => {});
      throw error;
    }
  }

  /** Refusals of single names stand in the answer, which is a success. */
  async #deleteMany(bait: string): Promise<AttemptAnswer> {
    let refused = false;
    const answer = await this.#ask('delete-many', async () => {
      const Delete = { Objects: [{ Key: this.#key(bait) }] };
      const { Errors = [] } = await this.#client.send(new DeleteObjectsCommand({ Bucket: this.#bucket, Delete }));
      refused = Errors.length > 0;
    });
    return refused ? 'denied' : answer;
  }

  async #deleteVersions(bait: string): Promise<AttemptAnswer> {
    const { versions } = await this.#versionsOf(bait);
    if (versions.length === 0) return 'inapplicable';
    const answers: AttemptAnswer[] = [];
    for (const id of versions) answers.push(await this.#deleteVersion(bait, id));
    return answers.includes('accepted') ? 'accepted' : 'denied';
  }

  #deleteVersion(name: string, id: string): Promise<AttemptAnswer> {
    const target = { Bucket: this.#bucket, Key: this.#key(name), VersionId: id, BypassGovernanceRetention: true };
    return this.#ask('delete-versions', () => this.#client.send(new DeleteObjectCommand(target)));
  }

  /** Asks to delete objects that are not there, under every kind of name. */
  async #deleteElsewhere(): Promise<AttemptAnswer> {
    for (const part of ELSEWHERE) {
      const name = part + randomBytes(32).toString('hex');
      const target = { Bucket: this.#bucket, Key: this.#key(name) };
      const answer = await this.#ask('delete-elsewhere', () => this.#client.send(new DeleteObjectCommand(target)));
      if (answer !== 'accepted') continue;
      // A marker on a name that nobody uses; where it cannot be taken off it hides nothing.
      for (const id of (await this.#versionsOf(name)).markers) await this.#deleteVersion(name, id);
      return 'accepted';
    }
    return 'denied';
  }

  /** Newest first. */
  async #versionsOf(name: string): Promise<{ versions: string[]; markers: string[] }> {
    const Key = this.#key(name);
    const page = await this.#client.send(new ListObjectVersionsCommand({ Bucket: this.#bucket, Prefix: Key }));
    const idsOf = (entries: readonly { Key?: string | undefined; VersionId?: string | undefined }[] = []) =>
      entries.filter((entry) => entry.Key === Key).map(({ VersionId }) => VersionId ?? 'null');
    return { versions: idsOf(page.Versions), markers: idsOf(page.DeleteMarkers) };
  }

  async #lockOf(bait: string): Promise<Date | null> {
    const target = { Bucket: this.#bucket, Key: this.#key(bait) };
    try {
      const { Retention } = await this.#client.send(new GetObjectRetentionCommand(target));
      return Retention?.RetainUntilDate ?? null;
    } catch (error) {
      const codes = ['NoSuchObjectLockConfiguration', 'ObjectLockConfigurationNotFoundError', 'InvalidRequest'];
      if (codes.includes(s3CodeOf(error))) return null;
      throw error;
    }
  }

  async #shortenLock(bait: string): Promise<AttemptAnswer> {
    const until = await this.#lockOf(bait);
    if (until === null) return 'inapplicable';
    return this.#retain('shorten-lock', bait, { Mode: 'COMPLIANCE', RetainUntilDate: hourBefore(until) });
  }

  async #weakenLock(bait: string): Promise<AttemptAnswer> {
    const until = await this.#lockOf(bait);
    if (until === null) return 'inapplicable';
    return this.#retain('weaken-lock', bait, { Mode: 'GOVERNANCE', RetainUntilDate: hourBefore(until) });
  }

  async #lockForLong(bait: string): Promise<AttemptAnswer> {
    const until = await this.#lockOf(bait);
    if (until === null) return 'inapplicable';
    const RetainUntilDate = new Date(until.getTime() + BEYOND_THE_CAP_MS);
    return this.#retain('lock-for-long', bait, { Mode: 'COMPLIANCE', RetainUntilDate });
  }

  #retain(
    id: AttemptId,
    bait: string,
    retention: { Mode: 'COMPLIANCE' | 'GOVERNANCE'; RetainUntilDate: Date },
  ): Promise<AttemptAnswer> {
    const target = { Bucket: this.#bucket, Key: this.#key(bait), BypassGovernanceRetention: true };
    return this.#ask(id, () => this.#client.send(new PutObjectRetentionCommand({ ...target, Retention: retention })));
  }

  /** A hold without an end; taken off again, which whoever may set it may. */
  async #hold(bait: string): Promise<AttemptAnswer> {
    if ((await this.#lockOf(bait)) === null) return 'inapplicable';
    const set = (Status: 'ON' | 'OFF') =>
      this.#client.send(
        new PutObjectLegalHoldCommand({ Bucket: this.#bucket, Key: this.#key(bait), LegalHold: { Status } }),
      );
    const answer = await this.#ask('hold', () => set('ON'));
    if (answer === 'accepted') await set('OFF');
    return answer;
  }
}

function hourBefore(date: Date): Date {
  return new Date(date.getTime() - 3_600_000);
}
