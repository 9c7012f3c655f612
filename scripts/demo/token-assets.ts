/** Style and script of the page of one token. */

export const script = `const live = document.getElementById('live');
async function renew() {
  try {
    const answer = document.hidden ? undefined : await fetch('/live');
    if (answer?.ok) live.innerHTML = await answer.text();
  } catch {} // the demo has ended; it may come back
  setTimeout(renew, 500);
}
setTimeout(renew, 500);
`;

export const style = `
:root { --ink: #1d2430; --soft: #5b6675; --paper: #fff; --panel: #f3f5f8; --line: #d5dbe3;
  --good: #0f7b4f; --bad: #b3261e; --key: #3257c9; --key-soft: #c5d1f5; --mark: #e09600 }
@media (prefers-color-scheme: dark) { :root { --ink: #e6eaf0; --soft: #9aa6b5; --paper: #12161c; --panel: #1c222b;
  --line: #313a47; --good: #3ecf8e; --bad: #ff7b72; --key: #7f9cff; --key-soft: #2d3a66; --mark: #ffc14d } }
* { box-sizing: border-box }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 47rem;
  margin: 2rem auto; padding: 0 1rem }
h1 { margin: 0 } header p { margin: .2rem 0 1rem; color: var(--soft) }
h2 { font-size: 1.05rem; margin: 1.6rem 0 .4rem } h2 code { font-size: 1em } small { color: var(--soft); font-weight: 400; margin-left: .4rem;
  font-variant-numeric: tabular-nums }
.token { font: 12.5px/1.6 ui-monospace, monospace; overflow-wrap: anywhere; background: var(--panel); padding: .7rem .9rem;
  border-radius: 8px; margin: 0 }
.token span:nth-child(1) { color: var(--bad) } .token span:nth-child(2) { color: var(--key) } .token span:nth-child(3) { color: var(--good) }
.acts { display: flex; gap: .6rem; margin: .8rem 0 }
button { font: inherit; padding: .45rem 1rem; border-radius: 6px; border: 1px solid var(--line); background: var(--panel);
  color: var(--ink); cursor: pointer }
button.revoke { background: var(--bad); border-color: var(--bad); color: var(--paper); font-weight: 600 }
button:focus-visible { outline: 3px solid var(--key); outline-offset: 2px }
.answer { display: flex; gap: 1rem; align-items: center; border: 1px solid; border-left-width: 8px; border-radius: 8px;
  padding: .6rem 1rem; min-height: 5.2rem }
.answer.good { border-color: var(--good) } .answer.bad { border-color: var(--bad) }
.answer strong { font-size: 2.2rem; line-height: 1 } .good strong { color: var(--good) } .bad strong { color: var(--bad) }
.answer p { margin: 0 } code { font: 12.5px/1.5 ui-monospace, monospace; color: var(--soft); overflow-wrap: anywhere }
svg { display: block; width: 100%; height: auto } .calls { margin: .6rem 0 } rect.good { fill: var(--good) } rect.bad { fill: var(--bad) }
progress { width: 100%; height: .7rem; accent-color: var(--key) }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1.2rem; margin: 0; font: 13px/1.6 ui-monospace, monospace }
dt { color: var(--soft) } dd { margin: 0; overflow-wrap: anywhere }
.keys p { margin: .5rem 0 .15rem; font-size: .9rem } .keys code { color: var(--ink) } .keys svg { height: 18px; border-radius: 3px;
  background: var(--panel) } .keys .ticks { display: flex; justify-content: space-between; color: var(--soft); font-size: .8rem }
.now { stroke: var(--ink); stroke-width: 2; stroke-dasharray: 3 3; vector-effect: non-scaling-stroke }
rect.published { fill: var(--key-soft) } rect.signing { fill: var(--key) } rect.token-life { fill: var(--mark) }
.legend { color: var(--soft); font-size: .9rem; margin: .4rem 0 } .legend span { color: var(--ink); border-left: .9rem solid; padding-left: .35rem; margin-right: .8rem }
.legend .published { border-color: var(--key-soft) } .legend .signing { border-color: var(--key) } .legend .token-life { border-color: var(--mark) }
`;
