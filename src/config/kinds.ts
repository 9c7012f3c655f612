/**
 * The kinds of value a setting can have: what is allowed, in words, and the function that holds to it. Must not know
 * any setting's name, nor look at anything but the text it is given.
 */
import { isIP } from 'node:net';
import { resolve } from 'node:path';
import type { Seconds } from '../protocol/time.ts';

/** A value, or why there is none ('' where the words of what is allowed say enough; never a secret's text). */
export type Parsed<Value> = { readonly ok: true; readonly value: Value } | { readonly ok: false; readonly why: string };

/** One kind of value. `parse` gets text without control characters and surrounding spaces; '' means "not set". */
export interface Kind<Value> {
  readonly allowed: string;
  readonly parse: (text: string, cwd: string) => Parsed<Value>;
}

function allow<Value>(value: Value): Parsed<Value> {
  return { ok: true, value };
}

/** The refusal of a text; `why` completes the sentence "this was given (…)". */
export function refuse(why = ''): Parsed<never> {
  return { ok: false, why };
}

/**
 * Text as a mistake shows it: quoted, on one line, invisible characters spelled out, cut short, and without what stands
 * before an @, which may be a password.
 */
export function quoted(text: string): string {
  const harmless = text.replace(/^.*@/s, '…@');
  const short = harmless.length > 80 ? `${harmless.slice(0, 80)}…` : harmless;
  return JSON.stringify(short).replace(/[\p{C}\p{Zl}\p{Zp}]/gu, (character) => {
    return `\\u{${character.codePointAt(0)?.toString(16)}}`;
  });
}

/** A whole number in plain decimal digits: no sign, fraction, exponent, other base or leading zero. */
export function wholeNumber(least: number, most: number, meaning: string): Kind<number> {
  return {
    allowed: `a whole number from ${least} to ${most}, ${meaning}`,
    parse(text) {
      const number = /^(?:0|[1-9]\d{0,9})$/.test(text) ? Number(text) : Number.NaN;
      return number >= least && number <= most ? allow(number) : refuse();
    },
  };
}

/** A duration. */
/** The same, or nothing. */
export function optional<Value>(kind: Kind<Value>): Kind<Value | undefined> {
  return { ...kind, parse: (text, cwd) => (text === '' ? allow(undefined) : kind.parse(text, cwd)) };
}

export function seconds(least: Seconds, most: Seconds): Kind<Seconds> {
  return wholeNumber(least, most, 'in seconds');
}

/** One of a few words, spelled exactly so. */
export function oneOf<const Word extends string>(...words: readonly Word[]): Kind<Word> {
  return {
    allowed: `one of ${words.join(', ')}`,
    parse(text) {
      const word = words.find((candidate) => candidate === text);
      return word === undefined ? refuse() : allow(word);
    },
  };
}

/** A folder or a file, as an absolute path. */
export const folder: Kind<string> = {
  allowed: 'a path, absolute or relative to the folder the server is started in',
  parse: (text, cwd) => (text.startsWith('~') ? refuse('~ is not expanded here') : allow(resolve(cwd, text))),
};

/** A picture's path, absolute; undefined for none. */
export const pictureFile: Kind<string | undefined> = {
  allowed:
    'a path of an SVG or PNG file, absolute or relative to the folder the server is started in; nothing for none',
  parse(text, cwd) {
    if (text === '') return allow(undefined);
    return /\.(?:svg|png)$/i.test(text) ? folder.parse(text, cwd) : refuse('it does not end in .svg or .png');
  },
};

/** Words that people read, on one line. */
export function words(most: number): Kind<string> {
  return {
    allowed: `at most ${most} characters`,
    parse: (text) => (text.length <= most ? allow(text) : refuse()),
  };
}

/** A colour, as `#` and six small hexadecimal digits. In a .env file what follows an unquoted # is a comment. */
export const cssColor: Kind<`#${string}`> = {
  allowed: 'a colour as three or six hexadecimal digits, such as 0f6b5c, with or without a # before them',
  parse(text) {
    const digits = /^#?([\da-f]{3}|[\da-f]{6})$/i.exec(text)?.[1]?.toLowerCase();
    if (digits === undefined) return refuse();
    return allow<`#${string}`>(`#${digits.length === 3 ? digits.replace(/./g, '$&$&') : digits}`);
  },
};

const LABEL = '[a-z\\d](?:[a-z\\d-]{0,61}[a-z\\d])?';
const HOST_NAME = new RegExp(`^(?:${LABEL}\\.)*(?!\\d+$)${LABEL}$`, 'i');

/** Where to listen. */
export const listenAddress: Kind<string> = {
  allowed: 'an IP address or host name to listen on (0.0.0.0 or :: for all), without scheme, port or brackets',
  parse: (text) => (isIP(text) !== 0 || (text.length <= 253 && HOST_NAME.test(text)) ? allow(text) : refuse()),
};

const LOOPBACK = /^(?:(?:[^.]+\.)*localhost|127\.\d+\.\d+\.\d+|\[::1\])$/;

