/** Sets the bare servers up, and sees to it that they answer what the issuer answers, so that the comparison is fair. */
import { generateKeyPairSync } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import type { BareOptions } from './bare-server.ts';
import type { IssuerSite } from './issuer.ts';
import { type Registered, tokenRequest } from './registration.ts';
import { type Answer, firstAnswer, freePort, type ServerProcess, startServer } from './server-process.ts';

const program = fileURLToPath(new URL('bare-server.js', import.meta.url));

export const jwksPath = '/.well-known/jwks.json';

/** What fastify or Node writes by itself, in every answer. */
const transportHeaders = new Set(['connection', 'content-length', 'date', 'keep-alive']);

/** Starts both; resolves when each has answered with as many bytes and the same headers as the issuer. */
export async function startBareServers(
  issuer: ServerProcess,
  site: IssuerSite,
  { machine: client, person }: Registered,
  output: number,
): Promise<{ inline: ServerProcess; batched: ServerProcess }> {
  const request = { method: 'POST', ...tokenRequest(client, 'ES256') };
  const issued = await firstAnswer(issuer, '/token', request);
  const jwks = await firstAnswer(issuer, jwksPath);
  const { 'content-type': _, ...tokenHeaders } = chosenHeaders(issued);
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });

  async function startBare(mode: 'inline' | 'batched'): Promise<ServerProcess> {
    const port = await freePort();
    const options: BareOptions = {
      port,
      privateJwk: privateKey.export({ format: 'jwk' }),
      header: tokenHeader(issued),
      issuer: site.issuer,
      audience: client.audiences.ES256,
      scope: client.scope,
      client,
      tokenHeaders,
      jwks: { body: jwks.body, headers: chosenHeaders(jwks) },
      passwordHash: person.passwordHash,
    };
    const args = [`--${mode}`, JSON.stringify(options)];
    const server = startServer({ program, args, port, where: 'one core', cwd: site.folder, output });
    requireSame(issued, await firstAnswer(server, '/token', request));
    requireSame(jwks, await firstAnswer(server, jwksPath));
    return server;
  }
  return { inline: await startBare('inline'), batched: await startBare('batched') };
}

function tokenHeader({ body }: Answer): object {
  const { access_token: token } = JSON.parse(body) as { access_token: string };
  return JSON.parse(Buffer.from(token.split('.')[0] ?? '', 'base64url').toString());
}

function chosenHeaders({ headers }: Answer): Record<string, string> {
  return Object.fromEntries([...headers].filter(([name]) => !transportHeaders.has(name)));
}

/** Answers differ in random values alone: the same headers, the same members, the same length. */
function requireSame(ours: Answer, theirs: Answer): void {
  const seen = [ours, theirs].map((answer) =>
    JSON.stringify([chosenHeaders(answer), Object.keys(JSON.parse(answer.body)), answer.body.length]),
  );
  if (seen[0] !== seen[1]) throw new Error(`a bare server answers otherwise than the issuer:\n${seen.join('\n')}`);
}
