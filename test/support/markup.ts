/** Reads the HTML that our pages are made of, and no other: anything it does not know is an error. */

export interface Element {
  readonly name: string;
  readonly attributes: Readonly<Record<string, string>>;
  /** The text up to the next tag. */
  readonly text: string;
}

const tag = /<(\/?[a-z][a-z0-9]*|!doctype)((?: [a-z][a-zA-Z0-9-]*(?:="[^"<>]*")?)*)\/?>([^<]*)/y;
const entities: Record<string, string> = { amp: '&', lt: '<', gt: '>', quot: '"', '#39': "'" };

/** Text as a browser would read it. Throws at a character that should have been escaped. */
function decode(text: string): string {
  return text.replace(/&(\w+|#39);|[&<>"']/g, (match, name: string | undefined) => {
    const character = entities[name ?? ''];
    if (character === undefined && match !== "'") throw new Error(`not escaped: ${match} in ${text}`);
    return character ?? match;
  });
}

/** The tags of a page in order, end tags with their slash. */
export function elementsOf(page: string): Element[] {
  const elements: Element[] = [];
  tag.lastIndex = 0;
  while (tag.lastIndex < page.length) {
    const at = tag.lastIndex;
    const match = tag.exec(page);
    if (match === null) throw new Error(`not our HTML: ${page.slice(at, at + 80)}`);
    const [, name = '', list = '', text = ''] = match;
    const attributes = [...list.matchAll(/ ([a-zA-Z0-9-]+)(?:="([^"]*)")?/g)].map(([, key = '', value = '']) => {
      return [key, decode(value)] as const;
    });
    elements.push({ name, attributes: Object.fromEntries(attributes), text: decode(text) });
  }
  return elements;
}
