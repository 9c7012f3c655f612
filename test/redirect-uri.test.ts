import tap, { test } from 'tap';
import {
  isRegistered,
  isRegistrableRedirectUri,
  isRegistrableWebUri,
  withParameters,
} from '../src/protocol/redirect-uri.ts';
import { createTestClock } from './support/clock.ts';
import { get, startIssuer } from './support/issuer.ts';
import { authorizePath, newVerifier, redirectUri, registerApp } from './support/people.ts';

/** What no client may register, by what is wrong with it. */
const unregistrable: Record<string, readonly string[]> = {
  'not a URI at all': ['', ' ', 'callback', '/callback', '//app.example/callback', 'https://', 'https:', '?x=1', '%'],
  'a scheme that a browser acts on by itself': [
    'javascript:alert(1)',
    'JavaScript:alert(1)',
    'java%73cript:alert(1)',
    'javascript://app.example/%0aalert(1)',
    'data:text/html,<script>alert(1)</script>',
    'data:text/html;base64,PHNjcmlwdD4',
    'vbscript:msgbox(1)',
    'blob:https://app.example/1',
    'file:///etc/passwd',
    'about:blank',
    'view-source:https://app.example/',
    'filesystem:https://app.example/x',
  ],
  'a private-use scheme without a domain in it (RFC 8252 §7.1)': [
    'myapp:/callback',
    'app://callback',
    'urn:ietf:wg:oauth:2.0:oob',
    'mailto:ada@example.org',
    'com.example.:/callback',
    '.example:/callback',
    'Com.Example.App:/callback',
    'com_example.app:/callback',
  ],
  'http on another machine': [
    'http://app.example/callback',
    'http://localhost.evil/callback',
    'http://127.0.0.1.evil/callback',
    'http://[::1].evil/callback',
    'http://localhost.',
    'http://127.0.0.2/callback',
    'http://127.1/callback',
    'http://2130706433/callback',
    'http://0x7f000001/callback',
    'http://0.0.0.0/callback',
    'http://[::ffff:127.0.0.1]/callback',
    'http://[0:0:0:0:0:0:0:1]/callback',
    'http://[::1%25lo]/callback',
    'http://localhost%2eevil/callback',
    'http://sub.localhost/callback',
  ],
  'user information': [
    'https://app.example@evil.example/callback',
    'https://app.example:pass@evil.example/',
    'https://@evil.example/callback',
    'https://:@evil.example/callback',
    'http://localhost@evil.example/callback',
    'http://127.0.0.1:80@evil.example/',
    'com.example.app://ada@host/callback',
  ],
  'backslashes and other signs that browsers read their own way': [
    'https:\\\\evil.example/callback',
    'https://evil.example\\@app.example/callback',
    'https://app.example\\.evil.example/',
    'https:/\\evil.example',
    'https://app.example/call\\back',
    'https:evil.example/callback',
    'https:/evil.example/callback',
    'https:///evil.example/callback',
    'https://app.example/<script>',
    'https://app.example/"onload="alert(1)',
    'https://app.example/`x`',
    'https://app.example/{id}',
    'https://app.example/a|b',
    'https://app.example/a^b',
  ],
  'dot segments, plain and encoded': [
    'https://app.example/../callback',
    'https://app.example/./callback',
    'https://app.example/a/..',
    'https://app.example/a/..?x',
    'https://app.example/%2e%2e/callback',
    'https://app.example/%2E./callback',
    'https://app.example/a%2f..%2fcallback',
    'https://app.example/a%5c..%5ccallback',
    'com.example.app:a/../b',
  ],
  'spaces and controls, plain and encoded': [
    ' https://app.example/callback',
    'https://app.example/callback ',
    'https://app.example/call back',
    'https://app.example/call\tback',
    'https://app.example/callback\n',
    'https://app.example/callback\r\nLocation: https://evil.example',
    'https://app.example/callback%0d%0aLocation:x',
    'https://app.example/callback%00',
    'https://app.example\u0000.evil.example/',
    '\u0001javascript:alert(1)',
  ],
  'letters beyond ASCII': [
    'https://аpp.example/callback',
    'https://ａpp.example/callback',
    'https://app。example/callback',
    'https://app.example/cállback',
    'https://app.example\u2044@evil.example/',
    'https://app\u00ad.example/callback',
    'https://xn--iñvalid/callback',
  ],
  'a second spelling of another one': [
    'HTTPS://app.example/callback',
    'https://APP.example/callback',
    'https://app.example:443/callback',
    'http://localhost:80/callback',
    'https://app.example:/callback',
    'https://%61pp.example/callback',
    'https://app.example./callback',
    'https://app.example:00443/callback',
    'https://10.1/callback',
  ],
  'a wildcard': ['https://*.app.example/callback', 'https://app.example/*', 'https://app.example/callback?next=*', '*'],
  'a fragment': ['https://app.example/callback#', 'https://app.example/#/callback', 'com.example.app:/cb#x'],
  'a port that is none': ['https://app.example:65536/', 'https://app.example:-1/', 'https://app.example:80x/'],
  'more than two thousand characters': [`https://app.example/${'a'.repeat(2_000)}`],
};

