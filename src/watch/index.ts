/**
 * What is so now, against what should be.
 *
 * Nouns: a *status* is what the repository says of each cluster at this moment; a *finding* is one thing that a person should know, with what to
 * do about it; only a *problem* among them is wrong.
 *
 * It repairs nothing and tells nobody.
 */
export * from './copies/index.ts';
export {
  type CopiesAlone,
  describeSnapshot,
  listDescribedSnapshots,
  type SnapshotDescription,
} from './describe-snapshot.ts';
export { judgeCluster } from './judge-status.ts';
export { listClusters } from './known-clusters.ts';
export { findHarmedSnapshots } from './known-damage.ts';
export { isOnThisMachine, isServerHere } from './own-machine.ts';
export * from './preflight/index.ts';
export { readStatus, type StatusOptions } from './read-status.ts';
export type {
  ClusterFacts,
  ClusterStatus,
  Finding,
  ProtectionStatus,
  ServerFacts,
  SnapshotFacts,
  WalFacts,
} from './status.ts';
