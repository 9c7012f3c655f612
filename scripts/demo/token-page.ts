/** The page of one token: what stays, and what is fetched anew twice a second. */
import type { JWTPayload, ProtectedHeaderParameters } from 'jose';
import { escaped } from './escaped.ts';

export interface ShownToken {
  readonly text: string;
  readonly header: ProtectedHeaderParameters;
  readonly claims: JWTPayload;
}

/** One call to the API, and what it answered. */
export interface Call {
  readonly status: number;
  readonly challenge: string | null;
  readonly body: { readonly orders?: readonly string[]; readonly error_description?: string };
}

export function tokenPage(token: ShownToken, live: string): string {
  const [header = '', payload = '', signature = ''] = token.text.split('.');
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>One token, live</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">
<link rel="stylesheet" href="/style.css"><script src="/live.js" defer></script></head>
<body><header><h1>One token, live</h1>
<p>Twice a second an API is called with this token. It verifies by itself and does not ask the issuer.</p></header>
<main><p class="token"><span>${header}</span>.<span>${payload}</span>.<span>${signature}</span></p>
<div class="acts"><form method="post" action="/revoke"><button class="revoke">Revoke it</button></form>
<form method="post" action="/take"><button>Take another</button></form></div>
<div id="live">${live}</div>${claimsView(token)}</main></body></html>`;
}

export interface LiveView {
  readonly token: ShownToken;
  readonly calls: readonly Call[];
  /** Milliseconds. */
  readonly refusedAfter: number | undefined;
  /** Seconds since 1970. */
  readonly now: number;
}

export function liveView({ token: { claims }, calls, refusedAfter, now }: LiveView): string {
  const { status = 0, challenge = null, body = {} } = calls.at(-1) ?? {};
  const { iat = 0, exp = 0 } = claims;
  const left = Math.max(0, exp - now);
  const marks = calls.map((call, at) => {
    return `<rect class="${call.status === 200 ? 'good' : 'bad'}" x="${at * 12}" y="0" width="10" height="18" rx="2"/>`;
  });
  const since = refusedAfter === undefined ? '' : `, ${refusedAfter.toFixed(0)} ms after the issuer had revoked it`;
  const words =
    status === 200
      ? `The API lets it through: ${escaped((body.orders ?? []).join(', '))}.`
      : `The API refuses it${since}.`;
  return `<section class="answer ${status === 200 ? 'good' : 'bad'}"><strong id="status">${status}</strong>
<div><p id="words">${words}</p>${challenge === null ? '' : `<code>WWW-Authenticate: ${escaped(challenge)}</code>`}</div></section>
<svg class="calls" viewBox="0 0 720 18" role="img"><title>The last calls</title>${marks.join('')}</svg>
<h2>Its life <small id="left">${left === 0 ? 'is over' : `${minutes(left)} left`} by its <code>exp</code></small></h2>
<progress max="${exp - iat}" value="${left.toFixed(1)}"></progress>`;
}

export function claimsView({ header, claims }: ShownToken): string {
  const rows = Object.entries({ ...header, ...claims }).map(([name, value]) => {
    const isDate = name === 'iat' || name === 'exp';
    const shown = isDate ? `${value} (${new Date(Number(value) * 1000).toISOString()})` : String(value);
    return `<dt>${escaped(name)}</dt><dd>${escaped(shown)}</dd>`;
  });
  return `<h2>What it says</h2><dl>${rows.join('')}</dl>`;
}

/** `4:05`. */
export function minutes(seconds: number): string {
  const whole = Math.ceil(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, '0')}`;
}
