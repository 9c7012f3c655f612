/** What OpenTelemetry's standard variables say of traces, as far as it is decided here; all else its packages read themselves. */

/** How traces are to be exported; undefined where they are not. */
export interface TraceSettings {
  readonly protocol: 'http/protobuf' | 'http/json';
}

/** Throws an `Error` that says in one line what is wrong with them. No mistake shows a value: an endpoint may hold a password. */
export function readTraceSettings(
  environment: Readonly<Record<string, string | undefined>>,
): TraceSettings | undefined {
  const given = (name: string) => environment[name]?.trim() || undefined;
  /** The variable of traces, before the one of all signals. */
  const ofTraces = (name: string) => {
    const own = `OTEL_EXPORTER_OTLP_TRACES_${name}`;
    return given(own) === undefined ? `OTEL_EXPORTER_OTLP_${name}` : own;
  };

  const endpointName = ofTraces('ENDPOINT');
  const endpoint = given(endpointName);
  const disabled = given('OTEL_SDK_DISABLED')?.toLowerCase() === 'true';
  const exporters = (given('OTEL_TRACES_EXPORTER') ?? 'otlp').split(',').map((name) => name.trim());
  if (endpoint === undefined || disabled || !exporters.includes('otlp')) return undefined;

  if (!/^https?:$/.test(URL.canParse(endpoint) ? new URL(endpoint).protocol : '')) {
    throw new Error(`${endpointName}: given a value that is not shown; allowed: an http or https URL`);
  }
  const protocolName = ofTraces('PROTOCOL');
  const protocol = given(protocolName) ?? 'http/protobuf';
  if (protocol !== 'http/protobuf' && protocol !== 'http/json') {
    throw new Error(`${protocolName}: given a value that is not spoken; allowed: http/protobuf or http/json`);
  }
  return { protocol };
}
