/** An event (HTML Living Standard §9.2.6). */
export interface ServerEvent {
  readonly type: string;
  readonly id: string | undefined;
  readonly data: string;
}

/**
 * The events of a stream, as they come. Throws where one is longer than `longest` characters, or not UTF-8. Each line
 * is looked at once, however small the pieces are in which it comes.
 */
export async function* readEvents(chunks: AsyncIterable<Uint8Array>, longest: number): AsyncGenerator<ServerEvent> {
  let type = 'message';
  let id: string | undefined;
  let data: string[] = [];
  let size = 0;
  for await (const line of linesOf(chunks, longest)) {
    if (line === '') {
      if (data.length > 0) yield { type, id, data: data.join('\n') };
      [type, id, data, size] = ['message', undefined, [], 0];
      continue;
    }
    const [, field, value = ''] = /^([^:]*)(?:: ?(.*))?$/s.exec(line) ?? [];
    if (field === 'event') type = value;
    else if (field === 'id') id = value;
    else if (field === 'data') {
      data.push(value);
      size += value.length;
      if (size > longest) throw new Error('an event is too long');
    }
  }
}

/** Lines that end in CR LF, LF or CR; what stands after the last end of a line is none. */
async function* linesOf(chunks: AsyncIterable<Uint8Array>, longest: number): AsyncGenerator<string> {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  let pieces: string[] = [];
  let size = 0;
  let afterReturn = false;
  for await (const bytes of chunks) {
    let text = decoder.decode(bytes, { stream: true });
    if (text === '') continue;
    if (afterReturn && text.startsWith('\n')) text = text.slice(1);
    afterReturn = text.endsWith('\r');
    const [first = '', ...others] = text.split(/\r\n|\n|\r/);
    pieces.push(first);
    size += first.length;
    if (size > longest) throw new Error('a line is too long');
    for (const next of others) {
      yield pieces.join('');
      pieces = [next];
      size = next.length;
    }
  }
}
