import { decodeJwt } from 'jose';
import { type Test, test } from 'tap';
import { createBrowser } from './support/browser.ts';
import { type Answer, background, post, registerResource, startIssuer, type TestIssuer } from './support/issuer.ts';
import { obtainTokens, registerApp, registerUser } from './support/people.ts';

const count = 12;

/** An issuer, and so many grants of one app with the refresh token of each. */
async function start(t: Test) {
  const issuer = await startIssuer(t);
  await registerResource(issuer);
  await registerUser(issuer);
  const app = await registerApp(issuer, { grantTypes: ['authorization_code', 'refresh_token'], skipConsent: true });
  const browser = createBrowser(issuer);
  const tokens: string[] = [];
  while (tokens.length < count) tokens.push((await obtainTokens(issuer, app, {}, browser)).json.refresh_token);
  const updates = () => issuer.statements.filter((text) => /^UPDATE "grant" g SET generation/.test(text)).length;
  return { issuer, app, tokens, updates };
}

/** All of them at once. */
function refreshAll(issuer: TestIssuer, app: { basic: string }, tokens: readonly string[]): Promise<Answer[]> {
  const form = (token: string) => ({ grant_type: 'refresh_token', refresh_token: token });
  return Promise.all(tokens.map((token) => post(issuer, '/token', form(token), { authorization: app.basic })));
}

const nextOf = (token: string) => Number(decodeJwt(token).gen) + 1;

test('refreshes that come together share a statement, and each gets its own answer', async (t) => {
  const { issuer, app, tokens, updates } = await start(t);
  const before = { updates: updates(), all: issuer.statements.length };
  const answers = await refreshAll(issuer, app, tokens);
  for (const [index, token] of tokens.entries()) {
    const { status, json } = answers[index] as Answer;
    t.equal(status, 200);
    t.match(decodeJwt(json.refresh_token), { gid: decodeJwt(token).gid, gen: nextOf(token) });
  }
  t.ok(updates() - before.updates < count, 'fewer statements than refreshes');
  const sent = issuer.statements.slice(before.all).filter((text) => !background.test(text));
  t.equal(sent.length, updates() - before.updates, 'and no others');
});

test('of those that come together, only the one whose grant has ended is refused', async (t) => {
  const { issuer, app, tokens } = await start(t);
  await issuer.database.query('UPDATE "grant" SET revoked_at = now() WHERE id = $1', [decodeJwt(tokens[4] ?? '').gid]);
  const answers = await refreshAll(issuer, app, tokens);
  t.same(
    answers.map(({ status }) => status),
    tokens.map((_, index) => (index === 4 ? 400 : 200)),
  );
});

test('of those that come together, only the one that Postgres cannot carry out fails', async (t) => {
  const { issuer, app, tokens, updates } = await start(t);
  const last = 2 ** 31 - 1; // there is no generation after it
  const tooFar = await issuer.app.keyring.sign('ES256', 'rt+jwt', { ...decodeJwt(tokens[4] ?? ''), gen: last });
  const before = updates();
  const answers = await refreshAll(issuer, app, tokens.with(4, tooFar));
  t.same(
    answers.map(({ status }) => status),
    tokens.map((_, index) => (index === 4 ? 500 : 200)),
  );
  t.ok(updates() - before > 1, 'the others were asked for again');
  for (const [index, { json }] of answers.entries()) {
    if (index !== 4) t.equal(decodeJwt(json.refresh_token).gen, nextOf(tokens[index] ?? ''), 'and moved on once');
  }
});

test('one token many times among others is one use, and leaves one lineage', async (t) => {
  const { issuer, app, tokens } = await start(t);
  const [first = ''] = tokens;
  const answers = await refreshAll(issuer, app, [...tokens, first, first, first]);
  t.ok(answers.every(({ status }) => status === 200));
  const again = answers.filter(({ json }) => decodeJwt(json.refresh_token).gid === decodeJwt(first).gid);
  t.equal(again.length, 4);
  t.ok(again.every(({ json }) => decodeJwt(json.refresh_token).gen === nextOf(first)));
});
