import { attributes, html } from './html.ts';
import { type FormTarget, hiddenFields, layout, type Page, problemNote, type Site } from './layout.ts';
import { named } from './words.ts';

/** Posts `email` and `password`. */
export interface SignInView extends FormTarget {
  /** What was typed before, or what the client or an earlier session says; '' for nothing. */
  readonly email: string;
  /** The client that sent the person here. */
  readonly clientName?: string;
  /** The person is signed in, and the client wants the password again (prompt=login, max_age). */
  readonly again?: boolean;
  readonly problem?: SignInProblem;
}

const problems = {
  /** Unknown, wrong, disabled: one sentence for all, so that nobody learns who has an account. */
  wrong: 'That email address and password do not belong together. Check both and try again.',
  busy: 'Nobody can be signed in at this moment. Wait a few seconds and try again.',
  tooMany: 'There have been too many attempts. Wait a few minutes and try again.',
  expired: 'This page was open for too long. Sign in once more.',
} as const;

export type SignInProblem = keyof typeof problems;

export function signInPage(site: Site, view: SignInView): Page {
  const { email, clientName, again = false, problem } = view;
  const client = clientName === undefined ? undefined : named(clientName);
  const title = again ? 'Confirm that it is you' : 'Sign in';
  const where = client === undefined ? undefined : html`<p class="quiet">to continue to <strong>${client}</strong></p>`;
  const why = html`<p class="quiet"><strong>${client ?? 'This page'}</strong> asks for your password again.</p>`;
  const described = { 'aria-describedby': problem && 'problem', 'aria-invalid': problem === 'wrong' && 'true' };
  const body = html`
<div class="intro"><h1>${title}</h1>${again ? why : where}</div>
${problem && problemNote('problem', problems[problem])}
<form class="stack" method="post" action="${view.action}">
${hiddenFields(view)}
<div><label for="email">Email address</label>
<input type="email" id="email" name="email" value="${email}" autocomplete="username" autocapitalize="none" spellcheck="false" required${attributes({ autofocus: email === '', ...described })}></div>
<div><label for="password">Password</label>
<input type="password" id="password" name="password" autocomplete="current-password" required${attributes({ autofocus: email !== '', ...described })}></div>
<button class="button primary">Sign in</button>
</form>`;
  return layout(site, { title, body, problem: problem !== undefined, leadsAway: true });
}
