import { html } from './html.ts';
import { icons } from './icons.ts';
import { type FormTarget, hiddenFields, layout, type Page, type Site } from './layout.ts';
import { type Person, personCard } from './person.ts';
import { isLinkable, named } from './words.ts';

/** Posts `decision`: `sign-out` or `stay`. */
export interface SignOutView extends FormTarget {
  readonly user: Person;
  /** The client that asks for it. */
  readonly clientName?: string;
}

export function signOutPage(site: Site, view: SignOutView): Page {
  const { clientName } = view;
  const why = clientName === undefined ? undefined : html`<strong>${named(clientName)}</strong> asks to sign you out. `;
  const body = html`
<div class="intro"><h1>Sign out?</h1><p class="quiet">${why}It ends your visit to every app that you entered with this account in this browser.</p></div>
<form class="stack" method="post" action="${view.action}">
${hiddenFields(view)}
<div class="person">${personCard(view.user)}</div>
<div class="buttons">
<button class="button primary" name="decision" value="sign-out">Sign out</button>
<button class="button" name="decision" value="stay">Stay signed in</button>
</div>
</form>`;
  return layout(site, { title: 'Sign out?', body, leadsAway: true });
}

export interface SignedOutView {
  /** The clients of the session that are told of its end, and how far that is. */
  readonly told: readonly { readonly clientName: string; readonly state: Telling }[];
  /** A client's post-logout redirect URI, already checked. */
  readonly continueTo?: { readonly href: string; readonly clientName: string };
}

const tellings = {
  told: { icon: icons.check, kind: 'good', words: 'Signed out' },
  pending: { icon: icons.waiting, kind: 'quiet', words: 'Has been told, and has not answered yet' },
  failed: { icon: icons.warning, kind: 'bad', words: 'Could not be reached: sign out there as well' },
} as const;

export type Telling = keyof typeof tellings;

export function signedOutPage(site: Site, { told, continueTo }: SignedOutView): Page {
  const title = 'You are signed out';
  const clients = told.map(({ clientName, state }) => {
    const { icon, kind, words } = tellings[state];
    return html`<li class="${kind}">${icon}<div><strong>${named(clientName)}</strong><p class="small">${words}</p></div></li>`;
  });
  const list = html`<section><h2>Apps that you used</h2><ul class="list roomy">${clients}</ul></section>`;
  const safe = continueTo !== undefined && isLinkable(continueTo.href) ? continueTo : undefined;
  const body = html`
<div class="intro"><h1>${title}</h1><p class="quiet">On a computer that others use, close its browser windows too.</p></div>
${told.length > 0 ? list : undefined}
${safe && html`<a class="button primary" href="${safe.href}"><span>Continue to ${named(safe.clientName)}</span></a>`}`;
  return layout(site, { title, body });
}
