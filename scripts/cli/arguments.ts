/** What the command line takes, checked before anything is read or written. */
import { InvalidArgumentError } from 'commander';
import * as values from '../../src/admin/values.ts';
import type { Seconds } from '../../src/protocol/time.ts';

/** Makes an option that may be given several times, each time for another thing, of a parser for one value. */
export function each<T>(
  parse: (text: string) => T,
  nameOf: (value: T) => unknown = (value) => value,
): (text: string, before: T[] | undefined) => T[] {
  return (text, before = []) => {
    const value = parse(text);
    if (before.some((other) => nameOf(other) === nameOf(value))) throw new InvalidArgumentError('It is given twice.');
    if (before.length === values.mostValues) {
      throw new InvalidArgumentError(`There can be ${values.mostValues} at most.`);
    }
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
export function choiceArgument(...words: string[]): (text: string) => string {
  return oneOf({ words });
}

function oneOf({ words }: { readonly words: readonly string[] }): (text: string) => string {
  return (text) => {
    if (words.includes(text)) return text;
    throw new InvalidArgumentError(`Allowed: ${words.join(', ')}.`);
  };
}

/** A parser for a text of a kind. */
function textOf({ accepts, says }: values.TextValue): (text: string) => string {
  return (text) => {
    if (accepts(text)) return text;
    throw new InvalidArgumentError(`It ${says}.`);
  };
}

export const algArgument = oneOf(values.alg);
export const idTokenAlgArgument = oneOf(values.idTokenAlg);
export const grantArgument = oneOf(values.grantType);
export const authArgument = oneOf(values.authMethod);
export const redirectUriArgument = textOf(values.redirectUri);
export const webUriArgument = textOf(values.webUri);
export const originArgument = textOf(values.origin);
export const domainArgument = textOf(values.cookieDomain);
export const audienceArgument = textOf(values.audience);
export const scopeArgument = textOf(values.scopeToken);
export const nameArgument = textOf(values.name);
export const roleArgument = textOf(values.roleName);
export const sidArgument = textOf(values.sessionId);
export const tokenIdArgument = textOf(values.tokenId);
export const grantIdArgument = textOf(values.grantId);

/** `orders:read` or `orders:read=See your orders`: a scope token and what it means to a person. */
export function describedScopeArgument(text: string): [token: string, description: string] {
  const at = text.indexOf('=');
  if (at === -1) return [scopeArgument(text), ''];
  return [scopeArgument(text.slice(0, at)), nameArgument(text.slice(at + 1))];
}

/** A parser for whole seconds within bounds. */
export function secondsArgument(least: Seconds, most: Seconds): (text: string) => Seconds {
  return (text) => {
    const value = /^(0|[1-9]\d{0,8})$/.test(text) ? Number(text) : Number.NaN;
    if (value >= least && value <= most) return value;
    throw new InvalidArgumentError(`It must be a whole number of seconds from ${least} to ${most}.`);
  };
}
