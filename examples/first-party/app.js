/**
 * A web app on the issuer's own site, with a sign-in form of its own. The tokens are in HttpOnly cookies, which no script
 * reads; what the script has is the CSRF value that goes with them.
 */
const { issuer } = await (await fetch('/settings.json')).json();
const element = (id) => document.getElementById(id);

// #region session
/** In localStorage, as the cookies are one set for all tabs. By itself it opens nothing. */
const csrf = {
  get: () => localStorage.getItem('csrf_token') ?? '',
  set: (value) => (value ? localStorage.setItem('csrf_token', value) : localStorage.removeItem('csrf_token')),
};

/** Calls the issuer's /session. Throws with `error`, a code of OAuth 2, where it refuses. */
async function session(method, path = '', body = undefined) {
  const response = await fetch(`${issuer}/session${path}`, {
    method,
    credentials: 'include',
    headers: { 'X-CSRF-Token': csrf.get(), ...(body && { 'Content-Type': 'application/json' }) },
    ...(body && { body: JSON.stringify(body) }),
  });
  const answer = response.status === 204 ? {} : await response.json();
  if (!response.ok) throw Object.assign(new Error(answer.error_description), answer);
  csrf.set(answer.csrf_token);
}

const signIn = (email, password) => session('POST', '', { email, password });
const signOut = () => session('DELETE');

/** One tab at a time: each refresh replaces the cookies and the CSRF value of all. */
function refresh() {
  const before = csrf.get();
  return navigator.locks.request('refresh', async () => {
    if (csrf.get() === before) await session('POST', '/refresh');
  });
}

/** Calls the app's own API; the cookie goes along by itself. */
async function call(method, path, body) {
  const send = () =>
    fetch(path, {
      method,
      headers: { 'X-CSRF-Token': csrf.get(), ...(body && { 'Content-Type': 'application/json' }) },
      ...(body && { body: JSON.stringify(body) }),
    });
  const answer = await send();
  if (answer.status !== 401) return answer;
  await refresh();
  return send();
}
// #endregion

async function showOrders() {
  try {
    const answer = await call('GET', '/orders');
    if (!answer.ok) return show({ problem: `The API answers ${answer.status}.` });
    show((await answer.json()).orders);
  } catch (error) {
    // invalid_grant: nobody is signed in, or no more. access_denied: not even the CSRF value is there.
    show({ problem: ['invalid_grant', 'access_denied'].includes(error.error) ? '' : error.message });
  }
}

function show(orders) {
  const somebody = Array.isArray(orders);
  element('sign-in').hidden = somebody;
  element('somebody').hidden = !somebody;
  element('problem').textContent = orders.problem ?? '';
  const items = somebody ? orders : [];
  element('orders').replaceChildren(
    ...items.map((order) => Object.assign(document.createElement('li'), { textContent: order })),
  );
}

function onSubmit(form, act) {
  form.onsubmit = async (event) => {
    event.preventDefault();
    const values = Object.fromEntries(new FormData(form));
    try {
      await act(values);
      form.reset();
      await showOrders();
    } catch (error) {
      element('problem').textContent = error.message;
    }
  };
}

onSubmit(element('sign-in'), ({ email, password }) => signIn(email, password));
onSubmit(element('order'), ({ order }) => call('POST', '/orders', { order }));
element('sign-out').onclick = async () => {
  await signOut();
  show({});
};
await showOrders();
