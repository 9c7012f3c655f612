/**
 * Owns traces (OpenTelemetry): the only file with its packages, loaded where they are wanted alone. A span says what was done,
 * how long it took and whether it worked: names of ours, never a value that somebody sent, nor who it was.
 */
import {
  type Attributes,
  type Context,
  context,
  DiagLogLevel,
  defaultTextMapGetter,
  defaultTextMapSetter,
  diag,
  propagation,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  SpanStatusCode,
  trace,
} from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { ExportResultCode, setGlobalErrorHandler, W3CTraceContextPropagator } from '@opentelemetry/core';
import { defaultResource, detectResources, envDetector, resourceFromAttributes } from '@opentelemetry/resources';
import { BasicTracerProvider, BatchSpanProcessor, type SpanExporter } from '@opentelemetry/sdk-trace-base';
import type { TraceSettings } from './standard-variables.ts';
import { statementName } from './statement-name.ts';

/** A request under way. */
export interface RequestSpan {
  /** Runs what answers it: spans that begin there are its children. */
  run<T>(work: () => T): T;
  end(status: number, outcome: string): void;
}

export interface RequestFacts {
  readonly method: string;
  /** The endpoint's path, of which there are as many as there are endpoints. */
  readonly route: string;
  /** What the log calls it. */
  readonly id: string;
  readonly headers: Readonly<Record<string, unknown>>;
}

/** What names the span of a call of a method. */
type SpanNames<T> = {
  readonly [Method in keyof T]?: T[Method] extends (...given: infer Given) => Promise<unknown>
    ? string | ((...given: Given) => string)
    : never;
};

export interface Tracing {
  /** Begins the span of a request, in the trace that its `traceparent` names (W3C Trace Context). */
  request(facts: RequestFacts): RequestSpan;
  /** Begins the span of a statement, within a span alone; what it answers ends it. Takes the text, which has no values in it. */
  statement(text: string): (error?: unknown) => void;
  /** The same object; calls of these methods are spans, within a span alone. */
  spans<T extends object>(subject: T, names: SpanNames<T>): T;
  /** `fetch` by which who is asked learns of the trace (`traceparent`). */
  readonly fetch: typeof fetch;
  /** Sends what has not been sent, for `patience` milliseconds at the most. Never rejects. */
  close(patience: number): Promise<void>;
}

export interface TracingOptions extends TraceSettings {
  readonly version: string;
  /** Told in one line what stands in the way of tracing; the process goes on without. */
  onTrouble(message: string): void;
}

