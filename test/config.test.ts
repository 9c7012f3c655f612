import { readFileSync } from 'node:fs';
import { test } from 'tap';
import { type Config, readConfig, type Setting, settings } from '../src/config.ts';

type Environment = Record<string, string | undefined>;

function configOf(environment: Environment, dotenv = ''): Config {
  const result = readConfig(environment, { cwd: '/srv/keyturn', dotenv });
  if (!result.ok) throw new Error(result.mistakes.join('\n'));
  return result.config;
}

function mistakesIn(environment: Environment, dotenv = ''): readonly string[] {
  const result = readConfig(environment, { cwd: '/srv/keyturn', dotenv });
  return result.ok ? [] : result.mistakes;
}

/** The value that a setting gets from a text, or its one mistake. */
function read(field: keyof Config, text: string): unknown {
  const { name, allowed } = settings[field];
  const result = readConfig({ [name]: text }, { cwd: '/srv/keyturn' });
  if (result.ok) return result.config[field];
  const [mistake = '', ...others] = result.mistakes;
  if (others.length > 0 || !mistake.startsWith(`${name}: given `) || !mistake.endsWith(`; allowed: ${allowed}`)) {
    throw new Error(`not one mistake about ${name}: ${result.mistakes.join('\n')}`);
  }
  return { refused: mistake.slice(`${name}: given `.length, -`; allowed: ${allowed}`.length) };
}

const defaults: Config = {
  issuer: 'http://localhost:3000',
  host: 'localhost',
  port: 3000,
  workers: 1,
  tlsCert: undefined,
  tlsKey: undefined,
  adminPort: undefined,
  adminHost: 'localhost',
  databaseUrl: undefined,
  dataDir: '/srv/keyturn/data',
  keysDir: '/srv/keyturn/keys',
  logLevel: 'info',
  accessTokenTtl: 600,
  refreshTokenTtl: 2_592_000,
  refreshGrace: 10,
  keySignFor: 2_592_000,
  jwksMaxAge: 600,
  auditRetention: 31_536_000,
  tokenRate: 1000,
  trustProxy: [],
  eventsUrl: undefined,
  brandName: 'Keyturn',
  brandColor: '#0f6b5c',
  brandLogo: undefined,
};

test('an empty environment gives the defaults, frozen', async (t) => {
  t.same(configOf({}), defaults);
  t.same(configOf({ PORT: '', ISSUER: '', DATABASE_URL: '', LOG_LEVEL: undefined }, ''), defaults);
  t.ok(Object.isFrozen(configOf({})));
  t.ok(Object.isFrozen(configOf({ ISSUER: 'https://id.example' })));
  t.ok(Object.isFrozen(configOf({ TRUST_PROXY: 'loopback' }).trustProxy));
});

test('the issuer is by default where the port is', async (t) => {
  t.equal(configOf({ PORT: '8080' }).issuer, 'http://localhost:8080');
  t.equal(configOf({ PORT: '80' }).issuer, 'http://localhost');
  t.equal(configOf({ PORT: '0', ISSUER: 'http://localhost:1' }).port, 0);
  t.same(mistakesIn({ PORT: '0' }), [
    `ISSUER: given nothing (PORT is 0, any free port, which leaves no default); allowed: ${settings.issuer.allowed}`,
  ]);
});

