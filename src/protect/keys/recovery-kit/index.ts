/**
 * One page on paper with which everything can be restored when all else is lost.
 *
 * Nouns. *Kit*: the page. *Place*: where the repository lies, and what lets one in there. *Script*: what to type on an empty machine. *Finding*: what was found
 * when a page was compared with the repository.
 *
 * It restores nothing, and knows no secret of a store unless it is handed one to print.
 */
export { checkKit, type KitFinding } from './check-kit.ts';
export type { KitFacts, KitPlace, KitVariable, PlaceAccess } from './kit-facts.ts';
export { SCRIPT_BEGIN, SCRIPT_END } from './kit-script.ts';
export { type KitOptions, makeKit } from './make-kit.ts';
export { type ReadKit, readKit, textOfPage } from './read-kit.ts';
