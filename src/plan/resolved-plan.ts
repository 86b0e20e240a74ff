import type { Secret } from '../lib/index.ts';

/** The plan as everything beyond this folder sees it: checked, complete, every reference followed. */
export interface ResolvedPlan {
  /** The plan's file, `null` when flags and environment said all. */
  readonly file: string | null;
  readonly cluster: {
    readonly name: string;
    /** Where the name was read; `null` when it is the default. */
    readonly nameOrigin: string | null;
    /** `null` when it was not asked for. */
    readonly connection: Secret | null;
  };
  readonly repository: {
    /** A path or a URL; `null` when it was not asked for. */
    readonly location: string | null;
    /** `null` when nobody named one or it was not asked for. */
    readonly credential: PlanCredential | null;
  };
  readonly stateDirectory: string;
  readonly wal: {
    readonly flushIntervalMs: number;
    /** How much WAL the server may keep before there is an alarm. */
    readonly budgetBytes: number;
  };
  readonly backup: {
    readonly workers: number;
    /** `null`: the repository's own. */
    readonly compressionLevel: number | null;
    /** Bytes in a second; `null` without a limit. */
    readonly maxRate: number | null;
  };
}

/** What opens the repository. */
export type PlanCredential =
  | { readonly kind: 'passphrase'; readonly passphrase: Secret }
  | { readonly kind: 'key-file'; readonly path: string };
