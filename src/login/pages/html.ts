/**
 * Owns the writing of HTML. What stands in a template is ours and goes out as it is; every value put into one is
 * escaped, and there is no way around that. Must not know what any page says.
 */

class Markup {
  readonly #text: string;
  constructor(text: string) {
    this.#text = text;
  }
  toString(): string {
    return this.#text;
  }
}

class Attributes extends Markup {}

/** HTML made by `html`. Nothing outside this file can make one of a text. */
export type Html = Markup;

/** What may stand between tags; nothing comes of undefined. Between double quotes only texts and numbers may. */
export type Content = string | number | Html | readonly Content[] | undefined;

/** The template tag. Throws a TypeError if a value stands where escaping could not protect it. */
export function html(constants: TemplateStringsArray, ...values: Content[]): Html {
  const places = placesIn(constants);
  const text = values.map((value, index) => written(value, places[index] as Place) + constants[index + 1]);
  return new Markup(constants[0] + text.join(''));
}

/** Attributes for a value's place inside a tag. True: the name alone. Undefined and false: nothing. */
export function attributes(given: Readonly<Record<string, string | boolean | undefined>>): Html {
  const present = Object.entries(given).filter(([, value]) => value !== undefined && value !== false);
  const texts = present.map(([name, value]) => {
    if (!/^[a-z-]+$/.test(name)) throw new TypeError('not the name of an attribute');
    return value === true ? ` ${name}` : ` ${name}="${escaped(String(value))}"`;
  });
  return new Attributes(texts.join(''));
}

const entities: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };

/** Control characters have no business on a page: a reader sees that something was there. */
function escaped(text: string): string {
  return text.replace(/[^\P{Cc}\t\n]/gu, '\uFFFD').replace(/[&<>"']/g, (character) => entities[character] as string);
}

function written(value: Content, place: Place): string {
  if (value === undefined) return '';
  if (typeof value === 'string' || typeof value === 'number') {
    if (place !== 'tag') return escaped(String(value));
  } else if (value instanceof Markup) {
    if (value instanceof Attributes ? place === 'tag' : place === 'text') return String(value);
  } else if (Array.isArray(value) && place === 'text') {
    return value.map((item: Content) => written(item, place)).join('');
  }
  throw new TypeError(`a value of this kind is not safe in this place: ${place}`);
}

type Place = 'text' | 'tag' | 'quoted';

const knownPlaces = new WeakMap<TemplateStringsArray, readonly Place[]>();

/** In what each value of a template stands: between tags, in a tag, or in a tag between double quotes. */
function placesIn(constants: TemplateStringsArray): readonly Place[] {
  const known = knownPlaces.get(constants);
  if (known !== undefined) return known;
  const places: Place[] = [];
  let place: Place = 'text';
  for (const constant of constants) {
    for (const character of constant) place = after(place, character);
    places.push(place);
  }
  if (place !== 'text' || /<(?:script|style|!--)/i.test(constants.join(''))) {
    throw new TypeError('a template is whole elements, without scripts, styles and comments');
  }
  knownPlaces.set(constants, places);
  return places;
}

function after(place: Place, character: string): Place {
  if (place === 'text') return character === '<' ? 'tag' : 'text';
  if (place === 'quoted') return character === '"' ? 'tag' : 'quoted';
  if (character === "'") throw new TypeError('attributes stand between double quotes');
  if (character === '"') return 'quoted';
  return character === '>' ? 'text' : 'tag';
}