test('an allowed value is taken', async (t) => {
  const asGiven: [keyof Config, string][] = [
    ['issuer', 'https://id.example https://id.example:8443/realms/a_b-c.d~e https://xn--bcher-kva.example'],
    [
      'issuer',
      'http://localhost http://id.keyturn.localhost:3000 http://127.0.0.1:3000 http://127.255.3.4/x http://[::1]:1',
    ],
    ['host', '0.0.0.0 :: fe80::1%eth0 node-1.internal'],
    [
      'databaseUrl',
      'postgres://u@h/d postgresql://u:p%23%40%25@h:5432/d?sslmode=require postgresql://u:p@[::1]:5432/d',
    ],
    ['databaseUrl', 'postgresql://u:p@/d?host=/run postgresql:///d?host=/run postgresql://u:p@%2Frun%2Fpostgresql/d'],
    ['logLevel', 'fatal error warn info debug trace silent'],
    ['brandLogo', '/srv/logo.svg /srv/a.b/logo.PNG'],
  ];
  for (const [field, texts] of asGiven) {
    for (const text of texts.split(' ')) t.equal(read(field, text), text, `${field}: ${text}`);
  }
  const made: [keyof Config, string, unknown][] = [
    ['port', '65535', 65_535],
    ['refreshGrace', '0', 0],
    ['accessTokenTtl', '10', 10],
    ['accessTokenTtl', '86400', 86_400],
    ['dataDir', '../elsewhere/', '/srv/elsewhere'],
    ['keysDir', '/run/secrets/clés de Zoë', '/run/secrets/clés de Zoë'],
    ['brandName', `Zoë & Söhne "<b>"`, `Zoë & Söhne "<b>"`],
    ['brandColor', '#FA0', '#ffaa00'],
    ['trustProxy', 'loopback', ['loopback']],
    ['trustProxy', '10.0.0.0/8, 2001:db8::/32,::1', ['10.0.0.0/8', '2001:db8::/32', '::1']],
  ];
  for (const [field, text, value] of made) t.same(read(field, text), value, `${field}: ${text}`);
  t.match(configOf({ JWKS_MAX_AGE: '1', ACCESS_TOKEN_TTL: '10', KEY_SIGN_FOR: '20' }), { keySignFor: 20 });
});

test('another value is refused with what was given, why, and what is allowed', async (t) => {
  const spaces = ' (spaces around it or control characters in it)';
  const normal = (text: string) => ` (its normal form would be "${text}")`;
  const refused: [keyof Config, string, string?][] = [
    ['issuer', 'id.example ftp://id.example https://', ' (not an absolute http or https URL)'],
    [
      'issuer',
      'http://id.example http://0.0.0.0:3000 http://128.0.0.1 http://[::ffff:7f00:1] http://127.0.0.1.example http://notlocalhost',
      ' (http, and the host is not loopback)',
    ],
    [
      'issuer',
      'https://id.example//a https://id.example/%61 https://id.example/:tenant https://id.example/*',
      ' (an empty segment or another character in the path)',
    ],
    ['issuer', 'https://id.example. https://.example https://id..example', ' (empty label in the host name)'],
    [
      'trustProxy',
      'true 10.0.0.1,0.0.0.0/0 ::/0',
      ' (whoever believes everybody lets each client choose the address it is known by)',
    ],
    ['host', 'http://localhost localhost:3000 [::1] 256.0.0.1 -a a..b x86_64-conda-linux-gnu'],
    ['port', '65536 -1 +5 1.5 1e3 0x10 0080 1_000 ٣ Infinity'],
    ['logLevel', 'INFO verbose'],
    ['brandColor', 'red #12 1234 #12345g ##123456 #0f6b5cff rgb(0,0,0)'],
    ['brandLogo', 'logo logo.gif https://a.example/logo logo.svg.txt', ' (it does not end in .svg or .png)'],
    ['accessTokenTtl', '9 86401 10m'],
    ['jwksMaxAge', '0'],
    ['refreshGrace', '61'],
  ];
  for (const [field, texts, why = ''] of refused) {
    for (const text of texts.split(' ')) t.same(read(field, text), { refused: `"${text}"${why}` }, `${field}: ${text}`);
  }
  const explained: [keyof Config, string, string, string?][] = [
    ['issuer', 'http://localhost.', ' (http, and the host is not loopback; empty label in the host name)'],
    ['issuer', 'https://id.example:0', ' (nobody can reach port 0)'],
    ['issuer', 'https://id.example/', normal('https://id.example')],
    ['issuer', 'https://id.example/a//', normal('https://id.example/a')],
    ['issuer', 'https://id.example/a/../b', normal('https://id.example/b')],
    ['issuer', 'https://id.example/a/%2e%2E/b', normal('https://id.example/b')],
    ['issuer', 'http://id.example/', ` (http, and the host is not loopback; ${normal('http://id.example').slice(2)}`],
    ['issuer', 'https://id.example?', normal('https://id.example')],
    ['issuer', 'https://id.example/a?b=c#d', normal('https://id.example/a')],
    ['issuer', 'https://id.example#', normal('https://id.example')],
    ['issuer', 'HTTPS://ID.example:443', normal('https://id.example')],
    ['issuer', 'https:\\\\id.example', normal('https://id.example'), '"https:\\\\\\\\id.example"'],
    ['issuer', 'https:id.example', normal('https://id.example')],
    ['issuer', 'http://127.1', normal('http://127.0.0.1')],
    ['issuer', 'http://[0:0::1]', normal('http://[::1]')],
    ['issuer', 'https://bücher.example', normal('https://xn--bcher-kva.example')],
    ['issuer', 'https://admin:hunter2@id.example', normal('https://id.example'), '"…@id.example"'],
    ['port', '9'.repeat(400), '', `"${'9'.repeat(80)}…"`],
    ['port', ' 3000', spaces],
    ['port', '3000\n', spaces, '"3000\\n"'],
    ['port', '30\u001b[31m00', spaces, '"30\\u001b[31m00"'],
    ['port', '\u202e3000\u2028', spaces, '"\\u{202e}3000\\u{2028}"'],
    ['dataDir', 'da\0ta', spaces, '"da\\u0000ta"'],
    ['dataDir', '~/data', ' (~ is not expanded here)'],
    ['brandLogo', '~/logo.svg', ' (~ is not expanded here)'],
    ['brandName', 'x'.repeat(61), ''],
    ['trustProxy', '1', ' ("1" is neither)'],
    ['trustProxy', '10.0.0.1,,10.0.0.2', ' ("" is neither)'],
    ['trustProxy', '10.0.0.0/33', ' ("10.0.0.0/33" is neither)'],
    ['trustProxy', '10.0.0.0/8/8', ' ("10.0.0.0/8/8" is neither)'],
    ['trustProxy', 'fe80::1%eth0', ' ("fe80::1%eth0" is neither)'],
    ['trustProxy', 'proxy.example', ' ("proxy.example" is neither)'],
  ];
  for (const [field, text, why, shown = `"${text}"`] of explained) {
    t.same(read(field, text), { refused: shown + why }, `${field}: ${shown}`);
  }
});

