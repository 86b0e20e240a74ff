/**
 * What a thief of a writer's credentials could do, found out by trying.
 *
 * Nouns: an *attack* is one thing that is tried; a *bait* is an object that is made to be attacked; a *played* attack happens in memory above the repository, as it needs
 * nothing but what every writer may do. What attacks mean and how they are noticed: `docs/threats.md`.
 *
 * It harms nothing that is kept, and closes no hole.
 */
export { type AttackedPlace, type AttackOutcome, type AttackResult, isDangerous, isInDoubt } from './attack-place.ts';
export { type AttackId, type KnownAttack, knownAttacks } from './known-attacks.ts';
export type { PlayedResult } from './play-attacks.ts';
export { type AttackTestResult, runAttackTest } from './run-attack-test.ts';
