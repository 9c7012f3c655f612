import type { SessionSummary } from '../../protocol/session.ts';
import type { NumericDate } from '../../protocol/time.ts';
import { attributes, type Html, html } from './html.ts';
import { icons } from './icons.ts';
import {
  type FormTarget,
  hiddenField,
  hiddenFields,
  layout,
  type Page,
  problemNote,
  type Site,
  successNote,
} from './layout.ts';
import { type Person, personCard } from './person.ts';
import { type AskedScope, ago, browserInWords, named, plainName, scopeInWords } from './words.ts';

/**
 * Posts `act`: `change-password` with `current_password`, `new_password` and `repeated_password`; `end-session` with
 * `session`; `withdraw-consent` with `client`.
 */
export interface AccountView extends FormTarget {
  readonly user: Person;
  readonly now: NumericDate;
  readonly sessions: readonly AccountSession[];
  readonly consents: readonly AccountConsent[];
  /** The path that asks whether to sign out. */
  readonly signOut: string;
  readonly notice?: AccountNotice;
  readonly problem?: AccountProblem;
}

export interface AccountSession extends SessionSummary {
  /** The one that shows this page. */
  readonly current: boolean;
}

export interface AccountConsent {
  readonly clientId: string;
  readonly clientName: string;
  readonly scopes: readonly AskedScope[];
  readonly grantedAt: NumericDate;
}

const notices = {
  passwordChanged: 'Your password is changed. You are signed out everywhere else.',
  sessionEnded: 'That session is ended.',
  consentWithdrawn: 'That access is withdrawn.',
} as const;

export type AccountNotice = keyof typeof notices;

const problems = {
  busy: 'The server is busy at this moment. Wait a few seconds and try again.',
  tooMany: 'There have been too many attempts. Wait a few minutes and try again.',
  expired: 'This page was open for too long, and nothing was changed. Try again.',
  wrong: 'Your current password is not that one.',
  different: 'The new password and its repetition are not the same.',
  short: 'The new password needs at least 8 characters.',
  long: 'The new password may have at most 128 characters.',
  common: 'The new password is one of those that are guessed first. Choose another.',
  personal: 'The new password is little more than your name or email address. Choose another.',
  unprintable: 'The new password contains a character that cannot be typed on a keyboard. Choose another.',
} as const;

export type AccountProblem = keyof typeof problems;

export function accountPage(site: Site, view: AccountView): Page {
  const { notice, problem } = view;
  const note = problem && problemNote('problem', problems[problem]);
  const ofThePage = problem === 'busy' || problem === 'tooMany' || problem === 'expired';
  const body = html`
<div class="stack"><div class="top"><h1>Your account</h1><a href="${view.signOut}">Sign out</a></div>
<div class="person">${personCard(view.user)}</div>
${notice && successNote(notices[notice])}
${ofThePage ? note : undefined}</div>
${sessions(view)}
${consents(view)}
${passwordForm(view, ofThePage ? undefined : note)}`;
  return layout(site, { title: 'Your account', body, wide: true, problem: problem !== undefined });
}

function sessions(view: AccountView): Html {
  const rows = view.sessions.map((session) => {
    const name = browserInWords(session.userAgent);
    const handheld = /\b(?:iPhone|Android|Mobile)\b/.test(session.userAgent ?? '');
    const end = html`<form method="post" action="${view.action}">${hiddenFields(view)}${hiddenField('session', session.id)}
<button class="button slim" name="act" value="end-session">End<span class="offscreen"> the session of ${name}</span></button></form>`;
    return html`<li>${handheld ? icons.phone : icons.screen}<div><strong>${name}</strong>
<p class="small quiet">Last used ${ago(session.lastSeenAt, view.now)}, signed in ${ago(session.createdAt, view.now)}${session.ip === null ? undefined : html`, from ${session.ip}`}</p></div>
${session.current ? html`<span class="badge">This browser</span>` : end}</li>`;
  });
  return html`<section><h2>Where you are signed in</h2><ul class="list roomy">${rows}</ul></section>`;
}

function consents(view: AccountView): Html {
  const rows = view.consents.map(({ clientId, clientName, scopes, grantedAt }) => {
    const allowed = scopes.map((scope) => html`<li>${scopeInWords(scope)}</li>`);
    return html`<li>${icons.app}<div><strong>${named(clientName)}</strong>
<ul class="small">${allowed}</ul><p class="small quiet">Allowed ${ago(grantedAt, view.now)}</p></div>
<form method="post" action="${view.action}">${hiddenFields(view)}${hiddenField('client', clientId)}
<button class="button slim" name="act" value="withdraw-consent">Withdraw<span class="offscreen"> what ${plainName(clientName)} may do</span></button></form></li>`;
  });
  const none = html`<p class="quiet">You have not allowed any app to use your account.</p>`;
  return html`<section><h2>Apps that may use your account</h2>${rows.length === 0 ? none : html`<ul class="list roomy">${rows}</ul>`}</section>`;
}

function passwordForm(view: AccountView, note: Html | undefined): Html {
  const { problem } = view;
  function field(name: string, label: string, autocomplete: string, wrong: boolean, hint?: string): Html {
    const describedBy = [wrong && 'problem', hint && `${name}-hint`].filter(Boolean).join(' ');
    const more = {
      minlength: autocomplete === 'new-password' && '8',
      'aria-invalid': wrong && 'true',
      'aria-describedby': describedBy !== '' && describedBy,
      autofocus: wrong,
    };
    return html`<div><label for="${name}">${label}</label>
<input type="password" id="${name}" name="${name}" autocomplete="${autocomplete}" required${attributes(more)}>${hint && html`<p class="small quiet" id="${name}-hint">${hint}</p>`}</div>`;
  }
  const hint = 'At least 8 characters. Several words that only you would put together are good.';
  const aboutNew = ['short', 'long', 'common', 'personal', 'unprintable'].includes(problem ?? '');
  return html`<section><h2>Change your password</h2>
${note}
<form class="stack narrow" method="post" action="${view.action}">
${hiddenFields(view)}
<input class="offscreen" type="text" autocomplete="username" value="${view.user.email}" readonly tabindex="-1" aria-hidden="true">
${field('current_password', 'Current password', 'current-password', problem === 'wrong')}
${field('new_password', 'New password', 'new-password', aboutNew, hint)}
${field('repeated_password', 'New password, once more', 'new-password', problem === 'different')}
<button class="button primary" name="act" value="change-password">Change password</button>
</form></section>`;
}
