/** The frame of every page, and the headers it goes out with. */
import { type Content, type Html, html } from './html.ts';
import { icons } from './icons.ts';
import { plainName } from './words.ts';

/** A page as the server sends it. The status is whoever's who knows why it is sent. */
export interface Page {
  readonly html: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** What all pages of one issuer share. Addresses are paths from the root of the host. */
export interface Site {
  readonly brandName: string;
  readonly stylesheet: string;
  readonly icon: string;
  readonly logo: string | undefined;
}

/** Where a form posts to, and what it carries unseen. */
export interface FormTarget {
  readonly action: string;
  /** Bound to the browser (DESIGN §3.6); posted as `csrf`. */
  readonly csrf: string;
  /** Which request of a client this is about; posted as `interaction`. */
  readonly interaction?: string;
}

export interface Frame {
  readonly title: string;
  readonly body: Html;
  /** Something went wrong: said first in the title, which is the first that a screen reader says. */
  readonly problem?: boolean;
  readonly wide?: boolean;
  /** A form of this page may end at a client's redirect URI. */
  readonly leadsAway?: boolean;
}

/** A whole page. */
export function layout(site: Site, { title, body, problem = false, wide = false, leadsAway = false }: Frame): Page {
  const brandName = plainName(site.brandName);
  const brand =
    site.logo === undefined
      ? html`<img src="${site.icon}" width="36" height="36" alt=""><span>${brandName}</span>`
      : html`<img class="logo" src="${site.logo}" height="40" alt="${brandName}">`;
  const page = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>${problem ? 'Problem: ' : ''}${title} – ${brandName}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="robots" content="noindex">
<link rel="icon" href="${site.icon}" type="image/svg+xml">
<link rel="stylesheet" href="${site.stylesheet}">
</head>
<body>
<main class="${wide ? 'wide' : 'single'}">
<p class="brand">${brand}</p>
${body}
</main>
</body>
</html>
`;
  return { html: String(page), headers: headersOf(leadsAway) };
}

/** What may not leave or enter any page, wherever it leads. */
const policy = "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; frame-ancestors 'none'";

/**
 * A page that leads away has no form-action: Chromium applies it to every redirect after a post, those at the client
 * included, and nobody but the client knows them (docs/decisions/0002). With `Referrer-Policy: no-referrer`
 * the Origin of our own forms would be null; same-origin tells other origins as little.
 */
function headersOf(leadsAway: boolean): Page['headers'] {
  return {
    'content-type': 'text/html; charset=utf-8',
    'content-security-policy': leadsAway ? policy : `${policy}; form-action 'self'`,
    'cache-control': 'no-store',
    'referrer-policy': 'same-origin',
    'x-content-type-options': 'nosniff',
    'x-frame-options': 'DENY',
  };
}

/** The unseen part of a form. */
export function hiddenFields({ csrf, interaction }: FormTarget): Content {
  return [hiddenField('csrf', csrf), interaction === undefined ? undefined : hiddenField('interaction', interaction)];
}

export function hiddenField(name: string, value: string): Html {
  return html`<input type="hidden" name="${name}" value="${value}">`;
}

/** What went wrong, said at once to who hears the page; `id` lets a field refer to it. */
export function problemNote(id: string, words: Content): Html {
  return html`<div class="note bad" role="alert" id="${id}">${icons.warning}<p>${words}</p></div>`;
}

/** What has been done. */
export function successNote(words: Content): Html {
  return html`<div class="note good" role="status">${icons.check}<p>${words}</p></div>`;
}
