/**
 * How long snapshots and WAL stay: a decision, made of what is known, that touches nothing.
 *
 * Nouns. *Rules*: what the plan says about keeping. *Sound*: attested as stored, verified or proven, and nothing is known against it. *Bucket*: an hour, a
 * day, an ISO week, a month, a year of the plan's zone. *Anomaly*: dates or numbers of snapshots that no honest writer makes. *Refusal*: the reasons why nothing
 * is forgotten at all. *Hold*: keeps what it names, whatever the rules say.
 *
 * The decision reads no store, and nothing is deleted here. The rules, and every refusal: `docs/retention.md`.
 */
export * from './change-holds.ts';
export * from './decision.ts';
export {
  describeExpiry,
  type ExpectedEnd,
  type ExpiryInput,
  type ExpiryReport,
  type GoneSnapshot,
} from './expiry.ts';
export * from './facts.ts';
export { gatherRetentionFacts, lineageFacts, type RetentionFacts, snapshotFacts } from './gather-facts.ts';
export { applyPolicy, checkRules } from './policy.ts';
export * from './rules.ts';
