import fc from 'fast-check';
import { test } from 'tap';
import { type Example, examples } from '../scripts/screenshots/examples.ts';
import { createPages, type Page, type Pages, type SignInView } from '../src/login/pages/index.ts';
import { hostilePages } from './support/hostile-pages.ts';
import { type Element, elementsOf } from './support/markup.ts';

const brand = { name: 'Keyturn', color: '#0f6b5c' } as const;
const pages = createPages({ brand, issuer: 'https://id.example' });
const names = Object.keys(examples) as Example[];
const shown = new Map(names.map((name) => [name, elementsOf(examples[name](pages).html)]));

function signIn(view: Partial<SignInView> = {}): Element[] {
  return elementsOf(pages.signIn({ action: '/sign-in', csrf: 'c', interaction: 'i', email: '', ...view }).html);
}

function inputs(elements: readonly Element[], type: string): Readonly<Record<string, string>>[] {
  return elements.flatMap(({ name, attributes }) => (name === 'input' && attributes.type === type ? [attributes] : []));
}

function buttons(elements: readonly Element[]): [text: string, name: string, value: string][] {
  return elements
    .filter(({ name }) => name === 'button')
    .map(({ text, attributes: { name = '', value = '' } }) => [text, name, value]);
}

/** What of a page must not depend on any text: its tags, and the attributes that mean something by themselves. */
function structure({ html }: Page): unknown[] {
  return elementsOf(html).map(({ name, attributes }) => [
    name,
    Object.keys(attributes),
    attributes.type,
    attributes.id,
  ]);
}

const pieces = fc.constantFrom(
  ...['"', "'", '`', '<', '>', '&', '&quot;', '&#34;', '</title>', '<script>alert(1)</script>', '<!--', '-->'],
  ...[
    '" onfocus="alert(1)',
    "'><img src=x onerror=alert(1)>",
    'javascript:alert(1)',
    '</textarea>',
    '<![CDATA[',
    '=',
    '/',
  ],
  ...['\0', '\n', '\r', '\u2028', '\u202E', '\u2066', '\uD83D', '👩‍👩‍👧‍👦', 'é', 'ע', ' ', 'x'.repeat(300)],
);
const hostile = fc
  .array(fc.oneof(pieces, fc.string({ unit: 'binary' })), { maxLength: 12 })
  .map((list) => `x${list.join('')}`);

test('no text from outside changes what a page is made of', async (t) => {
  const harmless = hostilePages('x').map(structure);
  const { counterexample } = fc.check(
    fc.property(hostile, (text) => {
      return hostilePages(text).every(
        (page, index) => JSON.stringify(structure(page)) === JSON.stringify(harmless[index]),
      );
    }),
  );
  t.equal(counterexample, null);
});

test('what was typed comes back as it was, but for control characters', async (t) => {
  const email = `"><script>alert('1')</script>&amp;\u202E@example.com`;
  t.equal(inputs(signIn({ email }), 'email')[0]?.value, email);
  t.equal(inputs(signIn({ email: 'a\0b\r@example.com' }), 'email')[0]?.value, 'a\uFFFDb\uFFFD@example.com');
});

test('sign-in is one form with one email and one password input, as password managers expect', async (t) => {
  const elements = signIn({ email: 'ada@example.com' });
  t.equal(elements.filter(({ name }) => name === 'form').length, 1);
  t.match(inputs(elements, 'email'), [{ name: 'email', autocomplete: 'username', value: 'ada@example.com' }]);
  t.match(inputs(elements, 'password'), [{ name: 'password', autocomplete: 'current-password' }]);
  t.equal(inputs(elements, 'email').length + inputs(elements, 'password').length, 2);
  t.same(
    inputs(elements, 'hidden').map(({ name, value }) => [name, value]),
    [
      ['csrf', 'c'],
      ['interaction', 'i'],
    ],
  );
  t.same(buttons(elements), [['Sign in', '', '']]);
  t.notOk('value' in (inputs(signIn({ email: 'ada@example.com', problem: 'wrong' }), 'password')[0] ?? {}));
});

test('the cursor stands in the first field that is to be filled in', async (t) => {
  t.same(
    [inputs(signIn(), 'email'), inputs(signIn(), 'password')].map(([input]) => 'autofocus' in (input ?? {})),
    [true, false],
  );
  const known = signIn({ email: 'ada@example.com' });
  t.same(
    [inputs(known, 'email'), inputs(known, 'password')].map(([input]) => 'autofocus' in (input ?? {})),
    [false, true],
  );
});

test('a problem at sign-in is an alert, in the title, and described at both fields', async (t) => {
  for (const problem of ['wrong', 'busy', 'tooMany', 'expired'] as const) {
    const elements = signIn({ email: 'ada@example.com', problem });
    const alerts = elements.filter(({ attributes }) => attributes.role === 'alert');
    t.match(alerts, [{ attributes: { id: 'problem' } }], problem);
    t.match(elements.find(({ name }) => name === 'title')?.text, /^Problem: Sign in – Keyturn$/);
    for (const type of ['email', 'password']) t.equal(inputs(elements, type)[0]?.['aria-describedby'], 'problem');
    t.equal(inputs(elements, 'password')[0]?.['aria-invalid'], problem === 'wrong' ? 'true' : undefined);
  }
});

test('consent can be allowed, denied, or left to another account', async (t) => {
  t.same(buttons(shown.get('consent') ?? []), [
    ['Use another account', 'decision', 'switch'],
    ['Allow', 'decision', 'allow'],
    ['Deny', 'decision', 'deny'],
  ]);
});

