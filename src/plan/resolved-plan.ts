import type { z } from 'zod';
import type { Secret } from '../lib/index.ts';
import type { CarriedOut } from './option.ts';
import type { Resolved } from './resolved.ts';
import type { parts } from './schema/index.ts';
import type { StatedOption } from './stated.ts';

/** The nouns of a plan as their schemas give them. */
export type StatedParts = { [Name in keyof typeof parts]: z.output<(typeof parts)[Name]> };

/**
 * The nouns of a plan, each under its name in the plan. Durations are milliseconds, sizes bytes. What was left out is its default, `null`, or an
 * empty list; a group is there with nothing in it, unless it is said to be `null` then. References are not followed.
 */
export type PlanParts = Omit<Resolved<StatedParts>, 'clusters'> & {
  readonly clusters: readonly Omit<Resolved<StatedParts>['clusters'][number], 'connection'>[];
};

/** What is kept and how long, as `retention.default` and each of `retention.clusters` and `retention.copies` say it. */
export type RetentionRules = NonNullable<PlanParts['retention']['default']>;

/** The plan as everything beyond this folder sees it: checked and complete; of what was asked for, every reference followed. */
export interface ResolvedPlan extends PlanParts {
  /** The plan's file, `null` when flags and environment said all. */
  readonly file: string | null;
  /** The one that is meant now. */
  readonly cluster: {
    readonly name: string;
    /** Where the name was read; `null` when it is the default. */
    readonly nameOrigin: string | null;
    /** `null` when it was not asked for. */
    readonly connection: Secret | null;
  };
  readonly repository: {
    /** `null` when nobody named one or it was not asked for. */
    readonly primary: ResolvedPlace | null;
    /** In the order in which they were given; none when they were not asked for. */
    readonly copies: readonly ResolvedCopy[];
    /** `null` when nobody named one or it was not asked for. */
    readonly credential: PlanCredential | null;
    /** What comes first while the primary is away. */
    readonly protect: 'writes' | 'wal';
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
    readonly checkpoint: 'spread' | 'fast';
  };
  /** What the plan declares and this version does not carry out, or not all of it: as in `scenarios` or `repository.copies[0].maxLag`. */
  readonly declaredOnly: readonly { readonly option: string; readonly carriedOut: CarriedOut }[];
  /** Every value that somebody gave, and every default, as a plan would write it, in the order in which they are declared; nothing of it is followed. */
  readonly stated: readonly StatedOption[];
  /** On which line of the plan's file each option stands; `lineOf` finds the nearest one. */
  readonly lines: ReadonlyMap<string, number>;
}

/** One of the places in which the repository is kept. */
export interface ResolvedPlace {
  /** `primary`, or what the plan calls the copy. */
  readonly name: string;
  /** The option that gave it, as in `repository.copies[1]`, and where that was read. */
  readonly option: string;
  readonly origin: string;
  /** A path or an address. */
  readonly location: string;
  readonly credentials: PlaceCredentials;
  /** For how long objects are locked here, in milliseconds; `null` when they are not. */
  readonly lockMs: number | null;
}

/** A place that gets every object of the primary. */
export interface ResolvedCopy extends ResolvedPlace {
  /** Whether a backup counts only once this copy has it. */
  readonly required: boolean;
}

/**
 * What opens the store of a place. `chain`: whatever the environment offers. `absent`: the plan says where it lies, and it is not there; `problem` is a
 * whole sentence. That is no mistake of the plan, as the other places can be used without.
 */
export type PlaceCredentials =
  | { readonly kind: 'chain' }
  | { readonly kind: 'absent'; readonly problem: string }
  | {
      readonly kind: 'access-key';
      readonly accessKeyId: string;
      readonly secretAccessKey: Secret;
      readonly sessionToken?: Secret;
    }
  | { readonly kind: 'profile'; readonly profile: string }
  | { readonly kind: 'account-key'; readonly key: Secret }
  | { readonly kind: 'sas'; readonly token: Secret };

/** What opens the repository. */
export type PlanCredential =
  | { readonly kind: 'passphrase'; readonly passphrase: Secret }
  | { readonly kind: 'key-file'; readonly path: string }
  | { readonly kind: 'age-identity'; readonly path: string }
  | { readonly kind: 'command'; readonly command: string | readonly string[] };
