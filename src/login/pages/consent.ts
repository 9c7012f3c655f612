import { html } from './html.ts';
import { icons } from './icons.ts';
import { type FormTarget, hiddenFields, layout, type Page, type Site } from './layout.ts';
import { type Person, personCard } from './person.ts';
import { type AskedScope, named, plainName, scopeInWords, whereClientLives } from './words.ts';

/** Posts `decision`: `allow`, `deny` or `switch` (to another account). */
export interface ConsentView extends FormTarget {
  readonly clientName: string;
  /** Where the answer goes, already checked. */
  readonly redirectUri: string;
  readonly user: Person;
  readonly scopes: readonly AskedScope[];
}

export function consentPage(site: Site, view: ConsentView): Page {
  const client = named(view.clientName);
  const asked = view.scopes.map((scope) => html`<li>${icons.check}<div>${scopeInWords(scope)}</div></li>`);
  const body = html`
<div class="intro"><h1>${client} asks for access to your account</h1></div>
<section><p>If you allow it, <strong>${client}</strong> can</p>
<ul class="list">${asked}</ul></section>
<form class="stack" method="post" action="${view.action}">
${hiddenFields(view)}
<div class="intro"><div class="person">${personCard(view.user)}</div>
<p class="small quiet">Not you? <button class="plain" name="decision" value="switch">Use another account</button></p></div>
<div class="buttons">
<button class="button primary" name="decision" value="allow">Allow</button>
<button class="button" name="decision" value="deny">Deny</button>
</div>
<p class="small quiet">Either way you go back to ${whereClientLives(view.redirectUri)}. What you allow you can withdraw on your account page.</p>
</form>`;
  return layout(site, { title: `Allow ${plainName(view.clientName)}?`, body, leadsAway: true });
}
