import { type Color, contrast, mix, readable, textOn } from './color.ts';

/** The colours of one scheme that are the same for every brand. */
const schemes = {
  light: {
    page: '#f4f4f1',
    card: '#ffffff',
    text: '#1b1c1a',
    quiet: '#575953',
    line: '#e2e2dc',
    edge: '#84867e',
    bad: '#a3231a',
    'bad-card': '#fdf1ef',
    good: '#1d6b3f',
    'good-card': '#eef7f1',
  },
  dark: {
    page: '#111210',
    card: '#1b1c1a',
    text: '#ecece7',
    quiet: '#acaea5',
    line: '#31332e',
    edge: '#7c7e75',
    bad: '#ffa296',
    'bad-card': '#351f1c',
    good: '#8ad6a8',
    'good-card': '#1a2c21',
  },
} as const satisfies Record<string, Record<string, Color>>;

export type Palette = Readonly<Record<string, Color>>;

/**
 * The colours of the pages in both schemes, by the names of the stylesheet's variables. The brand's own colour is used
 * as it is where only a shape shows it, and darker or lighter as far as needed where something is read or found by it.
 */
export function palettesOf(brand: Color): { readonly light: Palette; readonly dark: Palette } {
  const label = textOn(brand);
  function complete(scheme: (typeof schemes)['light' | 'dark']): Palette {
    const { card, page } = scheme;
    const glow = mix(page, brand, 0.12);
    return {
      ...scheme,
      glow,
      brand,
      'on-brand': label,
      // Away from its label, so that contrast can only grow.
      'brand-hover': mix(brand, textOn(label), 0.14),
      'brand-edge': contrast(brand, card) >= 3 ? brand : readable(brand, [card], 3),
      link: readable(brand, [card, page, glow], 5),
    };
  }
  return { light: complete(schemes.light), dark: complete(schemes.dark) };
}

function variables(palette: Palette): string {
  return Object.entries(palette)
    .map(([name, color]) => `--${name}: ${color};`)
    .join(' ');
}

/** The one stylesheet of all pages, in a brand's colour. */
export function stylesheetOf(brand: Color): string {
  const { light, dark } = palettesOf(brand);
  return `:root { color-scheme: light dark; ${variables(light)} }
@media (prefers-color-scheme: dark) { :root { ${variables(dark)} } }
${rules}`;
}

