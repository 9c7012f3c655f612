/** The pictures of the pages. They say nothing that words do not, and are hidden from those who hear a page. */

import type { Color } from './color.ts';
import { textOn } from './color.ts';
import { type Html, html } from './html.ts';

function icon(shape: Html): Html {
  return html`<svg aria-hidden="true" width="20" height="20" viewBox="0 0 20 20" fill="none" stroke="currentColor" stroke-width="1.75" stroke-linecap="round" stroke-linejoin="round">${shape}</svg>`;
}

export const icons = {
  check: icon(html`<path d="M4 10.5l4 4 8-9"/>`),
  warning: icon(html`<path d="M10 2.5l8.2 14.5H1.8zM10 8v4"/><path d="M10 14.4v.1"/>`),
  info: icon(html`<circle cx="10" cy="10" r="7.75"/><path d="M10 9.25v4.5M10 6.25v.1"/>`),
  waiting: icon(html`<circle cx="10" cy="10" r="7.75"/><path d="M10 5.75V10l2.75 1.75"/>`),
  screen: icon(html`<rect x="2.25" y="3.5" width="15.5" height="10.5" rx="1.75"/><path d="M7 17h6"/>`),
  phone: icon(html`<rect x="5.5" y="1.75" width="9" height="16.5" rx="2"/><path d="M9.25 15.5h1.5"/>`),
  app: icon(
    html`<rect x="2.75" y="2.75" width="6" height="6" rx="1.5"/><rect x="11.25" y="2.75" width="6" height="6" rx="1.5"/><rect x="2.75" y="11.25" width="6" height="6" rx="1.5"/><rect x="11.25" y="11.25" width="6" height="6" rx="1.5"/>`,
  ),
} as const;

/** The picture of a brand that has no logo: its initial on its colour. A file of its own, so a whole SVG document. */
export function monogram(name: string, color: Color): string {
  const picture = html`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 72 72"><rect width="72" height="72" rx="20" fill="${color}"/><text x="36" y="50" text-anchor="middle" font-family="system-ui, 'Segoe UI', Roboto, 'Noto Sans', sans-serif" font-size="40" font-weight="700" fill="${textOn(color)}">${initialOf(name)}</text></svg>`;
  return String(picture);
}

/** The first letter or figure of a name, as a capital. */
export function initialOf(name: string): string {
  return (/[\p{L}\p{N}]/u.exec(name.normalize('NFC'))?.[0] ?? '•').toUpperCase();
}
