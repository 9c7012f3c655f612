/**
 * Owns what people see: pages as pure functions from typed values to HTML and its headers. Must not know HTTP, the
 * database, nor who decides what comes next; every text from outside is a value that `html` escapes.
 */
import { createHash } from 'node:crypto';
import { type AccountView, accountPage } from './account.ts';
import type { Brand } from './brand.ts';
import { type ChooseAccountView, chooseAccountPage } from './choose-account.ts';
import { type ConsentView, consentPage } from './consent.ts';
import { type ErrorView, errorPage } from './error.ts';
import { monogram } from './icons.ts';
import type { Page, Site } from './layout.ts';
import { type SignInView, signInPage } from './sign-in.ts';
import { type SignedOutView, type SignOutView, signedOutPage, signOutPage } from './sign-out.ts';
import { stylesheetOf } from './stylesheet.ts';

export type { AccountConsent, AccountNotice, AccountProblem, AccountSession, AccountView } from './account.ts';
export { type Brand, type Logo, readLogo } from './brand.ts';
export type { ChooseAccountView } from './choose-account.ts';
export type { ConsentView } from './consent.ts';
export type { ErrorView } from './error.ts';
export type { FormTarget, Page } from './layout.ts';
export type { Person } from './person.ts';
export type { SignInProblem, SignInView } from './sign-in.ts';
export type { SignedOutView, SignOutView, Telling } from './sign-out.ts';
export type { AskedScope } from './words.ts';

/** A file that pages refer to. Its path, below the issuer's own, has the digest of its content in it: it never changes. */
export interface Asset {
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

/** All pages of one issuer. */
export interface Pages {
  signIn(view: SignInView): Page;
  consent(view: ConsentView): Page;
  chooseAccount(view: ChooseAccountView): Page;
  signOut(view: SignOutView): Page;
  signedOut(view: SignedOutView): Page;
  error(view: ErrorView): Page;
  account(view: AccountView): Page;
  readonly assets: readonly Asset[];
}

/** The pages of the issuer whose identifier (a URL without final slash) this is. */
export function createPages({ brand, issuer }: { readonly brand: Brand; readonly issuer: string }): Pages {
  const stylesheet = asset('css', 'text/css; charset=utf-8', stylesheetOf(brand.color));
  const icon = asset('svg', 'image/svg+xml', monogram(brand.name, brand.color));
  const logo =
    brand.logo && asset(extensions[brand.logo.contentType], brand.logo.contentType, Buffer.from(brand.logo.body));
  const base = new URL(issuer).pathname.replace(/\/$/, '');
  const site: Site = {
    brandName: brand.name,
    stylesheet: base + stylesheet.path,
    icon: base + icon.path,
    logo: logo && base + logo.path,
  };
  return {
    signIn: (view) => signInPage(site, view),
    consent: (view) => consentPage(site, view),
    chooseAccount: (view) => chooseAccountPage(site, view),
    signOut: (view) => signOutPage(site, view),
    signedOut: (view) => signedOutPage(site, view),
    error: (view) => errorPage(site, view),
    account: (view) => accountPage(site, view),
    assets: logo === undefined ? [stylesheet, icon] : [stylesheet, icon, logo],
  };
}

const extensions = { 'image/svg+xml': 'svg', 'image/png': 'png' } as const;

function asset(extension: string, contentType: string, content: string | Buffer): Asset {
  const body = Buffer.from(content as string);
  const digest = createHash('sha256').update(body).digest('base64url').slice(0, 16);
  const headers = {
    'content-type': contentType,
    'cache-control': 'public, max-age=31536000, immutable',
    'x-content-type-options': 'nosniff',
    // An SVG opened by itself is a document: the operator's may carry scripts, and none runs.
    'content-security-policy': "default-src 'none'; style-src 'unsafe-inline'; sandbox",
  };
  return { path: `/assets/${digest}.${extension}`, headers, body };
}
