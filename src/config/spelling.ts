/**
 * Finds what was meant to be a setting and would otherwise be ignored in silence. Must not know what a setting's value
 * means, and never shows a value: a misspelt variable may hold a secret.
 */
import leven, { closestMatch } from 'leven';
import { quoted } from './kinds.ts';

/**
 * What Kubernetes puts into every container's environment for a service called "keyturn" or "keyturn-…": told by the
 * name, or, as KEYTURN_PORT may also be somebody's idea of PORT, by the value tcp://….
 */
const SERVICE_NAME =
  /^KEYTURN_(?:\w+_)?(?:SERVICE_HOST|SERVICE_PORT(?:_\w+)?|PORT_\d+_(?:TCP|UDP|SCTP)(?:_PROTO|_PORT|_ADDR)?)$/;
const SERVICE_URL = /^(?:tcp|udp|sctp):\/\//;

function isServiceVariable(name: string, text: string): boolean {
  return SERVICE_NAME.test(name) || (/^KEYTURN_(?:\w+_)?PORT$/.test(name) && SERVICE_URL.test(text));
}

/** Long names are told apart with two slips of the pen in them; a short one only from its other cases. */
function resembles(name: string, setting: string): boolean {
  return leven(name.toUpperCase(), setting, { maxDistance: 3 }) <= (setting.length >= 8 ? 2 : 0);
}

/** One mistake for each variable that is set, is not a setting, and was probably meant to be one that is not set. */
export function misspelt(given: ReadonlyMap<string, string>, settings: readonly string[]): string[] {
  return [...given].flatMap(([name, text]) => {
    if (text === '' || settings.includes(name) || isServiceVariable(name, text)) return [];
    const shown = quoted(name).slice(1, -1);
    if (/^KEYTURN_/i.test(name)) {
      const meant = closestMatch(name.slice('KEYTURN_'.length).toUpperCase(), settings, { maxDistance: 2 });
      const hint = meant === undefined ? 'settings have no such prefix' : `did you mean ${meant}?`;
      return [`${shown} is not a setting; ${hint}`];
    }
    const meant = settings.find((setting) => !given.get(setting) && resembles(name, setting));
    if (meant === undefined) return [];
    return [`${shown} is not a setting; did you mean ${meant}? (If ${shown} is for something else, set ${meant} too.)`];
  });
}

/**
 * One mistake for each line of a .env text that is neither blank, a comment nor `NAME=value`. parseEnv of node:util
 * skips such a line, and on Node 20 the setting on the next line with it. It also takes `NAME=#0f6b5c` for a comment
 * after nothing, so that the default would stand in silence.
 */
export function malformedLines(dotenv: string): string[] {
  const withoutQuoted = dotenv.replace(/=[^\S\n]*(["'`])[\s\S]*?\1/g, (value) => `=_${value.replace(/[^\n]/g, '')}`);
  return withoutQuoted.split(/\r?\n/).flatMap((line, index) => {
    if (/^\s*(?:export\s+)?[\w.-]+\s*=#\S/.test(line)) {
      return [`.env: line ${index + 1} has a value that begins with #, which needs quotes: unquoted it is a comment`];
    }
    if (/^\s*(?:#.*|(?:export\s+)?[\w.-]+\s*=.*)?$/s.test(line)) return [];
    return [`.env: line ${index + 1} is neither NAME=value nor a comment (beginning with #)`];
  });
}
