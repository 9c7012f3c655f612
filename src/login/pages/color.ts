/** A colour of the sRGB space as CSS writes it: # and six hexadecimal digits. */
export type Color = `#${string}`;

export const black: Color = '#000000';
export const white: Color = '#ffffff';

type Channels = readonly [red: number, green: number, blue: number];

function channels(color: Color): Channels {
  return [1, 3, 5].map((at) => Number.parseInt(color.slice(at, at + 2), 16)) as unknown as Channels;
}

function hexadecimal(value: number): string {
  return Math.round(value).toString(16).padStart(2, '0');
}

/** `part` of the second colour, from 0 to 1, in the first. */
export function mix(first: Color, second: Color, part: number): Color {
  const other = channels(second);
  const mixed = channels(first).map((value, index) => hexadecimal(value + ((other[index] as number) - value) * part));
  return `#${mixed.join('')}`;
}

/** Relative luminance, from 0 to 1 (WCAG 2.2). */
function luminance(color: Color): number {
  const [red, green, blue] = channels(color).map((value) => {
    const share = value / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  }) as unknown as Channels;
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

/** Contrast ratio, from 1 to 21 (WCAG 2.2). AA asks 4.5 of text, and 3 of large text and of what a control is seen by. */
export function contrast(first: Color, second: Color): number {
  const [darker, lighter] = [luminance(first), luminance(second)].sort((a, b) => a - b) as [number, number];
  return (lighter + 0.05) / (darker + 0.05);
}

/** White or black, whichever can be read on a colour: white as long as it is good enough. One of them always is. */
export function textOn(color: Color): Color {
  return contrast(white, color) >= 4.5 ? white : black;
}

/** The colour at its most luminous: as strong as the screen shows it, of the same hue. Black has none. */
function brightest(color: Color): Color {
  const values = channels(color);
  const most = Math.max(...values);
  return most === 0 ? white : (`#${values.map((value) => hexadecimal((value * 255) / most)).join('')}` as Color);
}

/**
 * The colour itself, or the nearest darker or lighter one that has at least this contrast with all the surfaces.
 * Towards light it first grows stronger, and pale only where that is not enough.
 */
export function readable(color: Color, surfaces: readonly Color[], ratio: number): Color {
  const extreme = textOn(surfaces[0] as Color);
  const steps = extreme === white ? [brightest(color), white] : [black];
  let from = color;
  for (const to of steps) {
    for (let part = 0; part < 1; part += 0.02) {
      const candidate = mix(from, to, part);
      if (surfaces.every((surface) => contrast(candidate, surface) >= ratio)) return candidate;
    }
    from = to;
  }
  return extreme;
}
