import type { Secret } from '../../../lib/index.ts';
import type { ServerFacts } from '../server-facts.ts';
import type { DirectRights, DirectStep } from './direct-rights.ts';

/** What somebody wants to be set up. */
export interface SetupWish {
  /** The name of our slot. */
  readonly slot: string;
  /** `null` leaves roles alone. */
  readonly role: RoleWish | null;
  /** The `archive_command` to set; `null` leaves archiving alone. */
  readonly archiveCommand: string | null;
  /** Whether an `archive_command` of somebody else may be replaced. */
  readonly replacesArchive: boolean;
  /** What the plan lets a slot keep. */
  readonly slotBudgetBytes: number | null;
}

export interface RoleWish {
  readonly name: string;
  /** `null` leaves the password alone. */
  readonly password: RolePassword | null;
}

/** A password that was given or drawn; it is never shown. */
export interface RolePassword {
  readonly text: Secret;
  /** Where it stands, for people. */
  readonly place: string;
}

/** What the server says of the role that is wanted; `null` when there is none. */
export interface ExistingRole {
  readonly mayLogIn: boolean;
  readonly mayReplicate: boolean;
  readonly mayMonitor: boolean;
  /** Whether the password that is wanted let it in; `null` when nobody tried. */
  readonly passwordFits: boolean | null;
}

/** All that a proposal is made from. */
export interface SetupFacts {
  readonly server: ServerFacts;
  /** Free bytes beside pg_wal; `null` when it lies elsewhere. */
  readonly walDirectoryFreeBytes: number | null;
  readonly role: ExistingRole | null;
  /** What the configuration files say of each parameter, in force or not; `null` when we may not know. */
  readonly written: ReadonlyMap<string, string> | null;
  /** Left out when nobody asked for direct reads. */
  readonly direct?: DirectRights;
}

/** A parameter that has to be another one. */
export interface SettingStep {
  readonly name: string;
  /** In force now. */
  readonly from: string;
  /** As it is written down, with its unit. */
  readonly to: string;
  /** As the server shows it afterwards, in the parameter's own unit. */
  readonly value: string;
  readonly why: string;
  readonly needsRestart: boolean;
  /** True when it is written down already and only waits for the restart. */
  readonly isWritten: boolean;
  /** Where the value in force was read. */
  readonly origin: string;
}

/** What is done to the role, as statements without its password. */
export interface RoleStep {
  readonly name: string;
  readonly action: 'create' | 'alter';
  readonly statements: readonly string[];
  /** Set when it is given a password, too. */
  readonly password: RolePassword | null;
  readonly undo: readonly string[];
}

export interface SlotStep {
  readonly name: string;
  /** `renew`: it was given up by the server, so what it kept is gone. */
  readonly action: 'create' | 'renew';
}

/** What the set-up will do. Nothing that is not in it is done. */
export interface SetupProposal {
  /** The system it was made from; it is carried out on no other one. */
  readonly system: string;
  readonly settings: readonly SettingStep[];
  readonly role: RoleStep | null;
  /** `null` also when nobody asked for direct reads. */
  readonly direct: DirectStep | null;
  readonly slot: SlotStep | null;
  /** True when a setting is in force after a restart only. */
  readonly needsRestart: boolean;
  /** True when nothing has to be done. */
  readonly isEmpty: boolean;
}