const rules = `
*, ::before, ::after { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body {
  margin: 0; min-height: 100vh; min-height: 100svh; padding: 3rem 1.25rem; display: flex; flex-direction: column;
  color: var(--text); background: var(--page); border-top: .375rem solid var(--brand);
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif;
  overflow-wrap: anywhere;
}
h1, h2, p, ul, dl, dd, form { margin: 0; padding: 0; }
h1 { font-size: 1.625rem; line-height: 1.25; font-weight: 650; letter-spacing: -.015em; text-wrap: balance; }
h2 { font-size: 1.125rem; line-height: 1.35; font-weight: 650; letter-spacing: -.005em; }
p { text-wrap: pretty; }
ul { list-style: none; }
strong { font-weight: 600; }
code { font: .875em/1.5 ui-monospace, "SF Mono", Menlo, Consolas, monospace; background: var(--page); border: 1px solid var(--line); border-radius: .375rem; padding: .05em .35em; }
a { color: var(--link); text-underline-offset: .2em; text-decoration-thickness: 1px; border-radius: .25rem; }
a:hover { text-decoration-thickness: 2px; }
svg { display: block; flex: none; }
:focus-visible { outline: 3px solid var(--link); outline-offset: 2px; }

main {
  width: 100%; max-width: 28rem; margin: auto; padding: 2.75rem; display: grid; grid-template-columns: minmax(0, 1fr); gap: 1.75rem;
  background: var(--card); border: 1px solid var(--line); border-radius: 1.25rem;
  box-shadow: 0 1px 2px rgb(0 0 0 / .04), 0 1.5rem 3rem -1.5rem rgb(0 0 0 / .14);
}
main.wide { max-width: 46rem; margin-top: 0; gap: 3rem; }
.brand { display: flex; align-items: center; gap: .625rem; font-weight: 600; min-height: 2.25rem; }
.brand img { width: 2.25rem; height: 2.25rem; }
.brand .logo { width: auto; max-width: 100%; height: 2.5rem; object-fit: contain; object-position: left; color-scheme: light; }
.intro, .stack, section { display: grid; grid-template-columns: minmax(0, 1fr); gap: .5rem; }
.stack { gap: 1.25rem; }
section { gap: 1rem; }
.quiet { color: var(--quiet); }
.small { font-size: .875rem; }

label { display: block; font-size: .9375rem; font-weight: 550; margin-bottom: .375rem; }
input {
  display: block; width: 100%; min-height: 3rem; padding: .625rem .875rem; font: inherit; color: inherit;
  background: var(--card); border: 1px solid var(--edge); border-radius: .75rem;
}
input + p { margin-top: .375rem; }
input:focus-visible { outline-offset: -1px; border-color: var(--link); }
input[aria-invalid] { border-color: var(--bad); }

.button {
  display: flex; align-items: center; justify-content: center; width: 100%; min-height: 3rem; padding: .625rem 1.25rem;
  font: inherit; font-weight: 600; text-align: center; text-decoration: none; cursor: pointer;
  color: var(--text); background: var(--card); border: 1px solid var(--edge); border-radius: .75rem;
}
.button:hover { background: var(--page); }
.primary { color: var(--on-brand); background: var(--brand); border-color: var(--brand-edge); }
.primary:hover { background: var(--brand-hover); }
.slim { width: auto; min-height: 2.5rem; padding: .375rem 1rem; font-size: .9375rem; }
.plain {
  font: inherit; color: var(--link); background: none; border: 0; border-radius: .25rem; padding: .25rem 0; min-height: 1.5rem;
  text-align: start; text-decoration: underline 1px; text-underline-offset: .2em; cursor: pointer;
}
.plain:hover { text-decoration-thickness: 2px; }
.buttons { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 8.5rem), 1fr)); gap: .75rem; }

.note { display: flex; gap: .75rem; padding: .875rem 1rem; border: 1px solid; border-radius: .75rem; }
.note svg { margin-top: .125rem; }
.bad { color: var(--bad); }
.note.bad { background: var(--bad-card); }
.good { color: var(--good); }
.note.good { background: var(--good-card); }

.list { border: 1px solid var(--line); border-radius: 1rem; }
.list > li { display: flex; gap: .875rem; align-items: flex-start; padding: .75rem 1.125rem; }
.roomy > li { padding-block: 1rem; }
.list > li + li { border-top: 1px solid var(--line); }
.list svg { margin-top: .125rem; color: var(--link); }
.list div { flex: 1; min-width: 0; }
.list .good svg, .list .bad svg, .list .quiet svg { color: inherit; }
.list strong { color: var(--text); }
.person { display: flex; gap: .875rem; align-items: center; width: 100%; }
.person > span { min-width: 0; text-align: start; }
.person .initial { display: grid; place-items: center; flex: none; width: 2.5rem; height: 2.5rem; border-radius: 50%; font-weight: 600; color: var(--link); background: var(--glow); border: 1px solid var(--line); }
button.person { justify-content: flex-start; padding: .875rem 1.125rem; border-radius: 1rem; border-color: var(--edge); font-weight: 400; }
.badge { display: inline-block; padding: 0 .625rem; font-size: .8125rem; font-weight: 600; line-height: 1.5rem; color: var(--good); background: var(--good-card); border-radius: 1rem; }
.top { display: flex; flex-wrap: wrap; gap: .75rem 1.5rem; align-items: center; justify-content: space-between; }
.narrow { max-width: 24rem; }
.offscreen { position: absolute; width: 1px; height: 1px; margin: -1px; padding: 0; border: 0; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }

@media (prefers-color-scheme: dark) {
  main { box-shadow: none; }
  .brand .logo { height: 3.25rem; padding: .5rem .75rem; background: #fff; border-radius: .75rem; }
}
@media (prefers-reduced-motion: no-preference) {
  .button, input { transition: background-color .15s, border-color .15s; }
}
@media (max-width: 36rem) {
  body { padding: 0; background: var(--card); }
  main { margin: 0; max-width: none; padding: 2rem 1.5rem; border: 0; border-radius: 0; box-shadow: none; }
  .roomy > li { flex-wrap: wrap; }
  .roomy > li > div { flex-basis: calc(100% - 2.125rem); }
  .roomy > li > div + * { margin-inline-start: 2.125rem; }
}
`;
