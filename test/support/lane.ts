/**
 * An app and a browser that go through codes, refreshes and revocations over sockets, remember what was answered and what
 * was only asked, and hold each answer against that. Who it talks to may be killed at any moment.
 */
import { deepStrictEqual, ok } from 'node:assert/strict';
import { decodeJwt } from 'jose';
import { createBrowser, type TestBrowser } from './browser.ts';
import type { TestIssuer } from './issuer.ts';
import { authorizePath, newVerifier, password, redirectUri } from './people.ts';
import type { Random } from './random.ts';

/** A grant, as its client knows it. */
interface Held {
  readonly code: string;
  readonly verifier: string;
  codeSent: boolean;
  readonly accessTokens: string[];
  readonly refreshTokens: string[];
  /** Since when a refresh of the newest has had no answer, by the process's time. */
  unheardSince: number | undefined;
  /** Something was asked that ends it, and perhaps answered. */
  ending: 'no' | 'asked' | 'answered';
}

/** How often something came about, over all lanes. */
export interface Seen {
  signedIn: number;
  redeemed: number;
  refreshed: number;
  ended: number;
  voided: number;
  /** Asked, never answered, and asked again after the restart: it had been done, or it had not. */
  doneUnheard: number;
  undoneUnheard: number;
}

export interface Lane {
  /** One step further; rejects where the issuer is gone. */
  step(): Promise<void>;
  /** Whether all that was ever answered here is so still. Ends what it takes to find out. */
  audit(): Promise<void>;
}

export interface LaneOptions {
  readonly issuer: TestIssuer;
  readonly app: { readonly id: string; readonly basic: string };
  readonly email: string;
  readonly random: Random;
  readonly seen: Seen;
}

/** REFRESH_GRACE, seconds: a refresh that was not heard may be repeated that long. A slow machine takes longer to come to it. */
export const grace = 60;

const generationOf = (token: string) => Number(decodeJwt(token).gen);

