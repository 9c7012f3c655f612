import { createPages, type Page } from '../../src/login/pages/index.ts';

/** Every page with one text in every place where a text from outside may stand. */
export function hostilePages(text: string): Page[] {
  const branded = createPages({ brand: { name: text, color: '#0f6b5c' }, issuer: 'https://id.example' });
  const form = { action: text, csrf: text, interaction: text };
  const user = { email: text, name: text };
  const now = 1_800_000_000;
  const scopes = [{ token: text }, { token: 'a', description: text }];
  const session = { id: text, ip: text, userAgent: text, createdAt: now, lastSeenAt: now };
  return [
    branded.signIn({ ...form, email: text, clientName: text, problem: 'wrong' }),
    branded.signIn({ ...form, email: text, clientName: text, again: true }),
    branded.consent({ ...form, clientName: text, redirectUri: 'https://app.example/', user, scopes }),
    branded.chooseAccount({ ...form, clientName: text, user }),
    branded.signOut({ ...form, clientName: text, user: { email: text, name: null } }),
    branded.signedOut({
      told: [{ clientName: text, state: 'failed' }],
      continueTo: { href: `https://app.example/?${text}`, clientName: text },
    }),
    branded.error({ title: text, says: text, requestId: text }),
    branded.account({
      ...form,
      user,
      now,
      sessions: [true, false].map((current) => ({ ...session, current })),
      consents: [{ clientId: text, clientName: text, scopes, grantedAt: now }],
      signOut: text,
      problem: 'common',
    }),
  ];
}
