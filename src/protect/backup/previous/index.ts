/**
 * The files of an older backup, by which a new one is made cheaper.
 *
 * Nouns. *Previous files*: the listing of an older snapshot in memory, each file with the way to its map. *Usable*: sound enough to be built upon, as
 * far as can be known without reading its data (rule A1). It takes nothing from the server and stores nothing.
 */
export { type ChosenPrevious, choosePrevious, type PreviousPurpose } from './choose-previous.ts';
export { type PreviousFile, PreviousFiles } from './previous-files.ts';
