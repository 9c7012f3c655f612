import type { Reused } from '../protocol/observation.ts';
import type { GrantRequest, GrantServices } from './grant-type.ts';

/**
 * What was used up has come again, with all its proof: it is in two hands, and the grant ends. That is told first, as whoever
 * is interrupted in between comes again.
 */
export async function endReused(
  kind: Reused['kind'],
  { grantId, userId }: Pick<Reused, 'grantId' | 'userId'>,
  { client, now, whence }: GrantRequest,
  { revoker, observe, onReuse }: GrantServices,
): Promise<void> {
  onReuse?.(kind === 'code replay' ? 'code' : 'refresh_token');
  const from = whence();
  await observe({ kind, at: now, whence: from, grantId, userId, clientId: client.id });
  await revoker.by({ actor: `client ${client.id}`, address: from.ip }).endGrant(grantId, kind);
}
