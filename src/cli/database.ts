import { assert } from '../lib/index.ts';
import type { ConnectionTarget } from '../postgres/index.ts';
import type { CommandContext } from './command.ts';

/** The server that the plan names. Errors: those of `parseConnectionString`. */
export async function readDatabase(context: CommandContext): Promise<ConnectionTarget> {
  const target = await readDatabaseIfGiven(context);
  assert(target !== null, 'a command that needs the server declares so');
  return target;
}

/** The same for a command that can do without. */
export async function readDatabaseIfGiven(context: CommandContext): Promise<ConnectionTarget | null> {
  const { connection } = context.plan.cluster;
  if (connection === null) return null;
  const { parseConnectionString } = await import('../postgres/index.ts');
  const target = parseConnectionString(connection.reveal(), { variables: context.environment });
  // Secrets may have come from the environment, a service file or a password file instead of the connection string.
  for (const secret of target.revealSecrets()) context.redaction.add(secret);
  for (const note of target.parts.withoutEffect ?? []) {
    context.say((paint) => [paint.faint(`without effect in the connection string: ${note}`)]);
  }
  return target;
}
