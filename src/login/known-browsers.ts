/** Browsers that have signed in before, as a sealed cookie says: which accounts, and an id of the browser's own. */
import { digestSecret, newId } from '../crypto/handle.ts';

export interface KnownBrowsers {
  /** The browser's id, where it has signed in to the account before. */
  knows(cookie: string | undefined, account: string): Promise<string | undefined>;
  /** The cookie's next value, after a sign-in to the account. */
  remember(cookie: string | undefined, account: string): Promise<string>;
}

/** A browser that several people use. More than these are forgotten, the oldest first. */
const mostAccounts = 5;

/** Longer than any value of ours. */
const longestCookie = 2_000;

interface Known {
  readonly browser: string;
  /** Digests, the latest first. */
  readonly accounts: readonly string[];
}

export function createKnownBrowsers({
  seal,
  unseal,
}: {
  seal(text: string): Promise<string>;
  unseal(sealed: string): Promise<string>;
}): KnownBrowsers {
  /** What cannot be opened is no browser that we know: its key-encryption key may be gone. */
  async function read(cookie: string | undefined): Promise<Known | undefined> {
    if (cookie === undefined || cookie.length > longestCookie) return undefined;
    try {
      const { known } = JSON.parse(await unseal(cookie)) as { known?: Known };
      return known;
    } catch {
      return undefined;
    }
  }

  return {
    async knows(cookie, account) {
      const known = await read(cookie);
      return known?.accounts.includes(digestSecret(account)) ? known.browser : undefined;
    },

    async remember(cookie, account) {
      const before = (await read(cookie)) ?? { browser: newId('browser'), accounts: [] };
      const accounts = [...new Set([digestSecret(account), ...before.accounts])].slice(0, mostAccounts);
      return seal(JSON.stringify({ known: { browser: before.browser, accounts } satisfies Known }));
    },
  };
}
