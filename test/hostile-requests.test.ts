import { connect } from 'node:net';
import tap, { test } from 'tap';
import { basic, registerClient, registerResource, startIssuer } from './support/issuer.ts';
import { exchange, exchangeOne, formRequest, request, type WireAnswer } from './support/wire.ts';

const issuer = await startIssuer(tap, { listen: true });
await registerResource(issuer);
const client = await registerClient(issuer);
const grant = 'grant_type=client_credentials';
const authorization = `Authorization: ${client.basic}`;

type Tap = Pick<typeof tap, 'equal' | 'match' | 'same'>;

/** A refusal says so in JSON, with a registered code, nothing else, and is kept by nobody. */
function checkRefusal(t: Tap, { status, headers, body }: WireAnswer, expected: number, about: string): void {
  t.equal(status, expected, about);
  t.match(headers['content-type'], /^application\/json/, about);
  t.equal(headers['cache-control'], 'no-store', about);
  t.match(body, /^\{"error":"invalid_(request|client)","error_description":"[ !#-[\]-~]+"\}$/, about);
}

/** One more request on a connection of its own, to see that the server still works. */
async function checkAlive(t: Tap): Promise<void> {
  const { status, body } = await exchangeOne(issuer, formRequest('/token', grant, [authorization]));
  t.equal(status, 200, 'the server still answers');
  t.match(body, /"access_token"/);
}

async function refusals(t: Tap, expected: number, requests: Record<string, string>): Promise<void> {
  for (const [about, bytes] of Object.entries(requests))
    checkRefusal(t, await exchangeOne(issuer, bytes), expected, about);
  await checkAlive(t);
}

test('what is not HTTP is 400', async (t) => {
  await refusals(t, 400, {
    noise: '\x00\x01\x02\xff\xfe\r\n\r\n',
    TLS: '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03',
    'HTTP/2': 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
    'HTTP/9': 'GET / HTTP/9.9\r\nHost: a\r\n\r\n',
    'an unknown method': 'FROB /token HTTP/1.1\r\nHost: a\r\n\r\n',
    'a method in small letters': 'post /token HTTP/1.1\r\nHost: a\r\n\r\n',
    'CONNECT, since we are no proxy': 'CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example\r\n\r\n',
    'bare line feeds': 'GET /health/live HTTP/1.1\nHost: a\n\n',
    'a folded header': 'GET /health/live HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n',
    'a space in the name of a header': 'GET /health/live HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n',
    'a NUL in a header': 'GET /health/live HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n',
    'a NUL in the path': 'GET /health\0/live HTTP/1.1\r\nHost: a\r\n\r\n',
    'bytes beyond ASCII in the path': 'GET /health/\xff\xfe HTTP/1.1\r\nHost: a\r\n\r\n',
    'broken percent-encoding in the path': request('GET /%zz'),
    'a path that is not UTF-8': request('GET /%ff%fe'),
  });
});

