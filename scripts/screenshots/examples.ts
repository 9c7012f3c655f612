/** Each page with values as they come in real life. */
import type { Page, Pages } from '../../src/login/pages/index.ts';

const now = Date.UTC(2026, 10, 21, 20, 0) / 1000;
const hour = 3600;
const day = 24 * hour;
const form = { csrf: 'b3ZlciB0aGUgbW9vbg', interaction: 'interaction_1' };
const ada = { email: 'ada.lovelace@example.com', name: 'Ada Lovelace' };

const firefox = 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0';
const iphone =
  'Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/19.0 Mobile/15E148 Safari/604.1';

export const examples = {
  'sign-in': (pages) => pages.signIn({ ...form, action: '/sign-in', email: '', clientName: 'Orders' }),
  'sign-in-wrong': (pages) =>
    pages.signIn({ ...form, action: '/sign-in', email: ada.email, clientName: 'Orders', problem: 'wrong' }),
  'sign-in-again': (pages) =>
    pages.signIn({ ...form, action: '/sign-in', email: ada.email, clientName: 'Payroll', again: true }),
  consent: (pages) =>
    pages.consent({
      ...form,
      action: '/consent',
      clientName: 'Orders',
      redirectUri: 'https://orders.example/callback',
      user: ada,
      scopes: [
        { token: 'openid' },
        { token: 'profile' },
        { token: 'email' },
        { token: 'orders:read', description: 'See your orders and their invoices' },
        { token: 'orders:write' },
        { token: 'offline_access' },
      ],
    }),
  'choose-account': (pages) =>
    pages.chooseAccount({ ...form, action: '/choose-account', clientName: 'Orders', user: ada }),
  'sign-out': (pages) => pages.signOut({ ...form, action: '/sign-out', clientName: 'Orders', user: ada }),
  'signed-out': (pages) =>
    pages.signedOut({
      told: [
        { clientName: 'Orders', state: 'told' },
        { clientName: 'Payroll', state: 'pending' },
        { clientName: 'Wiki', state: 'failed' },
      ],
      continueTo: { href: 'https://orders.example/', clientName: 'Orders' },
    }),
  error: (pages) =>
    pages.error({
      title: 'This link does not work',
      says: 'The app that sent you here is not known, or asked for an answer at an address that is not its own. Go back to it and try again; if this page comes again, tell those who run the app.',
      requestId: 'kt7-3f',
    }),
  account: (pages) =>
    pages.account({
      ...form,
      action: '/account',
      signOut: '/logout',
      user: ada,
      now,
      sessions: [
        {
          id: 's1',
          current: true,
          userAgent: firefox,
          ip: '203.0.113.7',
          createdAt: now - 3 * hour,
          lastSeenAt: now - 20,
        },
        {
          id: 's2',
          current: false,
          userAgent: iphone,
          ip: '2001:db8::5',
          createdAt: now - 9 * day,
          lastSeenAt: now - day,
        },
        { id: 's3', current: false, userAgent: null, ip: null, createdAt: now - 44 * day, lastSeenAt: now - 33 * day },
      ],
      consents: [
        {
          clientId: 'client_orders',
          clientName: 'Orders',
          scopes: [{ token: 'openid' }, { token: 'email' }, { token: 'orders:write' }],
          grantedAt: now - 70 * day,
        },
      ],
      notice: 'passwordChanged',
    }),
} as const satisfies Record<string, (pages: Pages) => Page>;

export type Example = keyof typeof examples;
