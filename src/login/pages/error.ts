import { html } from './html.ts';
import { layout, type Page, type Site } from './layout.ts';

export interface ErrorView {
  /** What has happened, in a few words. */
  readonly title: string;
  /** What that means, and what the person can do now. */
  readonly says: string;
  /** By which the operator finds it in the log. */
  readonly requestId?: string;
}

export function errorPage(site: Site, { title, says, requestId }: ErrorView): Page {
  const reference = html`<p class="small quiet">If you ask for help, mention <code>${requestId}</code>.</p>`;
  const body = html`
<div class="intro"><h1>${title}</h1><p><bdi>${says}</bdi></p></div>
${requestId === undefined ? undefined : reference}`;
  return layout(site, { title, body, problem: true });
}
