/**
 * What a pruner has announced to delete. Writers list it and obey (rule A2): a chunk in such a pack is stored again.
 *
 * Nouns. *Tombstone*: a record that names packs about to go. What goes is decided and deleted by `prune/`, not here.
 */
export * from './tombstone-record.ts';