const registrable = [
  redirectUri,
  'https://app.example',
  'https://app.example/',
  'https://app.example:8443/callback?tenant=1&next=%2Fhome',
  'https://xn--mnchen-3ya.example/callback',
  'https://[2001:db8::1]/callback',
  'http://localhost/callback',
  'http://localhost:8080/callback',
  'http://127.0.0.1/callback',
  'http://[::1]:3000/callback',
  'com.example.app:/callback',
  'com.example.app://callback',
  'com.example.app-beta:/oauth2redirect/x',
];

test('what a client may register: https, this machine, or a scheme that is a domain turned round', async (t) => {
  for (const uri of registrable) t.ok(isRegistrableRedirectUri(uri), uri);
  const web = registrable.filter((uri) => isRegistrableWebUri(uri));
  t.same(web, registrable.slice(0, -3), 'of these, what is told of a sign-out lives on the web');
});

test('nobody registers what a browser, a server or a person could take for another one', async (t) => {
  for (const [why, uris] of Object.entries(unregistrable)) {
    for (const uri of uris) t.notOk(isRegistrableRedirectUri(uri), `${why}: ${JSON.stringify(uri.slice(0, 80))}`);
  }
});

/** Neighbours of `https://app.example/callback`, as an attacker would ask for them. */
const neighbours = [
  'https://app.example/callback/',
  'https://app.example/Callback',
  'https://app.example/callback?',
  'https://app.example/callback?x=1',
  'https://app.example/callback#',
  'https://app.example/callback/../evil',
  'https://app.example/callback/%2e%2e/evil',
  'https://app.example/callback%2f..%2fevil',
  'https://app.example/callback;evil',
  'https://app.example/callbackevil',
  'https://app.example/callbac%6b',
  'https://app.example//callback',
  'https://app.example:443/callback',
  'https://app.example:8443/callback',
  'https://app.example./callback',
  'https://APP.example/callback',
  'HTTPS://app.example/callback',
  'http://app.example/callback',
  'https://app.example',
  'https://app.example/',
  'https://evil.example/callback',
  'https://app.example.evil.example/callback',
  'https://evilapp.example/callback',
  'https://sub.app.example/callback',
  'https://app.example@evil.example/callback',
  'https://evil.example/?https://app.example/callback',
  'https://evil.example/#https://app.example/callback',
  'https://evil.example\\@app.example/callback',
  'https://app.example\\callback',
  'https:app.example/callback',
  '//app.example/callback',
  '/callback',
  'callback',
  'https://аpp.example/callback',
  'https://app。example/callback',
  ' https://app.example/callback',
  'https://app.example/callback ',
  'javascript:alert(1)//https://app.example/callback',
  'data:text/html,<script>alert(1)</script>',
  'vbscript:msgbox(1)',
  '"><script>alert(1)</script>',
  "'onmouseover='alert(1)",
  '*',
  'null',
  'https://app.example/callback,https://evil.example/',
  'https://app.example/callback https://evil.example/',
  'http://127.0.0.1:49152/callback',
  'http://localhost:49152/callback',
  'urn:ietf:wg:oauth:2.0:oob',
];