test('a request without one good Host is 400', async (t) => {
  await refusals(t, 400, {
    none: 'GET /health/live HTTP/1.1\r\n\r\n',
    two: 'GET /health/live HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n',
    'two in different letters': 'GET /health/live HTTP/1.1\r\nHost: a\r\nHOST: b\r\n\r\n',
    'a user': 'GET /health/live HTTP/1.1\r\nHost: a@b\r\n\r\n',
    'a path': 'GET /health/live HTTP/1.1\r\nHost: a/b\r\n\r\n',
    'a list': 'GET /health/live HTTP/1.1\r\nHost: a b\r\n\r\n',
    'not ASCII': 'GET /health/live HTTP/1.1\r\nHost: \xe9\r\n\r\n',
  });
  for (const host of ['localhost:3000', '[::1]:3000', 'evil.example', '']) {
    const { status } = await exchangeOne(issuer, `GET /health/live HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
    t.equal(status, 200, host);
  }
  t.equal((await exchangeOne(issuer, 'GET /health/live HTTP/1.0\r\n\r\n')).status, 200, 'HTTP/1.0 had none');
});

test('the name in Host and in the target never gets into an answer', async (t) => {
  for (const line of [
    'GET http://evil.example/.well-known/openid-configuration',
    'GET /.well-known/openid-configuration',
  ]) {
    const bytes = `${line} HTTP/1.1\r\nHost: evil.example\r\nX-Forwarded-Host: evil.example\r\nForwarded: host=evil.example\r\n\r\n`;
    const { status, headers, body } = await exchangeOne(issuer, bytes);
    t.equal(status, 200);
    t.equal(JSON.parse(body).issuer, issuer.issuer);
    t.notMatch(JSON.stringify([headers, body]), /evil/);
  }
});

test('an absolute target is the same as its path', async (t) => {
  t.equal((await exchangeOne(issuer, request('GET http://localhost/health/live'))).status, 200);
  const { status, headers } = await exchangeOne(issuer, request('GET http://localhost/token?x'));
  t.equal(status, 405);
  t.match(headers.allow, /^POST\b/);
  checkRefusal(t, await exchangeOne(issuer, request('OPTIONS *')), 404, 'the server as a whole');
});

test('a path is taken as it is written', async (t) => {
  await refusals(t, 404, {
    'a final slash': request('GET /health/live/'),
    'two slashes': request('GET //health/live'),
    dots: request('GET /x/../health/live'),
    'encoded dots': request('GET /x/%2e%2e/health/live'),
    'capital letters': request('GET /Health/Live'),
    'a path parameter': request('GET /health/live;x=1'),
    'an encoded NUL': request('GET /health/live%00'),
    'the name of a property': request('GET /__proto__'),
    backslashes: request('GET /x\\..\\health\\live'),
  });
});

test('a body that is too large is 413, whether it says so or not', async (t) => {
  const form = 'Content-Type: application/x-www-form-urlencoded';
  const large = 'a'.repeat(70_000);
  await refusals(t, 413, {
    said: `POST /token HTTP/1.1\r\nHost: a\r\n${form}\r\nContent-Length: 70000\r\n\r\n`,
    sent: formRequest('/token', large),
    'in chunks': `POST /token HTTP/1.1\r\nHost: a\r\n${form}\r\nTransfer-Encoding: chunked\r\n\r\n11170\r\n${large}\r\n0\r\n\r\n`,
    'in extensions of chunks': `POST /token HTTP/1.1\r\nHost: a\r\n${form}\r\nTransfer-Encoding: chunked\r\n\r\n1;${large}\r\na\r\n0\r\n\r\n`,
  });
});

test('headers and targets that are too long are 431', async (t) => {
  await refusals(t, 431, {
    'one header': request('GET /health/live', [`X: ${'a'.repeat(17_000)}`]),
    'many headers': request(
      'GET /health/live',
      Array.from({ length: 3_000 }, (_, index) => `X-${index}: a`),
    ),
    'the target': request(`GET /${'a'.repeat(17_000)}`),
    credentials: formRequest('/token', grant, [`Authorization: Basic ${'a'.repeat(17_000)}`]),
  });
});

test('a body whose end is in doubt is 400', async (t) => {
  const head = `POST /token HTTP/1.1\r\nHost: a\r\n${authorization}\r\nContent-Type: application/x-www-form-urlencoded\r\n`;
  await refusals(t, 400, {
    'Content-Length and chunks': `${head}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    'chunks and Content-Length': `${head}Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n`,
    'two lengths': `${head}Content-Length: 28\r\nContent-Length: 29\r\n\r\n${grant}`,
    'the same length twice': `${head}Content-Length: 29\r\nContent-Length: 29\r\n\r\n${grant}`,
    'a negative length': `${head}Content-Length: -1\r\n\r\n${grant}`,
    'a length with a sign': `${head}Content-Length: +29\r\n\r\n${grant}`,
    'a length with a unit': `${head}Content-Length: 0x1d\r\n\r\n${grant}`,
    'a length beyond numbers': `${head}Content-Length: 99999999999999999999\r\n\r\n${grant}`,
    'chunks that are none': `${head}Transfer-Encoding: chunked\r\n\r\nzz\r\nabc`,
    'a chunk longer than it says': `${head}Transfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n0\r\n\r\n`,
    'another coding than chunks': `${head}Transfer-Encoding: gzip\r\n\r\n${grant}`,
    'chunks that are not the last coding': `${head}Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n`,
  });
  const [cut] = await exchange(issuer, `${head}Content-Length: 100\r\n\r\n${grant}`, { end: true });
  t.equal(cut?.status, 400, 'a body that is cut off');
});

test('a body that ends early does not make a request of what follows it', async (t) => {
  const head = `POST /token HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\n`;
  const bytes = `${head}Content-Length: 0\r\n\r\nGPOST /token HTTP/1.1\r\nHost: a\r\n\r\n`;
  const answers = await exchange(issuer, bytes, { answers: 3 });
  for (const answer of answers) checkRefusal(t, answer, 400, 'none of it is a token');
  t.ok(answers.length >= 1);
});

test('expectations do not stand in the way', async (t) => {
  for (const expectation of ['100-continue', 'something-else']) {
    const { status } = await exchangeOne(
      issuer,
      formRequest('/token', grant, [authorization, `Expect: ${expectation}`]),
    );
    t.equal(status, 200, expectation);
  }
});

test('an upgrade is not taken', async (t) => {
  const headers = ['Connection: Upgrade', 'Upgrade: h2c', 'HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA'];
  t.equal((await exchangeOne(issuer, request('GET /health/live', headers))).status, 200);
  t.equal(
    (await exchangeOne(issuer, request('GET /health/live', ['Connection: Upgrade', 'Upgrade: websocket']))).status,
    200,
  );
});

test('pipelined requests are answered in their order, each by itself', async (t) => {
  const wrong = `Authorization: ${basic(client.id, 'wrong')}`;
  const requests = [
    formRequest('/token', grant, [authorization]),
    request('GET /health/live'),
    formRequest('/token', grant, [wrong]),
    request('GET /nothing'),
    formRequest('/token', `${grant}&scope=orders:read`, [authorization]),
  ];
  const answers = await exchange(issuer, requests.join(''), { answers: requests.length });
  t.same(
    answers.map(({ status }) => status),
    [200, 200, 401, 404, 200],
  );
  t.equal(JSON.parse(answers[4]?.body ?? '').scope, 'orders:read');
  const bad = await exchange(issuer, `${requests[1]}${'NOISE\r\n\r\n'}`, { answers: 2 });
  t.equal(bad.at(-1)?.status, 400);
});

test('a connection that is refused does not stay, even if its other end does not leave', async (t) => {
  const server = issuer.app.server.server;
  const { port } = server.address() as { port: number };
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  t.teardown(() => socket.destroy());
  const accepted = await new Promise<import('node:net').Socket>((resolve) => {
    server.once('connection', resolve);
    socket.write('NOISE\r\n\r\n');
  });
  const began = performance.now();
  await new Promise((resolve) => accepted.once('close', resolve));
  t.ok(performance.now() - began < 8_000, 'before any time-out');
});
