import { html } from './html.ts';
import { type FormTarget, hiddenFields, layout, type Page, type Site } from './layout.ts';
import { type Person, personCard } from './person.ts';
import { named } from './words.ts';

/** Posts `decision`: `continue` (as this person) or `switch` (to another account). */
export interface ChooseAccountView extends FormTarget {
  readonly clientName: string;
  readonly user: Person;
}

export function chooseAccountPage(site: Site, view: ChooseAccountView): Page {
  const title = 'Choose an account';
  const body = html`
<div class="intro"><h1>${title}</h1><p class="quiet">to continue to <strong>${named(view.clientName)}</strong></p></div>
<form class="stack" method="post" action="${view.action}">
${hiddenFields(view)}
<button class="button person" name="decision" value="continue"><span class="offscreen">Continue as </span>${personCard(view.user)}</button>
<button class="button" name="decision" value="switch">Use another account</button>
</form>`;
  return layout(site, { title, body, leadsAway: true });
}
