import { readFile } from 'node:fs/promises';

/** The policies under `docs/policies/`. */
export type PolicyName = 'writer' | 'writer-ceph' | 'reader' | 'pruner';

export interface PolicyStatement {
  readonly Sid: string;
  readonly Effect: 'Allow' | 'Deny';
  readonly Action: string | readonly string[];
  readonly [key: string]: unknown;
}

/** A policy as its page has it, with the names of a place in it. */
export async function readPolicy(
  name: PolicyName,
  place: { bucket: string; prefix: string; days?: number },
): Promise<{ Version: string; Statement: PolicyStatement[] }> {
  const text = await readFile(new URL(`../../docs/policies/${name}.json`, import.meta.url), 'utf8');
  return JSON.parse(
    text
      .replaceAll('BUCKET', place.bucket)
      .replaceAll('PREFIX', place.prefix)
      .replaceAll('DAYS', String(place.days ?? 1)),
  );
}

/** The same as one policy of the bucket, which names whom each statement is about. */
export async function bucketPolicy(
  place: { bucket: string; prefix: string },
  users: readonly { arn: string; policy: PolicyName }[],
): Promise<object> {
  const statements: object[] = [];
  for (const { arn, policy } of users) {
    const { Statement } = await readPolicy(policy, place);
    statements.push(...Statement.map((statement) => ({ ...statement, Principal: { AWS: [arn] } })));
  }
  return { Version: '2012-10-17', Statement: statements };
}
