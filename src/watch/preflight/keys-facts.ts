import type { SlotInfo } from '../../repository/index.ts';

/** What opened the repository, or did not. */
export interface KeysFacts {
  readonly opening:
    | { readonly kind: 'opened'; readonly slots: readonly SlotInfo[]; readonly damaged: readonly string[] }
    | { readonly kind: 'refused'; readonly code: string; readonly sentence: string; readonly hints: readonly string[] }
    | { readonly kind: 'unseen'; readonly why: string };
  /** How the key is given. */
  readonly source:
    | { readonly kind: 'key-file'; readonly file: SecretFileFacts }
    | { readonly kind: 'passphrase-file'; readonly file: SecretFileFacts }
    | { readonly kind: 'age-identity'; readonly file: SecretFileFacts }
    | { readonly kind: 'command' }
    | { readonly kind: 'passphrase' }
    | { readonly kind: 'none' };
  /** Where the objects lie, to tell a key that lies among them. */
  readonly repositoryDirectory: string | null;
}

/** A file with a secret in it; `mode` is `null` when it cannot be looked at. */
export interface SecretFileFacts {
  readonly path: string;
  readonly mode: number | null;
}