/**
 * An issuer identifier (OIDC Discovery §3, RFC 8414 §2). Verifiers compare it as text, so only the one spelling that
 * a URL parser gives back is allowed.
 */
export const issuerUrl: Kind<string> = {
  allowed:
    'an https URL (http only on loopback: localhost, *.localhost, 127.0.0.0/8, [::1]) in its normal form, without' +
    ' user, query, fragment or final slash, its path made of letters, digits and - . _ ~',
  parse(text) {
    const url = URL.canParse(text) ? new URL(text) : undefined;
    if (url?.protocol !== 'https:' && url?.protocol !== 'http:') return refuse('not an absolute http or https URL');
    const path = url.pathname.replace(/\/+$/, '');
    const normal = url.origin + path;
    const wrong = [
      url.protocol === 'http:' && !LOOPBACK.test(url.hostname) && 'http, and the host is not loopback',
      /^\.|\.\.|\.$/.test(url.hostname) && 'empty label in the host name',
      url.port === '0' && 'nobody can reach port 0',
      !/^(?:\/[\w.~-]+)*$/.test(path) && 'an empty segment or another character in the path',
      text !== normal && `its normal form would be ${quoted(normal)}`,
    ].filter((why) => why !== false);
    return wrong.length === 0 ? allow(text) : refuse(wrong.join('; '));
  },
};

/** Schemes people try. Only these are ever named: what stands before the first colon could be a user name. */
const OTHER_SCHEME =
  /^(?:jdbc|mysql|mariadb|sqlite|file|mongodb(?:\+srv)?|sqlserver|mssql|redis|prisma(?:\+postgres)?|https?):/i;

function decodes(part: string): boolean {
  try {
    return !/\p{Cc}/u.test(decodeURIComponent(part));
  } catch {
    return false;
  }
}

/** A Postgres connection URL that names its database; undefined where there is none. A secret: no reason quotes it. */
export const databaseUrl: Kind<string | undefined> = {
  allowed:
    'postgresql://user:password@host:port/database (or postgres://), with characters such as % # / ? @ in user and' +
    ' password percent-encoded; nothing for the embedded database',
  parse(text) {
    if (text === '') return allow(undefined);
    const other = OTHER_SCHEME.exec(text);
    if (other !== null) return refuse(`its scheme is ${other[0].toLowerCase()}`);
    if (!/^postgres(?:ql)?:\/\//.test(text)) return refuse('it does not begin with postgresql://');
    // A socket's path goes into ?host= and leaves the host empty, which pg takes but URL does not after a user name.
    const withHost = text.replace('@/', '@localhost/');
    if (!URL.canParse(withHost)) return refuse('it is not a valid URL');
    const { username, password, hostname, pathname, hash } = new URL(withHost);
    if (pathname.length < 2) return refuse('it names no database');
    if (hash !== '' || pathname.includes('/', 1) || ![username, password, hostname, pathname].every(decodes)) {
      return refuse('it has a character that must be percent-encoded');
    }
    return allow(text);
  },
};

function isProxy(part: string): boolean {
  if (part === 'loopback') return true;
  const [address = '', bits = '1', ...more] = part.split('/');
  const version = address.includes('%') ? 0 : isIP(address);
  return version > 0 && more.length === 0 && /^[1-9]\d{0,2}$/.test(bits) && Number(bits) <= (version === 4 ? 32 : 128);
}

/** The proxies whose `X-Forwarded-For` is believed, in the form fastify's `trustProxy` takes; empty for none. */
export const proxies: Kind<readonly string[]> = {
  allowed:
    'the IP addresses or ranges (10.0.0.0/8) of the proxies in front, with commas between them, or loopback;' +
    ' nothing if there is none',
  parse(text) {
    const parts = text === '' ? [] : text.split(',').map((part) => part.trim());
    if (parts.some((part) => /^(?:true|\*|.*\/0)$/i.test(part))) {
      return refuse('whoever believes everybody lets each client choose the address it is known by');
    }
    const wrong = parts.find((part) => !isProxy(part));
    return wrong === undefined ? allow(Object.freeze(parts)) : refuse(`${quoted(wrong)} is neither`);
  },
};

/** Where events are posted to; undefined for nowhere. What is in its path or query may be a secret: no reason quotes it. */
export const eventsUrl: Kind<string | undefined> = {
  allowed:
    'an https URL (http only on loopback: localhost, *.localhost, 127.0.0.0/8, [::1]), without user and fragment; nothing' +
    ' for none',
  parse(text) {
    if (text === '') return allow(undefined);
    if (!URL.canParse(text)) return refuse('not an absolute URL');
    const { protocol, hostname, username, password, hash, href } = new URL(text);
    if (username !== '' || password !== '') return refuse('what is sent is signed, and needs no password');
    if (hash !== '' || text.includes('#')) return refuse('it has a fragment');
    if (protocol === 'http:' && !LOOPBACK.test(hostname)) return refuse('http, and the host is not this machine');
    if (protocol !== 'https:' && protocol !== 'http:') return refuse('neither https nor http');
    return allow(href);
  },
};
