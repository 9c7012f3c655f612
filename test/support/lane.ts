/**
 * An app and a browser that go through codes, refreshes and revocations over sockets, remember what was answered and what
 * was only asked, and hold each answer against that. Who it talks to may be killed at any moment.
 */
import { AssertionError, deepStrictEqual, ok } from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import { decodeJwt } from 'jose';
import { createBrowser, type TestBrowser, type Visit } from './browser.ts';
import type { TestIssuer } from './issuer.ts';
import { createDiary, evidenceOf } from './lane-evidence.ts';
import { authorizePath, newVerifier, password, redirectUri } from './people.ts';
import type { Random } from './random.ts';

/** A grant, as its client knows it. */
interface Held {
  readonly id: string;
  readonly code: string;
  readonly verifier: string;
  codeSent: boolean;
  readonly accessTokens: string[];
  readonly refreshTokens: string[];
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
  /** The same for what was to end a grant. */
  endedUnheard: number;
  aliveUnheard: number;
  /** A repeated refresh came later than the grace: the machine was that slow. */
  lapsed: number;
  /** Answered 503, which promises nothing: the machine was that busy. */
  refused: number;
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
  /** REFRESH_GRACE, in seconds. */
  readonly grace: number;
  /** Where in the test we are, for the diary. */
  where(): string;
}

/** An answer of 503: it may have been done, or not, as where none comes. */
class Refused extends Error {}

function served(visit: Visit): Visit {
  if (visit.status === 503) throw new Refused('a page');
  return visit;
}

/** So often is asked again what has to be known, a tenth of a second apart. */
const patience = 100;

const generationOf = (token: string) => Number(decodeJwt(token).gen);

