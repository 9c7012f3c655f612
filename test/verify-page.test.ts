/** The examples for Node of docs/verify.md, each run as it is written, with the addresses of an issuer of ours. */
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { t as file, type Test, test } from 'tap';
import { freePort, orders, post, registerClient, registerResource, startIssuer } from './support/issuer.ts';
import { eventually } from './support/process.ts';
import { project } from './support/project.ts';
import { ask } from './support/services.ts';

const page = readFileSync(project('docs/verify.md'), 'utf8');
const examples = [...page.matchAll(/^```js\n([\s\S]*?)^```$/gm)].map(([, code = '']) => code);
const [fastify = '', nodeHttp = '', worker = '', jose = ''] = examples;

const issuer = await startIssuer(file, { listen: true });
await registerResource(issuer);
const client = await registerClient(issuer);

async function newToken(scope = 'orders:read'): Promise<string> {
  const form = { grant_type: 'client_credentials', scope };
  return (await post(issuer, '/token', form, { authorization: client.basic })).json.access_token;
}

const revoke = (token: string) => post(issuer, '/revoke', { token }, { authorization: client.basic });

/** Runs a module in the checkout, without what tap adds to every process. */
function run(module: string): ChildProcess {
  const args = ['-u', 'NODE_OPTIONS', process.execPath, '--input-type=module', '-'];
  const child = spawn('/usr/bin/env', args, { cwd: project('.'), stdio: ['pipe', 'pipe', 'inherit'] });
  child.stdin?.end(module.replaceAll('http://localhost:3000', issuer.issuer));
  return child;
}

/** What a module prints, once it has ended. */
async function outputOf(module: string): Promise<string> {
  const child = run(module);
  let output = '';
  child.stdout?.on('data', (chunk) => {
    output += chunk;
  });
  await new Promise((resolve) => child.once('close', resolve));
  return output;
}

/** Starts an example that is a server, and asks it. */
async function serve(t: Test, example: string) {
  const port = await freePort();
  const child = run(example.replace('4000', String(port)));
  t.teardown(() => child.kill('SIGKILL'));
  await eventually(() => ask(port, '/orders').catch(() => undefined));
  return (token: string) => ask(port, '/orders', { authorization: `Bearer ${token}` });
}

for (const [name, example, subject] of [
  ['Fastify', fastify, (body: string) => JSON.parse(body).for],
  ['node:http', nodeHttp, (_body: string, headers: Record<string, unknown>) => headers['x-subject']],
] as const) {
  test(`with ${name} a good token is let through, and refused when it is revoked`, async (t) => {
    const call = await serve(t, example);
    const [token, other] = [await newToken(), await newToken('orders:write')];
    const { status, body, headers } = await call(token);
    t.equal(status, 200);
    t.equal(subject(body, headers), client.id);
    t.equal((await call(other)).status, 403);
    t.equal((await call('x')).status, 401);
    await revoke(token);
    await eventually(async () => (await call(token)).status === 401);
  });
}

test('in a worker, too', async (t) => {
  const [good, void_] = [await newToken(), await newToken()];
  await revoke(void_);
  await issuer.app.refresh();
  const calls = `
    for (const token of ${JSON.stringify([good, void_, 'x'])}) {
      const headers = { authorization: 'Bearer ' + token };
      const answer = await worker.fetch(new Request('${orders.identifier}/orders', { headers }));
      console.log(answer.status);
    }
    process.exit();`;
  t.equal(await outputOf(worker.replace('export default', 'const worker =') + calls), '200\n401\n401\n');
});

test('plain jose verifies, and knows of no revocation, as the page says', async (t) => {
  const [good, other, void_] = [await newToken(), await newToken('orders:write'), await newToken()];
  await revoke(void_);
  const forged = good.replace(/\.[^.]+\./, '.eyJzdWIiOiJtZSJ9.');
  const calls = `
    for (const token of ${JSON.stringify([good, other, forged, void_])})
      console.log(await verify(token).then(({ sub }) => sub, ({ code, message }) => code ?? message));
    process.exit();`;
  const expected = [client.id, 'insufficient_scope', 'ERR_JWS_SIGNATURE_VERIFICATION_FAILED', client.id];
  t.equal(await outputOf(jose + calls), `${expected.join('\n')}\n`);
});

test('every example is run here, and the package shows the first of them', async (t) => {
  t.equal(examples.length, 4);
  t.ok(readFileSync(project('verifier/README.md'), 'utf8').includes(fastify));
});
