import { HoldfastError } from '../lib/index.ts';
import type { PlanCredential } from '../plan/index.ts';
import type { Credential } from '../repository/index.ts';
import type { Redaction } from './output/index.ts';
import type { Terminal } from './terminal.ts';

/** The plan's credential as the repository takes it; from here on the passphrase is plain text, so it is hidden from output. */
export function toCredential(credential: PlanCredential, redaction: Redaction): Credential {
  if (credential.kind !== 'passphrase') return credential;
  const passphrase = credential.passphrase.reveal();
  redaction.add(passphrase);
  return { kind: 'passphrase', passphrase };
}

export async function askPassphrase(terminal: Terminal, redaction: Redaction): Promise<Credential> {
  const passphrase = await terminal.askSecret('Passphrase of the repository:');
  redaction.add(passphrase);
  return { kind: 'passphrase', passphrase };
}

/** Asks twice, as a passphrase that was mistyped once opens nothing ever again. */
export async function askNewPassphrase(terminal: Terminal, redaction: Redaction): Promise<Credential> {
  const passphrase = await terminal.askSecret('New passphrase for the repository:');
  redaction.add(passphrase);
  if (passphrase === '') throw new HoldfastError('USAGE_INVALID', 'invalid passphrase: it is empty');
  if ((await terminal.askSecret('The same passphrase again:')) !== passphrase) {
    throw new HoldfastError('USAGE_INVALID', 'the two passphrases differ', { hints: ['Run the command again.'] });
  }
  return { kind: 'passphrase', passphrase };
}
