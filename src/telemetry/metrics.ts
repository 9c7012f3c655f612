/**
 * Owns what the process can be watched by (the Prometheus text format): counts of what happened, as it is told of it, and what
 * it observes of itself when it is asked. Knows nothing of who asks or tells. Names no person, no client, no token and no address.
 */
import { collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import { type Counts, createCounts } from './counts.ts';
import { type Observed, registerGauges } from './gauges.ts';

export interface Metrics extends Counts {
  /** Begins to observe; once, when all that is observed has been made. */
  observe(observed: Observed): void;
  readonly contentType: string;
  render(): Promise<string>;
}

export interface MetricsOptions {
  readonly version: string;
  /** The tables of what is to reach somebody outside. */
  readonly deliveryTables: readonly string[];
}

export function createMetrics({ version, deliveryTables }: MetricsOptions): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  new Gauge({
    name: 'keyturn_build_info',
    help: 'Always 1; the label says which version this is.',
    labelNames: ['version'],
    registers: [registry],
  }).set({ version }, 1);
  return {
    ...createCounts(registry, deliveryTables),
    observe: (observed) => registerGauges(registry, observed),
    contentType: registry.contentType,
    render: () => registry.metrics(),
  };
}
