/**
 * Ceph out of Debian's packages, as a server that speaks S3 with conditional writes, versions, object locks, policies and signatures that it
 * checks. Nothing is installed, and it needs no root: `tools` fetches and unpacks, `cluster` makes and runs one. What buckets and users are
 * made of is in `s3-server.ts` beside this folder.
 */
export { type CephCluster, startCeph } from './cluster.ts';
export { type CephTools, fetchCephTools, fetchFrom, whyNoCeph } from './tools.ts';
