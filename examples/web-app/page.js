/** The one page of the app. */
export function page({ title, person, orders, problem }) {
  const list = orders && `<ul>${orders.map((order) => `<li>${escaped(order)}</li>`).join('')}</ul>`;
  const body =
    person === undefined
      ? `<p>Nobody is signed in here.</p><p><a class="button" href="/sign-in">Sign in</a></p>`
      : `<p>Hello, <strong id="person">${escaped(person)}</strong>.</p>
         ${list ? `<p>Your orders, from an API that verifies by itself:</p>${list}` : ''}
         <form method="post" action="/sign-out"><button>Sign out everywhere</button></form>
         <form method="post" action="/sign-out-here"><button>Sign out here</button></form>`;
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>${escaped(title)}</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">
<style>
  body { font: 17px/1.6 system-ui, sans-serif; max-width: 36rem; margin: 3rem auto; padding: 0 1rem }
  h1 { border-bottom: 4px solid; padding-bottom: .3rem }
  form { display: inline } button, .button { font: inherit; padding: .4rem 1rem }
</style></head>
<body><h1>${escaped(title)}</h1>${problem ? `<p role="alert">${escaped(problem)}</p>` : ''}${body}</body></html>`;
}

/** A text as it may stand in a page. */
function escaped(text) {
  return String(text).replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`);
}
