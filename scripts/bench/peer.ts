/** Sets node-oidc-provider up beside the issuer, to do the same refreshes. */
import { generateKeyPairSync } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import type { IssuerSite } from './issuer.ts';
import type { PeerOptions } from './peer-server.ts';
import type { Registered } from './registration.ts';
import { firstAnswer, freePort, type ServerProcess, startServer } from './server-process.ts';

const program = fileURLToPath(new URL('peer-server.js', import.meta.url));

/** Starts it on the servers' core, and answers it with a refresh token for each connection. */
export async function startPeer(
  site: IssuerSite,
  { machine, mobileApp, person }: Registered,
  connections: number,
  output: number,
): Promise<{ server: ServerProcess; refreshTokens: string[] }> {
  const port = await freePort();
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const options: PeerOptions = {
    port,
    privateJwk: privateKey.export({ format: 'jwk' }),
    audience: machine.audiences.ES256,
    scope: mobileApp.scope,
    subject: person.sub,
    client: mobileApp,
    accessTokenTtl: 600,
  };
  const args = [JSON.stringify(options)];
  const server = startServer({ program, args, port, where: 'one core', cwd: site.folder, output });
  const refreshTokens: string[] = [];
  while (refreshTokens.length < connections) {
    refreshTokens.push((await firstAnswer(server, '/refresh-token')).body);
  }
  return { server, refreshTokens };
}
