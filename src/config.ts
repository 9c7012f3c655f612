/**
 * Owns the table of settings and makes the one frozen configuration from it. A pure function: it must not know where
 * the environment comes from, nor what its settings are used for.
 */
import { parseEnv } from 'node:util';
import {
  cssColor,
  databaseUrl,
  eventsUrl,
  folder,
  issuerUrl,
  type Kind,
  listenAddress,
  oneOf,
  optional,
  pictureFile,
  proxies,
  quoted,
  refuse,
  seconds,
  wholeNumber,
  words,
} from './config/kinds.ts';
import { malformedLines, misspelt } from './config/spelling.ts';

/** A variable of the environment: its name, its default as one would type it ('' for none), and what it may hold. */
export interface Setting<Value> extends Kind<Value> {
  readonly name: string;
  readonly default: string;
  /** Its value is never shown. */
  readonly secret?: true;
}

/** Every setting, by its name in `Config`; parsing, messages, misspellings and .env.example's test follow from it. */
export const settings = {
  /** `iss` of every token and base of every endpoint, without a final slash. By default http://localhost:<port>. */
  issuer: { name: 'ISSUER', default: 'http://localhost:3000', ...issuerUrl },
  /** IP address or host name to listen on. */
  host: { name: 'HOST', default: 'localhost', ...listenAddress },
  /** TCP port to listen on; 0 for any that is free. */
  port: { name: 'PORT', default: '3000', ...wholeNumber(0, 65535, '0 for any free port') },
  /** Processes that share the port; one for each core uses a machine up. */
  workers: { name: 'WORKERS', default: '1', ...wholeNumber(1, 64, 'processes') },
  /** Absolute paths of the certificate chain and its private key, both PEM; undefined for plain HTTP. */
  tlsCert: { name: 'TLS_CERT', default: '', ...optional(folder) },
  tlsKey: { name: 'TLS_KEY', default: '', ...optional(folder) },
  /** TCP port of the admin server (`/metrics`); undefined for none. */
  adminPort: {
    name: 'ADMIN_PORT',
    default: '',
    ...optional(wholeNumber(0, 65535, 'nothing for none; 0 for any free port')),
  },
  /** IP address or host name that the admin server listens on. */
  adminHost: { name: 'ADMIN_HOST', default: 'localhost', ...listenAddress },
  /** Postgres connection URL, a secret; undefined for the embedded database. */
  databaseUrl: { name: 'DATABASE_URL', default: '', secret: true, ...databaseUrl },
  /** Absolute path of the folder of the embedded database. */
  dataDir: { name: 'DATA_DIR', default: 'data', ...folder },
  /** Absolute path of the folder of key-encryption keys. */
  keysDir: { name: 'KEYS_DIR', default: 'keys', ...folder },
  /** The least severe level that is logged. */
  logLevel: {
    name: 'LOG_LEVEL',
    default: 'info',
    ...oneOf('fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'),
  },
  /** Life of an access token in seconds, where its resource does not say otherwise. */
  accessTokenTtl: { name: 'ACCESS_TOKEN_TTL', default: '600', ...seconds(10, 86_400) },
  /** Life of a refresh token in seconds. */
  refreshTokenTtl: { name: 'REFRESH_TOKEN_TTL', default: '2592000', ...seconds(10, 31_536_000) },
  /** Seconds after a refresh in which the refresh token before it is answered once more the same; 0 for none. */
  refreshGrace: { name: 'REFRESH_GRACE', default: '10', ...seconds(0, 60) },
  /** Seconds a key signs before the next takes over. */
  keySignFor: { name: 'KEY_SIGN_FOR', default: '2592000', ...seconds(10, 31_536_000) },
  /** Seconds the JWKS may be cached, which is also the measure of how long a key is announced before it signs. */
  jwksMaxAge: { name: 'JWKS_MAX_AGE', default: '600', ...seconds(1, 86_400) },
  /** Seconds that events of the audit are kept. */
  auditRetention: { name: 'AUDIT_RETENTION', default: '31536000', ...seconds(86_400, 315_360_000) },
  /** Requests a second that one client may send to the token endpoint of one instance. */
  tokenRate: { name: 'TOKEN_RATE', default: '1000', ...wholeNumber(1, 1_000_000, 'requests a second') },
  /** Addresses and ranges of the proxies whose `X-Forwarded-For` is believed; empty for none. */
  trustProxy: { name: 'TRUST_PROXY', default: '', ...proxies },
  /** Where security events are posted to, signed; undefined for nowhere. */
  eventsUrl: { name: 'EVENTS_URL', default: '', secret: true, ...eventsUrl },
  /** Whose pages people see: a name. */
  brandName: { name: 'BRAND_NAME', default: 'Keyturn', ...words(60) },
  /** The colour of buttons and marks; what is read by it is made dark or light enough. */
  brandColor: { name: 'BRAND_COLOR', default: '0f6b5c', ...cssColor },
  /** Absolute path of the picture shown in place of the name; undefined for none. */
  brandLogo: { name: 'BRAND_LOGO', default: '', ...pictureFile },
} as const satisfies Record<string, Setting<unknown>>;

