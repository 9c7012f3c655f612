/** What serves those who run the issuer. Part of the composition root; loaded where ADMIN_PORT is set, and not else. */
import type { FastifyInstance } from 'fastify';
import type { Logger } from 'pino';
import type { AdminContext } from './admin/context.ts';
import { createAdminServer, type Rendered } from './http/admin-server.ts';
import type { Certificate } from './http/tls.ts';
import type { Schedule } from './keys/lifecycle.ts';
import type { NumericDate } from './protocol/time.ts';
import { actingAs, type Database } from './store/database.ts';
import type { ActOptions } from './tokens/act.ts';
import { createRevoker } from './tokens/revocation.ts';
import type { TokenReader } from './tokens/verification.ts';

export interface AdministrationParts {
  readonly issuer: string;
  readonly version: string;
  readonly database: Database;
  readonly passwords: AdminContext['passwords'];
  readonly reader: TokenReader;
  readonly revocation: Omit<ActOptions, 'database'>;
  readonly metrics: Rendered;
  readonly log: Logger;
  readonly certificate: Certificate | undefined;
  now(): NumericDate;
  schedule(): Schedule;
  ready(): boolean;
}

export function composeAdministration(parts: AdministrationParts): Promise<FastifyInstance> {
  const { issuer, version, passwords, reader, metrics, log, certificate, now, schedule, ready } = parts;
  const api = {
    issuer,
    version,
    reader,
    ready,
    contextFor(actor: AdminContext['database']['actor']): AdminContext {
      const database = actingAs(parts.database, actor);
      const revoker = createRevoker({ ...parts.revocation, database });
      return { issuer, database, revoker, passwords, now: now(), schedule: schedule(), appoints: false };
    },
  };
  return createAdminServer({ metrics, api, log, certificate });
}
