/**
 * What keeps snapshots from being forgotten, whatever the rules of retention say.
 *
 * Nouns. *Hold*: who keeps what, why, and until when. *Scope*: snapshots by id, a whole cluster, or everything. *End*: the record by which somebody removed a
 * hold; nothing is ever deleted or overwritten for it, so that both stay on record.
 *
 * Whoever prunes obeys them; that is not done here.
 */
export * from './hold-record.ts';
export * from './holds.ts';
export * from './too-late.ts';
