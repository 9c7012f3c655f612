import fc from 'fast-check';
import { test } from 'tap';
import { readLogo } from '../src/login/pages/brand.ts';
import { type Color, contrast, textOn } from '../src/login/pages/color.ts';
import { attributes, type Content, html } from '../src/login/pages/html.ts';
import { initialOf, monogram } from '../src/login/pages/icons.ts';
import { palettesOf, stylesheetOf } from '../src/login/pages/stylesheet.ts';
import {
  ago,
  browserInWords,
  isLinkable,
  plainName,
  scopeInWords,
  whereClientLives,
} from '../src/login/pages/words.ts';

test('values in a template are escaped, and HTML of our own is not', async (t) => {
  const inner = html`<b>${'<i>'}</b>`;
  t.equal(
    String(html`<p title="${'"\'&<>'}">${inner}</p>`),
    '<p title="&quot;&#39;&amp;&lt;&gt;"><b>&lt;i&gt;</b></p>',
  );
  t.equal(String(html`<p>${[inner, 'a&b', [0, undefined]]}</p>`), '<p><b>&lt;i&gt;</b>a&amp;b0</p>');
  t.equal(String(html`<p${attributes({ a: '"', b: true, c: false, d: undefined })}></p>`), '<p a="&quot;" b></p>');
  t.equal(String(html`<p>${'a\0b\u0085c\nd'}</p>`), '<p>a\uFFFDb\uFFFDc\nd</p>');
});

test('a template in which escaping would not protect is refused', async (t) => {
  const value = 'x';
  t.throws(() => html`<p title=${value}></p>`, TypeError);
  t.throws(() => html`<p title='${value}'></p>`, TypeError);
  t.throws(() => html`<p ${value}></p>`, TypeError);
  t.throws(() => html`<script>${value}</script>`, TypeError);
  t.throws(() => html`<style>${value}</style>`, TypeError);
  t.throws(() => html`<!-- ${value} -->`, TypeError);
  t.throws(() => html`<p title="${value}`, TypeError);
  t.throws(() => html`<p title="${html`<b></b>`}"></p>`, TypeError);
  t.throws(() => html`<p ${html`<b></b>`}></p>`, TypeError);
  t.throws(() => html`<p>${attributes({ a: 'b' })}</p>`, TypeError);
  t.throws(() => attributes({ 'onclick="x"': 'y' }), TypeError);
});

test('what only looks like our HTML is refused', async (t) => {
  const forged: unknown = JSON.parse('{"text":"<script>","toString":"<script>"}');
  t.throws(() => html`<p>${forged as Content}</p>`, TypeError);
  t.throws(() => html`<p>${new String('<b>') as unknown as Content}</p>`, TypeError);
});

const brands: Color[] = [
  '#000000',
  '#ffffff',
  '#ffff00',
  '#00ff00',
  '#0000ff',
  '#ff0000',
  '#777777',
  '#0f6b5c',
  '#ff6600',
];
const anyColor = fc.integer({ min: 0, max: 0xffffff }).map((value): Color => `#${value.toString(16).padStart(6, '0')}`);

/** What is read on what; AA asks 4.5. */
const texts = ['text card', 'text page', 'quiet card', 'quiet page', 'link card', 'link page', 'link glow', 'bad card']
  .concat(['bad bad-card', 'good card', 'good good-card', 'on-brand brand', 'on-brand brand-hover'])
  .map((pair) => pair.split(' '));

/** What a control is seen by; AA asks 3. */
const shapes = ['edge card', 'brand-edge card', 'bad card', 'link card'].map((pair) => pair.split(' '));

function tooFaint(brand: Color): string[] {
  return Object.entries(palettesOf(brand)).flatMap(([scheme, palette]) => {
    function below(least: number, pairs: readonly string[][]): string[] {
      const faint = pairs.filter(([a = '', b = '']) => !(contrast(palette[a] as Color, palette[b] as Color) >= least));
      return faint.map((pair) => `${brand} ${scheme} ${pair.join(' on ')}`);
    }
    return [...below(4.5, texts), ...below(3, shapes)];
  });
}

test('whatever the brand, all is read and seen in both schemes', async (t) => {
  t.same(brands.flatMap(tooFaint), []);
  const { counterexample } = fc.check(fc.property(anyColor, (brand) => tooFaint(brand).length === 0));
  t.equal(counterexample, null);
});

test('contrast is what WCAG says', async (t) => {
  t.equal(contrast('#000000', '#ffffff'), 21);
  t.equal(contrast('#777777', '#ffffff').toFixed(2), '4.48');
  t.equal(contrast('#abcdef', '#abcdef'), 1);
  t.equal(textOn('#0f6b5c'), '#ffffff');
  t.equal(textOn('#ffff00'), '#000000');
});