/** The whole configuration, frozen. Durations in seconds. */
export type Config = {
  readonly [Field in keyof typeof settings]: (typeof settings)[Field] extends Kind<infer Value> ? Value : never;
};

/** A configuration, or every mistake in what it was to be made from, one line each. */
export type ConfigResult =
  | { readonly ok: true; readonly config: Config }
  | { readonly ok: false; readonly mistakes: readonly string[] };

/**
 * Reads the configuration from the environment and the text of a .env file, if there is one. A variable of the
 * environment wins over the file's, even an empty one; what is empty counts as not set. Never throws, and no mistake
 * shows a secret. Relative folders start at `cwd`, which is absolute.
 */
export function readConfig(
  environment: Readonly<Record<string, string | undefined>>,
  options: { readonly cwd: string; readonly dotenv?: string },
): ConfigResult {
  const dotenv = options.dotenv?.replace(/^\uFEFF/, '') ?? '';
  const given = new Map<string, string>();
  for (const [name, text] of [...Object.entries(parseEnv(dotenv)), ...Object.entries(environment)]) {
    if (text !== undefined) given.set(name, text);
  }

  const mistakes = malformedLines(dotenv);
  const values: Record<string, unknown> = {};
  for (const [field, setting] of Object.entries<Setting<unknown>>(settings)) {
    const text = given.get(setting.name) || setting.default;
    const unclean = /^\s|\s$|\p{Cc}/u.test(text);
    const parsed = unclean ? refuse('spaces around it or control characters in it') : setting.parse(text, options.cwd);
    if (parsed.ok) values[field] = parsed.value;
    else mistakes.push(mistake(setting, setting.secret ? 'a value that is not shown' : quoted(text), parsed.why));
  }
  const names = Object.values(settings).map((setting) => setting.name);
  mistakes.push(...misspelt(given, names));
  if (mistakes.length > 0) return { ok: false, mistakes };
  return together(values as Config, Boolean(given.get(settings.issuer.name)));
}

function mistake(setting: Setting<unknown>, given: string, why: string): string {
  return `${setting.name}: given ${given}${why && ` (${why})`}; allowed: ${setting.allowed}`;
}

/** What shows only where settings, each fine by itself, meet. */
function together(config: Config, issuerGiven: boolean): ConfigResult {
  const mistakes: string[] = [];
  const { issuer, keySignFor, jwksMaxAge } = settings;
  if (!issuerGiven && config.port === 0) {
    mistakes.push(mistake(issuer, 'nothing', 'PORT is 0, any free port, which leaves no default'));
  }
  const { tlsCert, tlsKey } = settings;
  if ((config.tlsCert === undefined) !== (config.tlsKey === undefined)) {
    const missing = config.tlsCert === undefined ? tlsCert : tlsKey;
    mistakes.push(`${missing.name}: given nothing; ${tlsCert.name} and ${tlsKey.name} go together`);
  }
  if (config.tlsCert !== undefined && config.issuer.startsWith('http:')) {
    mistakes.push(mistake(issuer, quoted(config.issuer), `${tlsCert.name} is set, so it is an https URL`));
  }
  // A standby is announced two cache lives early and a signer published one token life longer: a key that signs for
  // less would have to share the published set with ever more others.
  const least = 2 * config.jwksMaxAge + config.accessTokenTtl;
  if (config.keySignFor < least) {
    const sum = `2 × ${jwksMaxAge.name} + ${settings.accessTokenTtl.name}`;
    mistakes.push(
      `${keySignFor.name}: given "${config.keySignFor}"; allowed: at least ${sum}, which is ${least} seconds`,
    );
  }
  if (mistakes.length > 0) return { ok: false, mistakes };
  if (issuerGiven) return { ok: true, config: Object.freeze(config) };
  return { ok: true, config: Object.freeze({ ...config, issuer: new URL(`http://localhost:${config.port}`).origin }) };
}