test('signing out is asked first, and may be left', async (t) => {
  t.same(buttons(shown.get('sign-out') ?? []), [
    ['Sign out', 'decision', 'sign-out'],
    ['Stay signed in', 'decision', 'stay'],
  ]);
});

test('a person ends other sessions and withdraws consents, each by a form of its own', async (t) => {
  const account = shown.get('account') ?? [];
  t.same(
    buttons(account).map(([, name, value]) => [name, value]),
    ['end-session', 'end-session', 'withdraw-consent', 'change-password'].map((act) => ['act', act]),
  );
  const hidden = inputs(account, 'hidden').filter(({ name }) => name !== 'csrf' && name !== 'interaction');
  t.same(
    hidden.map(({ name, value }) => [name, value]),
    [
      ['session', 's2'],
      ['session', 's3'],
      ['client', 'client_orders'],
    ],
  );
  t.same(
    inputs(account, 'password').map(({ name, autocomplete }) => [name, autocomplete]),
    [
      ['current_password', 'current-password'],
      ['new_password', 'new-password'],
      ['repeated_password', 'new-password'],
    ],
  );
});

test('every form posts, and carries the CSRF value', async (t) => {
  for (const [name, elements] of shown) {
    const forms = elements.filter((element) => element.name === 'form');
    t.ok(
      forms.every(({ attributes }) => attributes.method === 'post'),
      name,
    );
    t.equal(inputs(elements, 'hidden').filter((input) => input.name === 'csrf').length, forms.length, name);
  }
});

test('every page has a language, a title, one heading, a label for each field, and nothing that runs', async (t) => {
  for (const [page, elements] of shown) {
    const named = (name: string): Element[] => elements.filter((element) => element.name === name);
    t.match(named('html'), [{ attributes: { lang: 'en' } }], page);
    t.match(named('title')[0]?.text, / – Keyturn$/, page);
    t.equal(named('h1').length, 1, page);
    t.same(
      elements.filter(({ name }) => /^(?:script|style|iframe|object|base)$/.test(name)),
      [],
      page,
    );
    const attributes = elements.flatMap((element) => Object.keys(element.attributes));
    t.same(
      attributes.filter((name) => name === 'style' || name.startsWith('on')),
      [],
      page,
    );
    const labelled = named('label').map((label) => label.attributes.for);
    const fields = named('input').filter(
      ({ attributes: { type, tabindex } }) => type !== 'hidden' && tabindex !== '-1',
    );
    t.same(
      fields.map((field) => field.attributes.id),
      labelled,
      page,
    );
    const ids = elements.flatMap(({ attributes: { id } }) => id ?? []);
    t.equal(new Set(ids).size, ids.length, page);
    const external = elements.flatMap(({ name, attributes: { src, href } }) =>
      name === 'a' ? [] : (src ?? href ?? []),
    );
    t.ok(
      external.every((path) => /^\/assets\/[\w-]{16}\.(?:css|svg)$/.test(path)),
      page,
    );
  }
});

test('a link that leads to a client is never a script', async (t) => {
  function linked(href: string): boolean {
    const page = pages.signedOut({ told: [], continueTo: { href, clientName: 'Orders' } });
    return elementsOf(page.html).some(({ name, attributes }) => name === 'a' && attributes.href === href);
  }
  for (const href of ['https://app.example/?a="b"&c', 'http://127.0.0.1:5000/', 'com.example.app:/done'])
    t.ok(linked(href));
  for (const href of [
    'javascript:alert(1)',
    ' JavaScript:alert(1)',
    'data:text/html,x',
    'vbscript:x',
    'file:///etc',
    '//x',
    '',
  ])
    t.notOk(linked(href), href);
});

test('headers let nothing in, and only what leads to a client leads anywhere', async (t) => {
  const policy = "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; frame-ancestors 'none'";
  const staying: Example[] = ['signed-out', 'error', 'account'];
  for (const name of names) {
    const { headers } = examples[name](pages);
    const expected = staying.includes(name) ? `${policy}; form-action 'self'` : policy;
    t.equal(headers['content-security-policy'], expected, name);
    t.match(headers, {
      'cache-control': 'no-store',
      'x-frame-options': 'DENY',
      'content-type': 'text/html; charset=utf-8',
    });
    t.equal(headers['referrer-policy'], 'same-origin', 'with no-referrer the Origin of our own posts is null');
  }
});

test('what pages refer to is there, below the path of the issuer, and may be kept for ever', async (t) => {
  const png = Buffer.from('\x89PNG\r\n\x1A\n', 'latin1');
  const below: Pages = createPages({
    brand: { ...brand, logo: { contentType: 'image/png', body: png } },
    issuer: 'https://id.example/realms/a',
  });
  const { html } = below.error({ title: 'a', says: 'b' });
  const paths = below.assets.map(({ path }) => `/realms/a${path}`);
  const references = elementsOf(html).flatMap(({ name, attributes: { src, href } }) =>
    name === 'a' ? [] : (src ?? href ?? []),
  );
  t.same([...references].sort(), paths.sort());
  t.same(below.assets.at(-1)?.body, png);
  for (const { headers } of below.assets) {
    t.match(headers, {
      'cache-control': /immutable/,
      'x-content-type-options': 'nosniff',
      'content-security-policy': /sandbox/,
    });
  }
});
