/** A single-page app: a public client in the browser. Its tokens live in the memory of this page and nowhere else. */
// From the script that index.html loads. With a bundler: import { … } from 'oidc-client-ts';
const { InMemoryWebStorage, UserManager, WebStorageStateStore } = globalThis.oidc;
const { issuer, clientId, api } = await (await fetch('/settings.json')).json();
const element = (id) => document.getElementById(id);

// #region manager
const manager = new UserManager({
  authority: issuer,
  client_id: clientId,
  redirect_uri: `${location.origin}/callback`,
  post_logout_redirect_uri: `${location.origin}/`,
  scope: 'openid profile orders:read',
  loadUserInfo: true, // the ID token says who it is by `sub` alone
  // Not in sessionStorage: a tab that is duplicated takes that along, and then two tabs use one refresh token.
  userStore: new WebStorageStateStore({ store: new InMemoryWebStorage() }),
});

/** The page has been loaded: coming back from the issuer, or anew. Then the issuer is asked who is signed in, silently. */
async function begin() {
  if (location.pathname !== '/callback') return manager.signinRedirect({ prompt: 'none', redirectMethod: 'replace' });
  try {
    return await manager.signinCallback();
  } catch (error) {
    // Nobody is, or not for this app yet: a button asks. What else there is, is a problem.
    if (!['login_required', 'consent_required'].includes(error.error)) say(error.message);
  } finally {
    history.replaceState({}, '', '/');
  }
}
// #endregion

// #region call
async function call(path) {
  const user = await manager.getUser();
  const answer = await fetch(api + path, { headers: { authorization: `Bearer ${user.access_token}` } });
  if (answer.status !== 401) return answer;
  // Expired by the API's clock, or revoked: a refresh tells which. It fails where the sign-in has ended.
  const { access_token } = await refresh();
  return fetch(api + path, { headers: { authorization: `Bearer ${access_token}` } });
}

let refreshing;

/** Calls side by side share one refresh. */
function refresh() {
  refreshing ??= manager.signinSilent().finally(() => {
    refreshing = undefined;
  });
  return refreshing;
}

async function showOrders() {
  try {
    const answer = await call('/orders');
    if (!answer.ok) return say(`The API answers ${answer.status}.`);
    const { orders } = await answer.json();
    element('orders').replaceChildren(
      ...orders.map((order) => Object.assign(document.createElement('li'), { textContent: order })),
    );
  } catch (error) {
    await lose(error);
  }
}

/** A refresh has failed. Only `invalid_grant` says that the sign-in is over; a network that is away comes back. */
async function lose(error) {
  if (error.error !== 'invalid_grant') return say(error.message);
  await manager.removeUser();
  say('Your sign-in has ended. Please sign in again.');
}

// A minute before the access token expires the library refreshes it by itself.
manager.events.addSilentRenewError(lose);
manager.events.addUserLoaded(show);
manager.events.addUserUnloaded(() => show(null));
element('sign-in').onclick = () => manager.signinRedirect();
element('sign-out').onclick = () => manager.signoutRedirect();
// #endregion
element('reload').onclick = showOrders;
element('refresh').onclick = () => refresh().then(showOrders, lose);

function show(user) {
  element('nobody').hidden = Boolean(user);
  element('somebody').hidden = !user;
  element('person').textContent = user?.profile.name ?? user?.profile.sub ?? '';
  if (user) say('');
}

function say(text) {
  element('problem').textContent = text;
}

const user = await begin();
if (location.pathname === '/') show(user);
if (user) await showOrders();
