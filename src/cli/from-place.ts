import type { Flag } from './command.ts';

/** For commands that read: which of the places. */
export const fromPlaceFlag: Flag = {
  flag: '--from <place>',
  help: 'Read from this place alone: "primary" or the name of a copy. Nothing is written then. (default: whichever place has what is needed)',
};
