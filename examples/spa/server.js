/** Hands out the files of the single-page app, as any web server could, and where the issuer and the API are. */
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { join } from 'node:path';

const issuer = process.env.ISSUER ?? 'http://localhost:3000';
const api = process.env.API ?? 'http://localhost:4000';
const clientId = process.env.CLIENT_ID;
const port = Number(process.env.PORT ?? 3002);
if (!clientId) {
  console.error('CLIENT_ID is not set: keyturn client add prints it');
  process.exit(2);
}

// The build for pages without a bundler; it stands beside the one that Node finds.
const library = join(createRequire(import.meta.url).resolve('oidc-client-ts'), '../../browser/oidc-client-ts.min.js');
const read = (name) => readFileSync(new URL(name, import.meta.url));
const page = { type: 'text/html; charset=utf-8', body: read('index.html') };
const script = (body) => ({ type: 'text/javascript; charset=utf-8', body });
const files = {
  '/': page,
  '/callback': page,
  '/app.js': script(read('app.js')),
  '/oidc-client-ts.min.js': script(readFileSync(library)),
  '/settings.json': { type: 'application/json', body: JSON.stringify({ issuer, clientId, api }) },
};

// #region headers
/** No script but our own runs in the page that holds the tokens, and it talks to nobody but these. */
const headers = {
  'content-security-policy': `default-src 'self'; connect-src 'self' ${issuer} ${api}; img-src data:; frame-ancestors 'none'; base-uri 'none'; object-src 'none'`,
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'cache-control': 'no-cache',
};
// #endregion

const server = createServer((request, response) => {
  const file = files[new URL(request.url, 'http://localhost').pathname];
  if (file === undefined) response.writeHead(404).end();
  else response.writeHead(200, { ...headers, 'content-type': file.type }).end(file.body);
});
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => server.close().closeAllConnections());
server.listen(port, 'localhost', () => console.log(`the single-page app is at http://localhost:${port}`));