export async function startTracing({ protocol, version, onTrouble }: TracingOptions): Promise<Tracing> {
  let said: string | undefined;
  /** Said once for each different reason, until traces get through again. */
  function say(message: string): void {
    if (message !== said) onTrouble(`traces: ${message}`);
    said = message;
  }
  function sent(): void {
    said = undefined;
  }
  const nothing = () => undefined;
  const logger = { error: say, warn: say, info: nothing, debug: nothing, verbose: nothing };
  diag.setLogger(logger, { logLevel: DiagLogLevel.WARN, suppressOverrideMessage: true });
  // What a receiver answers is not repeated.
  setGlobalErrorHandler((error) => say(`could not be sent (${(error as NodeJS.ErrnoException).code ?? 'refused'})`));
  context.setGlobalContextManager(new AsyncLocalStorageContextManager());
  propagation.setGlobalPropagator(new W3CTraceContextPropagator());

  const provider = new BasicTracerProvider({
    resource: defaultResource()
      .merge(resourceFromAttributes({ 'service.name': 'keyturn', 'service.version': version }))
      .merge(detectResources({ detectors: [envDetector] })),
    spanProcessors: [new BatchSpanProcessor(await createExporter(protocol, sent))],
  });
  const tracer = provider.getTracer('keyturn', version);

  /** A span within the one that is under way; undefined where there is none: what nobody waits for is not traced. */
  function child(name: string, kind = SpanKind.INTERNAL, attributes: Attributes = {}): Span | undefined {
    return trace.getActiveSpan() && tracer.startSpan(name, { kind, attributes });
  }

  return {
    request({ method, route, id, headers }) {
      const attributes = { 'http.request.method': method, 'http.route': route, 'keyturn.request_id': id };
      const from: Context = propagation.extract(ROOT_CONTEXT, headers, defaultTextMapGetter);
      const span = tracer.startSpan(`${method} ${route}`, { kind: SpanKind.SERVER, attributes }, from);
      const within = trace.setSpan(from, span);
      return {
        run: (work) => context.with(within, work),
        end(status, outcome) {
          span.setAttribute('http.response.status_code', status);
          if (outcome !== 'ok') span.setAttribute('error.type', outcome);
          if (status >= 500) span.setStatus({ code: SpanStatusCode.ERROR });
          span.end();
        },
      };
    },

    statement(text) {
      const name = statementName(text);
      const span = child(name, SpanKind.CLIENT, { 'db.system.name': 'postgresql', 'db.query.summary': name });
      return span === undefined ? nothing : (error) => finish(span, error);
    },

    spans<T extends object>(subject: T, names: SpanNames<T>): T {
      const traced: Record<string, unknown> = {};
      for (const [method, name] of Object.entries(names) as [string, string | ((...given: unknown[]) => string)][]) {
        const call = (subject as Record<string, (...given: unknown[]) => Promise<unknown>>)[method];
        traced[method] = async (...given: unknown[]) => {
          const span = child(typeof name === 'string' ? name : name(...given));
          return settle(span, () => (call as NonNullable<typeof call>)(...given));
        };
      }
      return { ...subject, ...traced };
    },

    async fetch(to, init) {
      const { host } = new URL(String(to));
      const method = init?.method ?? 'GET';
      const attributes = { 'http.request.method': method, 'server.address': host };
      const span = tracer.startSpan(method, { kind: SpanKind.CLIENT, attributes });
      const within = trace.setSpan(context.active(), span);
      const headers: Record<string, string> = Object.fromEntries(new Headers(init?.headers));
      propagation.inject(within, headers, defaultTextMapSetter);
      return settle(span, async () => {
        const answer = await fetch(to, { ...init, headers });
        span.setAttribute('http.response.status_code', answer.status);
        return answer;
      });
    },

    async close(patience) {
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise((resolve) => {
        timer = setTimeout(resolve, patience);
      });
      await Promise.race([provider.shutdown().catch((error: Error) => say(`not all was sent (${error.name})`)), late]);
      clearTimeout(timer);
    },
  };
}

async function createExporter(protocol: TraceSettings['protocol'], onSent: () => void): Promise<SpanExporter> {
  const { OTLPTraceExporter } =
    protocol === 'http/json'
      ? await import('@opentelemetry/exporter-trace-otlp-http')
      : await import('@opentelemetry/exporter-trace-otlp-proto');
  const exporter = new OTLPTraceExporter();
  return {
    export: (spans, done) =>
      exporter.export(spans, (result) => {
        if (result.code === ExportResultCode.SUCCESS) onSent();
        done(result);
      }),
    shutdown: () => exporter.shutdown(),
    forceFlush: () => exporter.forceFlush(),
  };
}

/** Runs the work and ends the span with it. */
async function settle<T>(span: Span | undefined, work: () => Promise<T>): Promise<T> {
  try {
    const result = await work();
    if (span) finish(span);
    return result;
  } catch (error) {
    if (span) finish(span, error);
    throw error;
  }
}

/** Of an error its kind alone: messages of Postgres repeat values. */
function finish(span: Span, error?: unknown): void {
  if (error !== undefined && error !== null) {
    const { code, name } = error as NodeJS.ErrnoException;
    span.setAttribute('error.type', typeof code === 'string' ? code : (name ?? 'error'));
    span.setStatus({ code: SpanStatusCode.ERROR });
  }
  span.end();
}
