/** What the command line takes, checked before anything is read or written. */
import { InvalidArgumentError } from 'commander';
import { algorithms, algorithmsInUse } from '../../src/crypto/algorithms.ts';
import { grantTypes } from '../../src/grants/index.ts';
import { clientAuthMethods } from '../../src/protocol/client.ts';
import { isRegistrableRedirectUri, isRegistrableWebUri } from '../../src/protocol/redirect-uri.ts';
import { isResourceIndicator } from '../../src/protocol/resource-indicator.ts';
import { isScopeToken } from '../../src/protocol/scope.ts';
import type { Seconds } from '../../src/protocol/time.ts';

/** More than anybody has of anything; a token that named them all would fit in no header. */
const mostValues = 100;

/** Makes an option that may be given several times, each time for another thing, of a parser for one value. */
export function each<T>(
  parse: (text: string) => T,
  nameOf: (value: T) => unknown = (value) => value,
): (text: string, before: T[] | undefined) => T[] {
  return (text, before = []) => {
    const value = parse(text);
    if (before.some((other) => nameOf(other) === nameOf(value))) throw new InvalidArgumentError('It is given twice.');
    if (before.length === mostValues) throw new InvalidArgumentError(`There can be ${mostValues} at most.`);
    return [...before, value];
  };
}

/** Makes an option that may be given once of a parser for its value. */
export function once<T>(parse: (text: string) => T): (text: string, before: T | undefined) => T {
  return (text, before) => {
    if (before !== undefined) throw new InvalidArgumentError('Another value is given for it too.');
    return parse(text);
  };
}

/** A parser for one of a few words. */
export function choiceArgument(...names: string[]): (text: string) => string {
  return oneOf(names);
}

function oneOf(names: Iterable<string>): (text: string) => string {
  const allowed = [...names];
  return (text) => {
    if (allowed.includes(text)) return text;
    throw new InvalidArgumentError(`Allowed: ${allowed.join(', ')}.`);
  };
}

export const algArgument = oneOf(algorithms.keys());
/** For ID tokens: what every client library knows. */
export const idTokenAlgArgument = oneOf(algorithmsInUse([]));
export const grantArgument = oneOf(grantTypes.keys());
export const authArgument = oneOf(clientAuthMethods);

/** A redirect URI (RFC 6749 §3.1.2, RFC 8252 §7). */
export function redirectUriArgument(text: string): string {
  if (isRegistrableRedirectUri(text)) return text;
  throw new InvalidArgumentError(
    'It must be an https URI, an http one on this machine, or one of an app (com.example.app:/path), without a fragment.',
  );
}

/** A URI that we call ourselves. */
export function webUriArgument(text: string): string {
  if (isRegistrableWebUri(text)) return text;
  throw new InvalidArgumentError('It must be an https URI, or an http one on this machine, without a fragment.');
}

/** A web origin, as browsers write it. */
export function originArgument(text: string): string {
  if (isRegistrableWebUri(text) && new URL(text).origin === text) return text;
  throw new InvalidArgumentError('It must be a web origin such as https://app.example, without a path.');
}

/** A domain for cookies: at least two labels, so that it is nobody's top-level domain. */
export function domainArgument(text: string): string {
  if (text.length <= 253 && /^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}$/.test(text)) return text;
  throw new InvalidArgumentError('It must be a domain such as example.org, in small letters.');
}

/** An audience URI (RFC 8707 §2). */
export function audienceArgument(text: string): string {
  if (isResourceIndicator(text)) return text;
  throw new InvalidArgumentError('It must be an absolute URI without a fragment, such as https://orders.example.');
}

/** A scope token (RFC 6749 §3.3). */
export function scopeArgument(text: string): string {
  if (isScopeToken(text) && text.length <= 128) return text;
  throw new InvalidArgumentError('It must be one scope token: printable ASCII without spaces, quotes and backslashes.');
}

/** `orders:read` or `orders:read=See your orders`: a scope token and what it means to a person. */
export function describedScopeArgument(text: string): [token: string, description: string] {
  const at = text.indexOf('=');
  if (at === -1) return [scopeArgument(text), ''];
  return [scopeArgument(text.slice(0, at)), nameArgument(text.slice(at + 1))];
}

/** Words for people: 1 to 200 characters, no control characters. */
export function nameArgument(text: string): string {
  const unclean = text.trim() !== text || /[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\p{Bidi_C}]/u.test(text);
  if (!unclean && text.length >= 1 && text.length <= 200) return text;
  throw new InvalidArgumentError('It must be 1 to 200 characters without control characters or spaces around.');
}

/** A parser for whole seconds within bounds. */
export function secondsArgument(least: Seconds, most: Seconds): (text: string) => Seconds {
  return (text) => {
    const value = /^(0|[1-9]\d{0,8})$/.test(text) ? Number(text) : Number.NaN;
    if (value >= least && value <= most) return value;
    throw new InvalidArgumentError(`It must be a whole number of seconds from ${least} to ${most}.`);
  };
}
