import type { VolumeFacts } from '../volume.ts';

/** What this host is like. `null` stands for what could not be looked at. */
export interface HostFacts {
  readonly nodeVersion: string;
  /** By what they are used for: `repository`, `state`, `data` (the server's, when it is on this host). */
  readonly volumes: {
    readonly repository: VolumeFacts | null;
    readonly state: VolumeFacts | null;
    readonly data: VolumeFacts | null;
  };
  /** Why the state directory cannot be used; `null` when it can, or can be made. */
  readonly stateProblem: string | null;
  readonly openFilesMax: number | null;
  /** Whether the system keeps its clock by somebody else's. */
  readonly isTimeSynchronized: boolean | null;
  /** Programs of the server's major version, for restores that start; `unseen` without a server to ask for its version. */
  readonly serverPrograms:
    | { readonly kind: 'found'; readonly directory: string; readonly version: string }
    | { readonly kind: 'absent'; readonly sentence: string; readonly major: number }
    | { readonly kind: 'unseen' };
  /** Locales that `locale -a` lists, in lower case without hyphens. */
  readonly locales: readonly string[] | null;
  readonly isRoot: boolean;
  /** Users under whom a restored server can run when we are root. */
  readonly serverUsers: readonly string[];
}
