/** `npm run check`: types, lint, laws and unit tests, in seconds. */
import { runCheckParts } from './check-parts.ts';
import { conclude } from './node-tests.ts';

conclude('check', await runCheckParts());