const issuer = await startIssuer(tap, { clock: createTestClock() });
const app = await registerApp(issuer);
const { challenge } = newVerifier();

test('whatever is not the registered text ends on a page, and leads nowhere', async (t) => {
  t.ok(neighbours.length >= 40);
  for (const uri of [...neighbours, ...Object.values(unregistrable).flat()].filter((text) => text !== '')) {
    t.notOk(isRegistered(uri, [redirectUri]), JSON.stringify(uri.slice(0, 80)));
    const { status, headers, text } = await get(issuer, authorizePath(app.id, challenge, { redirect_uri: uri }));
    const leads = headers.location ?? headers.refresh;
    t.same({ status, leads }, { status: 400, leads: undefined }, 'a page');
    t.match(headers['content-type'], /^text\/html/);
    t.notMatch(text, /evil|alert\(|<script|http-equiv/i, 'which repeats nothing of it');
  }
});

test('a client that there is not ends on a page too, whatever it is called', async (t) => {
  const ids = ['client_nobody', '"><img src=x onerror=alert(1)>', "' OR 1=1 --", '../..', 'x'.repeat(7_000), undefined];
  for (const id of ids) {
    const path = authorizePath('', challenge, { client_id: id });
    const { status, headers, text } = await get(issuer, path);
    t.same({ status, leads: headers.location }, { status: 400, leads: undefined });
    t.notMatch(text, /onerror|OR 1=1|xxxx/);
  }
  const { status, headers } = await get(issuer, authorizePath(app.id, challenge, { redirect_uri: undefined }));
  t.same({ status, leads: headers.location }, { status: 400, leads: undefined }, 'redirect_uri is never assumed');
});

test('of loopback addresses any port goes, and nothing else differs (RFC 8252 §7.3)', async (t) => {
  const registered = ['http://127.0.0.1/callback?a=1', 'http://[::1]:5000/callback', 'http://localhost:8080/callback'];
  const match = [
    'http://127.0.0.1:1/callback?a=1',
    'http://127.0.0.1:65535/callback?a=1',
    'http://127.0.0.1/callback?a=1',
    'http://[::1]/callback',
    'http://[::1]:49152/callback',
    'http://localhost:8080/callback',
  ];
  for (const uri of match) t.ok(isRegistered(uri, registered), uri);
  const other = [
    'http://127.0.0.1:65536/callback?a=1',
    'http://127.0.0.1:/callback?a=1',
    'http://127.0.0.1:8o/callback?a=1',
    'http://127.0.0.1:1/callback',
    'http://127.0.0.1:1/callback?a=2',
    'http://127.0.0.1:1/callback?a=1#x',
    'http://127.0.0.1:1/callback/?a=1',
    'http://127.0.0.1:1@evil.example/callback?a=1',
    'http://127.0.0.1.evil.example/callback?a=1',
    'http://127.0.0.1:1.evil.example/callback?a=1',
    'https://127.0.0.1:1/callback?a=1',
    'http://[::1]:1/callback?a=1',
    'http://[::1].evil.example/callback',
    'http://127.0.0.2:1/callback?a=1',
    'http://localhost:8081/callback',
    'http://localhost/callback',
  ];
  for (const uri of other) t.notOk(isRegistered(uri, registered), uri);
});

test('an answer is added to what the URI has, which stays as it is (RFC 6749 §4.1.2)', async (t) => {
  const answer = { code: 'a b&c', state: undefined };
  const expected = {
    'https://app.example/callback': 'https://app.example/callback?code=a+b%26c',
    'https://app.example': 'https://app.example?code=a+b%26c',
    'https://app.example/callback?': 'https://app.example/callback?code=a+b%26c',
    'https://app.example/callback?x=%2F': 'https://app.example/callback?x=%2F&code=a+b%26c',
    'com.example.app:/callback': 'com.example.app:/callback?code=a+b%26c',
  };
  for (const [uri, address] of Object.entries(expected)) t.equal(withParameters(uri, answer), address);
});
