/** The timeline of the keys that sign access tokens, six minutes back and six ahead. */
import { escaped } from './escaped.ts';
import { minutes, type ShownToken } from './token-page.ts';

/** What `keyturn keys list --json` says of a key. Instants are seconds since 1970; null: not in sight. */
export interface KeyLife {
  readonly kid: string;
  readonly alg: string;
  readonly phase: string;
  readonly published_from: number;
  readonly signs_from: number;
  readonly signs_until: number | null;
  readonly published_until: number | null;
}

/** Seconds to either side of now; the picture is as wide as both. */
const reach = 360;
export interface KeysView {
  readonly token: ShownToken;
  readonly keys: readonly KeyLife[];
  /** Seconds since 1970. */
  readonly now: number;
}

export function keysView({ token: { header, claims }, keys, now }: KeysView): string {
  const x = (instant: number | null) =>
    Math.min(2 * reach, Math.max(0, (instant ?? Number.POSITIVE_INFINITY) - now + reach));
  const shown = keys
    .filter(({ alg, published_until }) => alg === header.alg && x(published_until) > 0)
    .sort((a, b) => a.signs_from - b.signs_from);
  const next = shown.find(({ signs_from }) => signs_from > now);
  const bar = (name: string, from: number, until: number | null, y = 0, height = 18) => {
    const [start, width] = [x(from), x(until) - x(from)];
    if (width <= 0) return '';
    return `<rect class="${name}" x="${start.toFixed(1)}" y="${y}" width="${width.toFixed(1)}" height="${height}"/>`;
  };
  const rows = shown.map(({ kid, published_from, signs_from, signs_until, published_until }) => {
    const isTokens = kid === header.kid;
    return `<p class="key"><code>${escaped(kid)}</code> ${phaseOf(now, signs_from, signs_until)}${isTokens ? ', has signed this token' : ''}</p>
<svg viewBox="0 0 ${2 * reach} 18" preserveAspectRatio="none" role="img"><title>Its life</title>
${bar('published', published_from, published_until)}${bar('signing', signs_from, signs_until)}
${isTokens ? bar('token-life', claims.iat ?? 0, claims.exp ?? 0, 6, 6) : ''}
<line class="now" x1="${reach}" x2="${reach}" y1="0" y2="18"/></svg>`;
  });
  return `<h2>The keys <small>${next === undefined ? '' : `the next one signs in ${minutes(next.signs_from - now)}`}</small></h2>
<div class="keys">${rows.join('')}<p class="ticks"><span>6 minutes ago</span><span>now</span><span>in 6 minutes</span></p></div>
<p class="legend"><span class="published">published</span> <span class="signing">signs</span> <span class="token-life">this token</span></p>
<p class="legend">Each key is published before it signs, and until the last token that it has signed has expired. These turn
every few minutes, so that one can look on; by default they sign for thirty days.</p>`;
}

function phaseOf(now: number, signsFrom: number, signsUntil: number | null): string {
  if (now < signsFrom) return 'signs next';
  return signsUntil === null || now < signsUntil ? 'signs' : 'signs no more';
}
