/** How the pages put into words what a person would not read: times, browsers, scopes, where a client lives. */
import type { NumericDate } from '../../protocol/time.ts';
import { type Html, html } from './html.ts';

/** Graphemes of a name that are shown. Names come from people and clients, and may be of any length. */
const longestName = 80;

const graphemes = new Intl.Segmenter('en', { granularity: 'grapheme' });

/** A name as plain text, for titles: cut short, on one line, and without what turns the direction of other text. */
export function plainName(name: string): string {
  const line = name
    .replace(/[\u061C\u200E\u200F\u202A-\u202E\u2066-\u2069]/g, '')
    .replace(/\s+/g, ' ')
    .trim();
  const first = [...graphemes.segment(line.slice(0, 40 * longestName))].slice(0, longestName + 1);
  if (first.length <= longestName) return line;
  return `${first
    .slice(0, longestName)
    .map(({ segment }) => segment)
    .join('')
    .trimEnd()}…`;
}

/** A name, apart from the direction of the text around it. */
export function named(name: string): Html {
  return html`<bdi>${plainName(name)}</bdi>`;
}

const date = new Intl.DateTimeFormat('en-GB', { dateStyle: 'long', timeZone: 'UTC' });
const dateAndTime = new Intl.DateTimeFormat('en-GB', { dateStyle: 'medium', timeStyle: 'short', timeZone: 'UTC' });

/** An instant of the past: how long ago, and exactly when. Pages do not know their reader's time zone. */
export function ago(instant: NumericDate, now: NumericDate): Html {
  const at = new Date(instant * 1000);
  const exactly = `${dateAndTime.format(at)} UTC`;
  const words = relative(now - instant) ?? `on ${date.format(at)}`;
  return html`<time datetime="${at.toISOString()}" title="${exactly}">${words}</time>`;
}

function relative(seconds: number): string | undefined {
  const [minutes, hours, days] = [60, 3600, 86_400].map((unit) => Math.floor(seconds / unit)) as [
    number,
    number,
    number,
  ];
  if (minutes < 2) return 'just now';
  if (hours < 2) return `${minutes} minutes ago`;
  if (days < 2) return `${hours} hours ago`;
  return days < 30 ? `${days} days ago` : undefined;
}

/** The first that matches counts: most browsers also claim to be others. */
const browsers: readonly [pattern: RegExp, name: string][] = [
  [/\bEdg(?:A|iOS)?\//, 'Edge'],
  [/\bOPR\//, 'Opera'],
  [/\bSamsungBrowser\//, 'Samsung Internet'],
  [/\b(?:Firefox|FxiOS)\//, 'Firefox'],
  [/\b(?:Chrome|CriOS|Chromium)\//, 'Chrome'],
  [/\bSafari\//, 'Safari'],
];

const systems: readonly [pattern: RegExp, name: string][] = [
  [/\biPhone\b/, 'iPhone'],
  [/\biPad\b/, 'iPad'],
  [/\bAndroid\b/, 'Android'],
  [/\bWindows\b/, 'Windows'],
  [/\bCrOS\b/, 'ChromeOS'],
  [/\bMacintosh\b/, 'macOS'],
  [/\bLinux\b/, 'Linux'],
];

/** A `User-Agent` as one would name it: "Firefox on Windows". */
export function browserInWords(userAgent: string | null): string {
  const [browser, system] = [browsers, systems].map(
    (list) => list.find(([pattern]) => pattern.test(userAgent ?? ''))?.[1],
  );
  if (browser === undefined) return system === undefined ? 'Another browser' : `A browser on ${system}`;
  return system === undefined ? browser : `${browser} on ${system}`;
}

/** Where a client receives the answer, as a person would name it (RFC 8252 §7 for apps). */
export function whereClientLives(redirectUri: string): Html {
  const { protocol, host, hostname } = new URL(redirectUri);
  const web = protocol === 'https:' || protocol === 'http:';
  if (!web || /^(?:localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(hostname)) return html`an app on this device`;
  return html`<strong>${host}</strong>`;
}

/** A scope a client asks for, with the words of its resource service, where it has some. */
export interface AskedScope {
  readonly token: string;
  readonly description?: string;
}

/** The scopes of OpenID Connect (Core §5.4, §11). */
const identity = new Map([
  ['openid', 'Know who you are'],
  ['profile', 'See your name'],
  ['email', 'See your email address'],
  ['offline_access', 'Keep this access while you are away, until you withdraw it'],
]);

/** What a scope means to a person; its token, where nobody has said. */
export function scopeInWords({ token, description }: AskedScope): Html {
  const words = identity.get(token) ?? (description?.trim() || undefined);
  return words === undefined ? html`<code>${token}</code>` : html`<bdi>${words}</bdi>`;
}

/**
 * An address a person may be sent to by a link: https, http, or an app's private-use scheme, which has a dot in it
 * (RFC 8252 §7.1). So never a script.
 */
export function isLinkable(address: string): boolean {
  return URL.canParse(address) && /^(?:https?|[a-z][a-z\d+-]*\.[a-z\d.+-]*):$/.test(new URL(address).protocol);
}
