import { endClientGrants } from '../protocol/client.ts';
import { listSigningKeys } from '../store/signing-key.ts';
import { createTokenReader } from '../tokens/verification.ts';
import { changeClient } from './clients.ts';
import { type AdminContext, AdminError } from './context.ts';
import { endSession } from './sessions.ts';
import { signOutUser } from './users.ts';

/** What can be revoked: one of these. */
export type RevocationKind = 'jti' | 'token' | 'grant' | 'session' | 'user' | 'client';

export type RevocationDocument =
  | { readonly revoked: 'token'; readonly jti: string; readonly already_revoked: boolean }
  | { readonly revoked: 'grant'; readonly already_revoked: boolean }
  | { readonly revoked: 'session'; readonly sid: string; readonly ended_grants: number }
  | { readonly revoked: 'user'; readonly sub: string; readonly email: string }
  | { readonly revoked: 'client'; readonly client_id: string };

type Act = (context: AdminContext, name: string, reason: string) => Promise<RevocationDocument>;

const acts: Readonly<Record<RevocationKind, Act>> = {
  jti: revokeToken,
  token: revokeByText,
  grant: endGrant,
  async session(context, sid, reason) {
    return { revoked: 'session', ...(await endSession(context, sid, reason)) };
  },
  async user(context, name, reason) {
    const { sub, email } = await signOutUser(context, name, reason);
    return { revoked: 'user', sub, email };
  },
  async client(context, id, reason) {
    await changeClient(context, id, endClientGrants, reason);
    return { revoked: 'client', client_id: id };
  },
};

export const revocationKinds = Object.keys(acts) as RevocationKind[];

/** Voids a token, or ends a grant, a session, or all that a person or a client has. Again is no error. */
export function revoke(
  context: AdminContext,
  kind: RevocationKind,
  name: string,
  reason = 'by command',
): Promise<RevocationDocument> {
  return acts[kind](context, name, reason);
}

async function revokeToken({ revoker }: AdminContext, jti: string, reason: string): Promise<RevocationDocument> {
  const revoked = await revoker.revokeToken({ jti, exp: undefined, clientId: undefined }, reason);
  return { revoked: 'token', jti, already_revoked: !revoked };
}

/** Without its id: whoever has that is a step nearer to its refresh tokens. */
async function endGrant({ revoker }: AdminContext, id: string, reason: string): Promise<RevocationDocument> {
  return { revoked: 'grant', already_revoked: !(await revoker.endGrant(id, reason)) };
}

/** A token says by itself what it is. What is no token of ours, or dead already, is a slip of the hand. */
async function revokeByText(context: AdminContext, text: string, reason: string): Promise<RevocationDocument> {
  const { issuer, database, revoker, now } = context;
  const keys = await listSigningKeys(database);
  const nothing = { isVoid: () => false }; // what is void already is found when it is written
  const reader = createTokenReader({ issuer, keys: () => keys, denylist: nothing, now: () => now });
  const access = await reader.accessToken(text);
  if (access !== undefined) {
    const { jti, exp } = access;
    const revoked = await revoker.revokeToken({ jti, exp, clientId: undefined }, reason);
    return { revoked: 'token', jti, already_revoked: !revoked };
  }
  const refresh = await reader.refreshToken(text);
  if (refresh !== undefined) return endGrant(context, refresh.gid, reason);
  throw new AdminError(
    'invalid',
    'that is no access or refresh token of this issuer that is alive',
    'see keyturn token inspect',
  );
}