test('a refused database URL is not shown, only a scheme that many use', async (t) => {
  const refused: [string, string][] = [
    ['mysql://root:hunter2@db/shop', 'its scheme is mysql:'],
    ['FILE:./dev.db', 'its scheme is file:'],
    ['prisma+postgres://accelerate?api_key=hunter2', 'its scheme is prisma+postgres:'],
    ['jdbc:postgresql://db/shop', 'its scheme is jdbc:'],
    ['hunter2:root@db/shop', 'it does not begin with postgresql://'],
    ['postgres:shop', 'it does not begin with postgresql://'],
    ['postgres', 'it does not begin with postgresql://'],
    ['postgres://', 'it names no database'],
    ['postgres://root:hunter2@db:5432', 'it names no database'],
    ['postgres://root:hunter2@db:5432/?schema=x', 'it names no database'],
    ['postgres://root:hunter2@db:port/shop', 'it is not a valid URL'],
    ['postgres://root:hunter#2@db/shop', 'it is not a valid URL'],
    ['postgres://root:2/hunter@db/shop', 'it has a character that must be percent-encoded'],
    ['postgres://root:hunter%2@db/shop', 'it has a character that must be percent-encoded'],
    ['postgres://root:hunter2@db/shop%00', 'it has a character that must be percent-encoded'],
    ['postgres://root:hunter2@db/shop ', 'spaces around it or control characters in it'],
  ];
  for (const [text, why] of refused) {
    t.same(read('databaseUrl', text), { refused: `a value that is not shown (${why})` }, text);
  }
});

