import type { User } from '../../protocol/user.ts';
import { type Html, html } from './html.ts';
import { initialOf } from './icons.ts';
import { named } from './words.ts';

/** What a page says of the person it is for. */
export type Person = Pick<User, 'email' | 'name'>;

/** Who this is: name and address beside the initial. */
export function personCard({ email, name }: Person): Html {
  const address = html`<bdi>${email}</bdi>`;
  const lines = name === null ? html`<strong>${address}</strong>` : html`<strong>${named(name)}</strong><br>${address}`;
  return html`<span class="initial" aria-hidden="true">${initialOf(name ?? email)}</span><span>${lines}</span>`;
}