test('the stylesheet is small, and takes nothing from elsewhere', async (t) => {
  const text = stylesheetOf('#0f6b5c');
  t.ok(Buffer.byteLength(text) < 12_000, `${Buffer.byteLength(text)} bytes`);
  t.notMatch(text, /@import|url\(|expression|https?:/);
  t.match(text, /prefers-color-scheme: dark/);
  t.match(text, /prefers-reduced-motion/);
  t.equal(text.split('{').length, text.split('}').length);
});

test('a brand without a logo has its initial', async (t) => {
  t.equal(initialOf('keyturn'), 'K');
  t.equal(initialOf('  „élan"'), 'É');
  t.equal(initialOf('👩‍👩‍👧 7 up'), '7');
  t.equal(initialOf('…'), '•');
  t.match(monogram('<b>', '#ffffff'), /fill="#000000">B</);
});

test('a logo is SVG or PNG, told by its bytes', async (t) => {
  const svg = (text: string): unknown => readLogo(Buffer.from(text));
  t.match(svg('<svg xmlns="http://www.w3.org/2000/svg"/>'), { contentType: 'image/svg+xml' });
  t.match(svg('\uFEFF<?xml version="1.0"?>\n<!-- by hand -->\n<svg>'), { contentType: 'image/svg+xml' });
  t.match(readLogo(Buffer.from('\x89PNG\r\n\x1A\nrest', 'latin1')), { contentType: 'image/png' });
  for (const text of ['', 'svg', '<html>', 'GIF89a', '<svgx>']) t.equal(svg(text), 'it is neither SVG nor PNG');
  t.equal(readLogo(Buffer.alloc(200_001)), 'it is larger than 200 kB');
});

test('a name is cut short, on one line, and turns no other text around', async (t) => {
  t.equal(plainName(' Orders\n\u202Eof  Ada\u2066 '), 'Orders of Ada');
  t.equal(plainName('x'.repeat(1000)), `${'x'.repeat(80)}…`);
  t.equal(plainName('👩‍👩‍👧‍👦'.repeat(100)), `${'👩‍👩‍👧‍👦'.repeat(80)}…`);
  t.equal(plainName('y'.repeat(80)), 'y'.repeat(80));
});

test('times are told by how long ago they were, and exactly', async (t) => {
  const now = Date.UTC(2026, 10, 21, 20, 0) / 1000;
  const words = (seconds: number): string => / title="(.*)">(.*)</.exec(String(ago(now - seconds, now)))?.[2] ?? '';
  const cases = {
    '-5': 'just now',
    119: 'just now',
    120: '2 minutes ago',
    7199: '119 minutes ago',
    7200: '2 hours ago',
  };
  for (const [seconds, text] of Object.entries(cases)) t.equal(words(Number(seconds)), text);
  t.equal(words(172_800), '2 days ago');
  t.equal(words(2_592_000), 'on 22 October 2026');
  t.match(String(ago(now, now)), /datetime="2026-11-21T20:00:00.000Z" title="21 Nov 2026, 20:00 UTC"/);
});

test('browsers are named as people name them', async (t) => {
  const mozilla = 'Mozilla/5.0';
  const webkit = 'AppleWebKit/537.36 (KHTML, like Gecko)';
  const cases: [string | null, string][] = [
    [`${mozilla} (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0`, 'Firefox on Linux'],
    [`${mozilla} (Windows NT 10.0; Win64; x64) ${webkit} Chrome/140.0 Safari/537.36 Edg/140.0`, 'Edge on Windows'],
    [`${mozilla} (Macintosh; Intel Mac OS X 10_15_7) ${webkit} Chrome/140.0 Safari/537.36`, 'Chrome on macOS'],
    [`${mozilla} (iPhone; CPU iPhone OS 19_0 like Mac OS X) ${webkit} Version/19.0 Safari/604.1`, 'Safari on iPhone'],
    [`${mozilla} (iPhone; CPU iPhone OS 19_0 like Mac OS X) ${webkit} CriOS/140.0 Safari/604.1`, 'Chrome on iPhone'],
    [
      `${mozilla} (Linux; Android 16) ${webkit} SamsungBrowser/29.0 Chrome/136.0 Mobile Safari/537.36`,
      'Samsung Internet on Android',
    ],
    ['curl/8.5.0', 'Another browser'],
    ['something for Linux', 'A browser on Linux'],
    ['', 'Another browser'],
    [null, 'Another browser'],
  ];
  for (const [userAgent, words] of cases) t.equal(browserInWords(userAgent), words);
});

test('scopes are told in words where there are some', async (t) => {
  t.equal(String(scopeInWords({ token: 'openid', description: 'not ours to change' })), '<bdi>Know who you are</bdi>');
  t.equal(String(scopeInWords({ token: 'a:b', description: 'See <all>' })), '<bdi>See &lt;all&gt;</bdi>');
  for (const description of ['', ' ']) t.equal(String(scopeInWords({ token: 'a:b', description })), '<code>a:b</code>');
  t.equal(String(scopeInWords({ token: 'toString' })), '<code>toString</code>');
});

test('where a client lives is a host, or this device', async (t) => {
  t.equal(String(whereClientLives('https://app.example:8443/callback')), '<strong>app.example:8443</strong>');
  for (const uri of [
    'com.example.app:/cb',
    'http://127.0.0.1:51004/cb',
    'http://[::1]:5/cb',
    'http://localhost:3000/',
  ]) {
    t.equal(String(whereClientLives(uri)), 'an app on this device');
  }
});

test('only addresses that cannot run are linked to', async (t) => {
  for (const address of ['https://a.example', 'http://localhost', 'com.example.app:/x', 'org.a+b:x'])
    t.ok(isLinkable(address));
  for (const address of ['javascript:x', 'data:x', 'blob:https://a', 'app:x', '/x', 'x', ''])
    t.notOk(isLinkable(address), address);
});