test('all mistakes are told at once, and what depends on two settings only once each is right', async (t) => {
  const several = mistakesIn({ PORT: 'x', ISSUER: 'y', JWKS_MAX_AGE: '0', KEY_SIGN_FOR: '11', LOGLEVEL: 'info' });
  t.same(
    several.map((mistake) => mistake.split(/[: ]/)[0]),
    ['ISSUER', 'PORT', 'JWKS_MAX_AGE', 'LOGLEVEL'],
  );
  t.same(mistakesIn({ PORT: '0', JWKS_MAX_AGE: '5', ACCESS_TOKEN_TTL: '10', KEY_SIGN_FOR: '19' }).slice(1), [
    'KEY_SIGN_FOR: given "19"; allowed: at least 2 × JWKS_MAX_AGE + ACCESS_TOKEN_TTL, which is 20 seconds',
  ]);
});

test('the environment wins over .env, even where it is empty', async (t) => {
  const dotenv =
    '\uFEFFPORT=4000 # ours\r\n\r\n# a comment\r\nexport LOG_LEVEL="debug"\r\nDATABASE_URL=postgres://u@h/d\r\n';
  t.match(configOf({}, dotenv), { port: 4000, logLevel: 'debug', databaseUrl: 'postgres://u@h/d' });
  t.match(configOf({ PORT: '5000' }, dotenv), { port: 5000, logLevel: 'debug' });
  t.equal(configOf({ DATABASE_URL: '' }, dotenv).databaseUrl, undefined);
  t.equal(configOf({ DATABASE_URL: undefined }, dotenv).databaseUrl, 'postgres://u@h/d');
  t.match(configOf({}, 'POSTGRES_PASSWORD=x\nPEM="-----\nMII=\n-----"\n__proto__=x\nPORT=1'), { port: 1 });
});

test('a line of .env that would be skipped is a mistake, and not shown', async (t) => {
  const line = (number: number) => `.env: line ${number} is neither NAME=value nor a comment (beginning with #)`;
  t.same(mistakesIn({}, 'A="1\n2"\nPORT 4000\nHOST=localhost'), [line(3)]);
  t.same(mistakesIn({}, 'postgres://root:hunter2@db/shop?sslmode=require\n\nPORT: 3000'), [line(1), line(3)]);
  const comment = '.env: line 2 has a value that begins with #, which needs quotes: unquoted it is a comment';
  t.same(mistakesIn({}, 'A=""#b\nSECRET=#hunter2\nBRAND_COLOR="#0f6b5c"#b\nPORT= #b\n#A=#b\nB="\n#b"#b'), [comment]);
});

test('a misspelt setting is a mistake while the setting itself is not set', async (t) => {
  const meant = { ACCESS_TOKEN_TLL: 'ACCESS_TOKEN_TTL', JWKSMAXAGE: 'JWKS_MAX_AGE', DATABASE_URI: 'DATABASE_URL' };
  const cases = { port: 'PORT', Issuer: 'ISSUER', data_dir: 'DATA_DIR', 'log\nlevel': 'LOG_LEVEL' };
  for (const [name, setting] of Object.entries({ ...meant, ...cases })) {
    const shown = name.replace('\n', '\\n');
    const mistake = `${shown} is not a setting; did you mean ${setting}? (If ${shown} is for something else, set ${setting} too.)`;
    t.same(mistakesIn({ [name]: 'hunter2' }), [mistake]);
    t.same(mistakesIn({ [name]: '' }), []);
  }
  t.match(mistakesIn({}, 'ACCESS_TOKEN_TLL=60'), [/^ACCESS_TOKEN_TLL is not a setting/]);
  t.equal(configOf({ ACCESS_TOKEN_TLL: '5', ACCESS_TOKEN_TTL: '60' }).accessTokenTtl, 60);
  t.equal(configOf({ port: '5' }, 'PORT=60').port, 60);
});

test('no setting begins with KEYTURN_', async (t) => {
  t.same(mistakesIn({ KEYTURN_PORT: '3000' }), ['KEYTURN_PORT is not a setting; did you mean PORT?']);
  t.same(mistakesIn({ keyturn_isuer: 'x', PORT: '1' }), ['keyturn_isuer is not a setting; did you mean ISSUER?']);
  t.same(mistakesIn({ KEYTURN_COLOUR: 'x' }), ['KEYTURN_COLOUR is not a setting; settings have no such prefix']);
  t.same(mistakesIn({ PORT: '1' }, 'KEYTURN_PORT=1'), ['KEYTURN_PORT is not a setting; did you mean PORT?']);
});

