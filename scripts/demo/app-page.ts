/** The one page of a demo app. */

export interface AppPage {
  readonly name: string;
  readonly color: string;
  readonly person: string | undefined;
  /** The person's orders, or why there are none. */
  readonly orders: readonly string[] | string | undefined;
}

export function appPage({ name, color, person, orders }: AppPage): string {
  const list = Array.isArray(orders)
    ? `<ul>${orders.map((order) => `<li>${escaped(order)}</li>`).join('')}</ul>`
    : `<p>${escaped(String(orders))}</p>`;
  const body =
    person === undefined
      ? `<p>Nobody is signed in here.</p><p><a class="button" href="/sign-in">Sign in</a></p>`
      : `<p>Hello, <strong id="person">${escaped(person)}</strong>. Your orders, from an API that verifies by itself:</p>
         ${list}<p><a class="button" href="/sign-out">Sign out everywhere</a></p>`;
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>${escaped(name)}</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">
<style>
  body { font: 17px/1.6 system-ui, sans-serif; max-width: 36rem; margin: 3rem auto; padding: 0 1rem }
  h1 { color: ${color}; border-bottom: 4px solid; padding-bottom: .3rem }
  .button { background: ${color}; color: #fff; padding: .5rem 1rem; border-radius: 6px; text-decoration: none }
</style></head>
<body><h1>${escaped(name)}</h1>${body}</body></html>`;
}

/** A text as it may stand in a page. */
export function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`);
}