export function createLane({ issuer, app, email, random, seen }: LaneOptions): Lane {
  let browser: TestBrowser | undefined;
  let held: Held | undefined;
  /** Those that have ended since the last audit, and a few from before. */
  let over: Held[] = [];
  const voided = { asked: new Set<string>(), answered: new Set<string>() };

  async function post(path: string, form: Record<string, string>) {
    const response = await fetch(`${issuer.issuer}${path}`, {
      method: 'POST',
      headers: { authorization: app.basic },
      body: new URLSearchParams(form),
    });
    const text = await response.text();
    const { status } = response;
    ok(status === 200 || status === 400, `${path} answers ${status}: ${text}`);
    return { status, json: text === '' ? {} : JSON.parse(text) };
  }
  const refresh = (token: string) => post('/token', { grant_type: 'refresh_token', refresh_token: token });

  /** A session that a browser was given lives on: whoever has one is not asked for a password. */
  async function authorize(): Promise<void> {
    const { verifier, challenge } = newVerifier();
    const path = authorizePath(app.id, challenge, { scope: 'openid offline_access' });
    let visiting = browser ?? createBrowser(issuer, { sockets: true });
    let visit = await visiting.open(path);
    if (/type="password"/.test(visit.html)) {
      ok(browser === undefined, 'a session that was given is forgotten');
      visiting = createBrowser(issuer, { sockets: true });
      await visiting.open(path);
      visit = await visiting.submit({ email, password });
    }
    const code = visit.left?.searchParams.get('code');
    ok(code, `no code: ${visit.status} ${visit.left ?? visit.html}`);
    if (browser === undefined) seen.signedIn += 1;
    browser = visiting;
    held = {
      ...{ code, verifier, codeSent: false, accessTokens: [], refreshTokens: [] },
      ...{ unheardSince: undefined, ending: 'no' },
    };
  }

  async function redeem(grant: Held): Promise<void> {
    const { code, verifier } = grant;
    const first = !grant.codeSent;
    grant.codeSent = true;
    const form = { grant_type: 'authorization_code', code, redirect_uri: redirectUri, code_verifier: verifier };
    const { status, json } = await post('/token', form);
    if (!first) seen[status === 200 ? 'undoneUnheard' : 'doneUnheard'] += 1;
    if (status === 400) {
      ok(!first, `a code that nobody has used is good: ${JSON.stringify(json)}`);
      held = undefined;
      return;
    }
    seen.redeemed += 1;
    keep(grant, json);
  }

  function keep(grant: Held, json: { access_token: string; refresh_token: string }): void {
    grant.accessTokens.push(json.access_token);
    grant.refreshTokens.push(json.refresh_token);
  }

  /** Now and then twice at once: both come to the same generation. */
  async function rotate(grant: Held): Promise<void> {
    const token = grant.refreshTokens.at(-1) as string;
    grant.unheardSince ??= performance.now();
    const since = grant.unheardSince;
    const answers = await Promise.all(random.chance(0.3) ? [refresh(token), refresh(token)] : [refresh(token)]);
    for (const { status, json } of answers) {
      if (status === 400) {
        const tooLate = performance.now() - since > grace * 1000;
        ok(grant.ending !== 'no' || tooLate, `the newest refresh token is good: ${JSON.stringify(json)}`);
        end(grant);
        return;
      }
      grant.unheardSince = undefined;
      deepStrictEqual(generationOf(json.refresh_token), generationOf(token) + 1, 'one lineage');
      keep(grant, json);
    }
    seen.refreshed += 1;
  }

  function end(grant: Held): void {
    grant.ending = 'answered';
    over.push(grant);
    held = undefined;
    seen.ended += 1;
  }

  /** By its client, or by who has stolen an old refresh token and shows it. */
  async function endGrant(grant: Held): Promise<void> {
    grant.ending = 'asked';
    const newest = grant.refreshTokens.at(-1) as string;
    const old = grant.refreshTokens.find((token) => generationOf(token) < generationOf(newest) - 1);
    if (old !== undefined && random.chance(0.5)) deepStrictEqual((await refresh(old)).status, 400);
    else deepStrictEqual((await post('/revoke', { token: newest })).status, 200);
    end(grant);
  }

  async function voidToken(grant: Held): Promise<void> {
    const token = grant.accessTokens.at(-1) as string;
    voided.asked.add(token);
    deepStrictEqual((await post('/revoke', { token })).status, 200);
    voided.answered.add(token);
    seen.voided += 1;
  }

  async function auditGrant(grant: Held): Promise<void> {
    const newest = grant.refreshTokens.at(-1);
    if (grant.ending === 'answered' && newest !== undefined) {
      deepStrictEqual((await refresh(newest)).json.error, 'invalid_grant', 'what was ended stays so');
    }
    for (const token of grant.accessTokens) {
      const { active } = (await post('/introspect', { token })).json;
      if (grant.ending === 'answered' || voided.answered.has(token)) deepStrictEqual(active, false, 'void stays void');
      else if (grant.ending === 'no' && !voided.asked.has(token))
        deepStrictEqual(active, true, 'what was given is good');
    }
    if (newest === undefined || grant.ending !== 'no') return;
    const [row] = await issuer.database.query<{ generation: number }>('SELECT generation FROM "grant" WHERE id = $1', [
      grant.code.slice(5, 27),
    ]);
    const ahead = Number(row?.generation) - generationOf(newest);
    ok(ahead === 0 || ahead === 1, `the row is ${ahead} generations ahead of what was answered`);
    if (ahead === 1) seen.doneUnheard += 1;
  }

  return {
    async step() {
      if (held === undefined) return authorize();
      if (held.refreshTokens.length === 0) return redeem(held);
      if (held.ending === 'no' && random.chance(0.12)) return endGrant(held);
      if (random.chance(0.015)) return voidToken(held);
      await rotate(held);
      if (random.chance(0.03)) browser = undefined;
    },
    async audit() {
      for (const grant of over) await auditGrant(grant);
      if (held !== undefined) await auditGrant(held);
      over = over.slice(-2);
    },
  };
}