/** Names seen on workstations, in CI jobs, containers and platforms. */
const ordinary = `_ BASH_ENV CLICOLOR COLORTERM COLUMNS CONDA_PREFIX CXX DBUS_SESSION_BUS_ADDRESS DEBUG DISPLAY DOCKER_HOST
  EDITOR FORCE_COLOR FTP_PROXY GITHUB_ACTIONS GITHUB_REF_NAME GITHUB_TOKEN GOPATH HISTFILE HOME HOSTNAME HOSTTYPE HTTPS_PROXY
  HTTP_PROXY http_proxy https_proxy no_proxy INIT_CWD INVOCATION_ID JAVA_HOME JOURNAL_STREAM KUBECONFIG KUBERNETES_PORT
  KUBERNETES_PORT_443_TCP_ADDR KUBERNETES_SERVICE_HOST KUBERNETES_SERVICE_PORT_HTTPS LANG LANGUAGE LC_ALL LD_LIBRARY_PATH LESS
  LINES LISTEN_FDS LOGNAME LOG_DIR LS_COLORS MACHTYPE MAIL MAKEFLAGS MANPATH MYSQL_HOST NODE NODE_ENV NODE_EXTRA_CA_CERTS NODE_OPTIONS
  NODE_PATH NODE_VERSION NO_COLOR NO_PROXY NVM_BIN NVM_DIR OLDPWD OSTYPE PAGER PATH PGDATA PGDATABASE PGHOST PGPASSWORD PGPORT
  PGUSER POSTGRES_DB POSTGRES_PASSWORD PS1 PWD PYTHONPATH RAILWAY_PUBLIC_DOMAIN RENDER_EXTERNAL_URL RUNNER_OS RUST_LOG
  SHELL SHLVL SSH_AUTH_SOCK SSH_CONNECTION SSL_CERT_FILE SUDO_USER SYSTEMD_LOG_LEVEL TERM TERM_PROGRAM TMPDIR TZ USER
  UV_THREADPOOL_SIZE VIRTUAL_ENV VSCODE_PID WAYLAND_DISPLAY WSLENV XAUTHORITY XDG_CACHE_HOME XDG_DATA_DIRS XDG_RUNTIME_DIR
  YARN_VERSION ZDOTDIR npm_command npm_config_cache npm_config_loglevel npm_config_user_agent npm_execpath npm_lifecycle_event
  npm_package_json npm_package_name CI BUILD_ID PROJECT_DIR REDIS_URL SENTRY_DSN DATABASE_HOST DATABASE_PASSWORD BASE_URL
  KEYTURN_SERVICE_HOST KEYTURN_SERVICE_PORT KEYTURN_SERVICE_PORT_HTTP KEYTURN_PORT_3000_TCP KEYTURN_PORT_3000_TCP_PROTO
  KEYTURN_PORT_3000_TCP_PORT KEYTURN_PORT_3000_TCP_ADDR KEYTURN_ADMIN_SERVICE_HOST KEYTURN_ADMIN_PORT_9000_UDP`;

test('ordinary variables raise nothing, nor do those Kubernetes sets for a service called keyturn', async (t) => {
  const environment = Object.fromEntries(ordinary.split(/\s+/).map((name) => [name, 'true']));
  const services = { KEYTURN_PORT: 'tcp://10.0.0.1:3000', KEYTURN_ADMIN_PORT: 'udp://10.0.0.1:9000' };
  t.same(configOf({ ...environment, ...services }), defaults);
});

test('.env.example has every setting with its default, commented out, and is valid when it is not', async (t) => {
  const example = readFileSync(new URL('../../.env.example', import.meta.url), 'utf8');
  const lines = [...example.matchAll(/^# ([A-Z_]+=.*)$/gm)].map((line) => line[1]);
  t.same(
    lines,
    Object.values<Setting<unknown>>(settings).map((setting) => `${setting.name}=${setting.default}`),
  );
  t.same(configOf({}, example), defaults);
  t.same(configOf({}, lines.join('\n')), defaults);
});
