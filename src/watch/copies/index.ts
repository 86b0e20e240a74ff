/**
 * The places of a repository, held against each other.
 *
 * Nouns: a *copy's status* is how it stands to the primary now: in step, behind, away. *Lag* is the age of the oldest object that it lacks.
 *
 * It brings nothing up to date; `repository/copies/` does.
 */
export { type AwayFacts, judgeAway } from './away.ts';
export { judgeCopies, judgeCopy, judgeWithoutPrimary } from './judge-copies.ts';
export { type CopyStatus, type PlacesStatus, readPlaces } from './read-places.ts';
