/** Redirect URIs: what may be registered, and what matches a registered one. */

/** Loopback addresses, on which a native app may use any port (RFC 8252 §7.3). */
const loopback = /^http:\/\/(127\.0\.0\.1|\[::1\])(?::(\d{1,5}))?(\/[^#]*)?$/;

const printable = /^[\x21-\x7e]+$/;
const unwise = /["\\<>^`{|}]/;
const maxLength = 2_000;

/** In a path: dot segments, and what becomes one where somebody on the way decodes it: `.`, `/`, `\`, controls. */
const unsteady = /\/\.\.?(?:\/|$)|%(?:2e|2f|5c|[01].|7f)/i;

/**
 * Whether a client may register a redirect URI (RFC 6749 §3.1.2, RFC 9700 §2.1, RFC 8252 §7): absolute, without a
 * fragment, user information or wildcard; `https:`, or `http:` on this machine, or a private-use scheme with a dot in
 * its name, which is a domain turned round.
 */
export function isRegistrableRedirectUri(text: string): boolean {
  if (!isPlainUri(text)) return false;
  const { href, protocol, hostname, username, password } = new URL(text);
  // What a URL parser writes differently, somebody will compare differently.
  if (href !== text && href !== `${text}/`) return false;
  if (username !== '' || password !== '' || hostname.endsWith('.')) return false;
  if (protocol === 'https:') return true;
  if (protocol === 'http:') return hostname === 'localhost' || hostname === '127.0.0.1' || hostname === '[::1]';
  return /^[a-z][a-z0-9+-]*(\.[a-z0-9+-]+)+:$/.test(protocol);
}

/** Whether a client may register where people go after sign-out, or where it is told of one: by the same rule. */
export function isRegistrableWebUri(text: string): boolean {
  return isRegistrableRedirectUri(text) && /^https?:/.test(text);
}

function isPlainUri(text: string): boolean {
  const plain = text.length <= maxLength && printable.test(text) && !unwise.test(text) && !/[#*]/.test(text);
  return plain && URL.canParse(text) && !unsteady.test(text.replace(/\?.*/, ''));
}

/**
 * Whether a redirect URI of a request is one of the registered: the same text, character by character (RFC 9700 §2.1);
 * of loopback addresses all but the port (RFC 8252 §7.3).
 */
export function isRegistered(redirectUri: string, registered: readonly string[]): boolean {
  if (registered.includes(redirectUri)) return true;
  const given = withoutPort(redirectUri);
  return given !== undefined && registered.some((candidate) => withoutPort(candidate) === given);
}

function withoutPort(uri: string): string | undefined {
  const [, host, port, rest = ''] = loopback.exec(uri) ?? [];
  if (host === undefined || Number(port ?? 80) > 65_535) return undefined;
  return `${host}${rest}`;
}

/** The URI with parameters added to its query (RFC 6749 §4.1.2). What it had stays as it is. */
export function withParameters(uri: string, parameters: Readonly<Record<string, string | undefined>>): string {
  const added = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) if (value !== undefined) added.append(name, value);
  if (added.size === 0) return uri;
  const separator = uri.includes('?') ? '&' : '?';
  return `${uri}${/[?&]$/.test(uri) ? '' : separator}${added}`;
}
