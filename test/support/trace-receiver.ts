/** What collects traces: a real OTLP/HTTP receiver that keeps what it is sent. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';

interface Owner {
  teardown(undo: () => Promise<void>): void;
}

/** A span as OTLP writes it in JSON. */
export interface ReceivedSpan {
  readonly name: string;
  readonly kind: number;
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string | undefined;
  readonly status: { readonly code?: number };
  readonly attributes: Readonly<Record<string, string | number>>;
}

export interface TraceReceiver {
  readonly endpoint: string;
  /** Paths that were posted to, and what. */
  readonly posts: { readonly path: string; readonly type: string | undefined; readonly body: Buffer }[];
  /** The spans of all that was JSON. */
  spans(): ReceivedSpan[];
  /** Attributes of the resource that the first came from. */
  resource(): Readonly<Record<string, string | number>>;
}

export async function startTraceReceiver(
  t: Owner,
  answering = (_request: IncomingMessage, response: ServerResponse) => {
    response.setHeader('content-type', 'application/json').end('{}');
  },
): Promise<TraceReceiver> {
  const posts: { path: string; type: string | undefined; body: Buffer }[] = [];
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    posts.push({
      path: request.url ?? '',
      type: request.headers['content-type'],
      body: Buffer.concat(chunks),
    });
    answering(request, response);
  });
  server.listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  t.teardown(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  const { port } = server.address() as { port: number };
  const sent = () => posts.filter(({ type }) => type === 'application/json').map(({ body }) => JSON.parse(`${body}`));

  return {
    endpoint: `http://127.0.0.1:${port}`,
    posts,
    spans: () =>
      sent()
        .flatMap(({ resourceSpans }) => resourceSpans)
        .flatMap(({ scopeSpans }) => scopeSpans)
        .flatMap(({ spans }) => spans)
        .map((span) => ({
          ...span,
          parentSpanId: span.parentSpanId || undefined,
          attributes: plain(span.attributes),
        })),
    resource: () => plain(sent()[0]?.resourceSpans[0].resource.attributes ?? []),
  };
}

type Attribute = { key: string; value: { stringValue?: string; intValue?: string | number } };

function plain(attributes: Attribute[]): Record<string, string | number> {
  return Object.fromEntries(
    attributes.map(({ key, value }) => [key, value.stringValue ?? Number(value.intValue ?? Number.NaN)]),
  );
}