export function createLane({ issuer, app, email, random, seen, grace, where }: LaneOptions): Lane {
  const { database } = issuer;
  const diary = createDiary(where);
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
    if (status === 503) throw new Refused(text);
    ok(status === 200 || status === 400, `${path} answers ${status}: ${text}`);
    return { status, json: text === '' ? {} : JSON.parse(text) };
  }

  /** Something that a grant's client asks for, and whether an answer came. */
  async function ask(grant: Held, what: string, path: string, form: Record<string, string>) {
    const asked = `${grant.id} ${what}`;
    diary.note(asked);
    try {
      const answer = await post(path, form);
      diary.note(`${asked} → ${answer.status} ${answer.json.error ?? ''}`);
      return answer;
    } catch (error) {
      diary.note(`${asked} → nothing: ${error}`);
      throw error;
    }
  }

  const refresh = (grant: Held, token: string) =>
    ask(grant, `refresh of ${generationOf(token)}`, '/token', { grant_type: 'refresh_token', refresh_token: token });

  /** A session that a browser was given lives on: whoever has one is not asked for a password. */
  async function authorize(): Promise<void> {
    diary.note('asks for a code');
    const { verifier, challenge } = newVerifier();
    const path = authorizePath(app.id, challenge, { scope: 'openid offline_access' });
    let visiting = browser ?? createBrowser(issuer, { sockets: true });
    let visit = served(await visiting.open(path));
    if (/type="password"/.test(visit.html)) {
      ok(browser === undefined, 'a session that was given is forgotten');
      visiting = createBrowser(issuer, { sockets: true });
      served(await visiting.open(path));
      visit = served(await visiting.submit({ email, password }));
    }
    const code = visit.left?.searchParams.get('code');
    ok(code, `no code: ${visit.status} ${visit.left ?? visit.html}`);
    if (browser === undefined) seen.signedIn += 1;
    browser = visiting;
    const id = code.slice('code_'.length, code.indexOf('.'));
    held = { id, code, verifier, codeSent: false, accessTokens: [], refreshTokens: [], ending: 'no' };
  }

  async function redeem(grant: Held): Promise<void> {
    const { code, verifier } = grant;
    const first = !grant.codeSent;
    grant.codeSent = true;
    const form = { grant_type: 'authorization_code', code, redirect_uri: redirectUri, code_verifier: verifier };
    const { status, json } = await ask(grant, 'code', '/token', form);
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
    const once = () => refresh(grant, token);
    const answers = await Promise.all(random.chance(0.3) ? [once(), once()] : [once()]);
    for (const { status, json } of answers) {
      if (status === 400) {
        ok(await lapsed(grant), `the newest refresh token is good: ${JSON.stringify(json)}`);
        seen.lapsed += 1;
        end(grant);
        return;
      }
      deepStrictEqual(generationOf(json.refresh_token), generationOf(token) + 1, 'one lineage');
      keep(grant, json);
    }
    seen.refreshed += 1;
  }

  /**
   * Whether the grant ended by its client asking again for a lost answer, later than the grace after that was written: only
   * then may a grant end that nobody wanted to end. By Postgres alone, whose clock is the one that counts.
   */
  async function lapsed(grant: Held): Promise<boolean> {
    const rows = await database.query(
      `SELECT 1 FROM audit_event e JOIN "grant" g ON e.target = 'grant ' || g.id
        WHERE g.id = $1 AND g.generation = $2 AND e.reason = 'refresh token reuse'
          AND e.at >= g.rotated_at + make_interval(secs => $3)`,
      [grant.id, generationOf(grant.refreshTokens.at(-1) as string) + 1, grace],
    );
    return rows.length === 1;
  }

  function end(grant: Held): void {
    grant.ending = 'answered';
    over.push(grant);
    held = undefined;
    seen.ended += 1;
  }

  /** By its client, or by who has stolen an old refresh token and shows it. Without an answer, it is asked again. */
  async function endGrant(grant: Held): Promise<void> {
    grant.ending = 'asked';
    const newest = grant.refreshTokens.at(-1) as string;
    const old = grant.refreshTokens.find((token) => generationOf(token) < generationOf(newest) - 1);
    if (old !== undefined && random.chance(0.5)) deepStrictEqual((await refresh(grant, old)).status, 400);
    else deepStrictEqual((await ask(grant, 'revocation', '/revoke', { token: newest })).status, 200);
    end(grant);
  }

  async function voidToken(grant: Held): Promise<void> {
    const token = grant.accessTokens.at(-1) as string;
    voided.asked.add(token);
    deepStrictEqual((await ask(grant, 'voiding of a token', '/revoke', { token })).status, 200);
    voided.answered.add(token);
    seen.voided += 1;
  }

  /** One row ends all of a grant's access tokens: the oldest and the newest stand for them, and each that is void by itself. */
  const telling = ({ accessTokens }: Held) =>
    accessTokens.filter((token, place) => place === 0 || place === accessTokens.length - 1 || voided.asked.has(token));

  async function auditGrant(grant: Held): Promise<void> {
    const newest = grant.refreshTokens.at(-1);
    if (newest === undefined) return;
    const [row] = await database.query<{ generation: number; ended: boolean }>(
      'SELECT generation, revoked_at IS NOT NULL AS ended FROM "grant" WHERE id = $1',
      [grant.id],
    );
    ok(row, 'a grant is forgotten');
    const { ended } = row;
    if (grant.ending === 'answered') ok(ended, 'what was ended stays so');
    if (grant.ending === 'no' && ended) ok(await lapsed(grant), 'a grant has ended that nobody has ended');
    if (ended) {
      const { json } = await insist(() => refresh(grant, newest));
      deepStrictEqual(json.error, 'invalid_grant', 'what was ended stays so');
    }
    for (const token of telling(grant)) {
      const { active } = (await insist(() => post('/introspect', { token }))).json;
      if (ended || voided.answered.has(token)) deepStrictEqual(active, false, 'void stays void');
      else if (grant.ending === 'no' && !voided.asked.has(token))
        deepStrictEqual(active, true, 'what was given is good');
    }
    if (grant.ending === 'asked') seen[ended ? 'endedUnheard' : 'aliveUnheard'] += 1;
    if (grant.ending !== 'no') return;
    const ahead = row.generation - generationOf(newest);
    ok(ahead === 0 || ahead === 1, `the row is ${ahead} generations ahead of what was answered`);
    if (ahead === 1) seen.doneUnheard += 1;
  }

  /** What is found wrong says all that is known of the grant. */
  async function explaining(grant: Held | undefined, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (!(error instanceof AssertionError)) throw error;
      const evidence = grant && (await evidenceOf(database, grant.id, grant.refreshTokens.at(-1)));
      throw Object.assign(error, { where: where(), ending: grant?.ending, ...evidence, diary: diary.lines() });
    }
  }

  function next(): Promise<void> {
    if (held === undefined) return authorize();
    if (held.refreshTokens.length === 0) return redeem(held);
    if (held.ending === 'asked' || random.chance(0.12)) return endGrant(held);
    if (random.chance(0.015)) return voidToken(held);
    if (random.chance(0.03)) browser = undefined;
    return rotate(held);
  }

  /** Again and again while it is refused. */
  async function insist<T>(work: () => Promise<T>): Promise<T> {
    for (let tries = 1; ; tries += 1) {
      try {
        return await work();
      } catch (error) {
        if (!(error instanceof Refused) || tries === patience) throw error;
        seen.refused += 1;
        await delay(100);
      }
    }
  }

  return {
    async step() {
      try {
        await explaining(held, next);
      } catch (error) {
        if (!(error instanceof Refused)) throw error;
        seen.refused += 1;
        await delay(100);
      }
    },

    async audit() {
      diary.note('looks at what is left');
      for (const grant of held === undefined ? over : [...over, held]) await explaining(grant, () => auditGrant(grant));
      over = over.slice(-2);
    },
  };
}
