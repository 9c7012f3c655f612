/** What went wrong between Keyturn and Postgres, in one line that whoever runs it can act on. Knows nothing of callers. */

/**
 * `configuration`: trying again will not help until somebody changes a setting; `unavailable`: it may help at any
 * moment; `busy`: the same, and the server is there; `other`: none of these, and probably our own mistake.
 */
export type DatabaseErrorKind = 'configuration' | 'unavailable' | 'busy' | 'other';

/** Where a database is and who asks there: all that a message may say of its URL. */
export interface DatabaseAddress {
  /** A host name or address, or the folder of a Unix socket. */
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly user: string;
}

/** A failure whose `message` is one line for a person: no password, no URL, no stack worth showing. */
export class DatabaseError extends Error {
  readonly kind: DatabaseErrorKind;

  constructor(kind: DatabaseErrorKind, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'DatabaseError';
    this.kind = kind;
  }
}

/** The database was migrated by a later Keyturn: neither the server nor the command line may touch it. */
export class NewerSchemaError extends DatabaseError {
  constructor(migrations: readonly string[], address: DatabaseAddress) {
    const [first, ...more] = migrations;
    const named = more.length === 0 ? `migration ${first}` : `migration ${first} and ${more.length} more`;
    super(
      'configuration',
      `database "${address.database}" at ${place(address)} is newer than this Keyturn, which does not know its ${named}: upgrade Keyturn`,
    );
    this.name = 'NewerSchemaError';
  }
}

export interface DatabaseFailure {
  readonly kind: DatabaseErrorKind;
  /** One line. */
  readonly message: string;
}

/** Host and port, as a message says them. */
export function place({ host, port }: DatabaseAddress): string {
  if (host.startsWith('/')) return host;
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

/** Says what any error of `pg`, of Prisma or of this room means. The one place that knows their codes. */
export function explainDatabaseError(error: unknown, address: DatabaseAddress): DatabaseFailure {
  let said = '';
  for (const link of chain(error)) {
    if (link instanceof DatabaseError) return { kind: link.kind, message: link.message };
    const { code, message } = asSaid(link);
    const failure = misconfigured(code, message, address) ?? unavailable(code, message, address);
    if (failure !== undefined) return failure;
    said = message || said;
  }
  return { kind: 'other', message: said };
}

/** Whether an error, whatever its class, says that the database is away or has no turn to give: it passes by itself. */
export function isDatabaseAway(error: unknown): boolean {
  return passesByItself(explainDatabaseError(error, nowhere));
}

export function passesByItself({ kind }: DatabaseFailure): boolean {
  return kind === 'unavailable' || kind === 'busy';
}

/** For a message that nobody reads. */
const nowhere: DatabaseAddress = { host: '', port: 0, database: '', user: '' };

/** The error and what it wraps: Prisma hides the driver's error two levels down, Node several in one. */
function* chain(error: unknown): Generator<unknown> {
  yield error;
  if (typeof error !== 'object' || error === null) return;
  const { meta, cause, errors } = error as {
    meta?: { driverAdapterError?: unknown };
    cause?: unknown;
    errors?: unknown;
  };
  for (const inner of [meta?.driverAdapterError, cause, ...(Array.isArray(errors) ? errors : [])]) {
    if (inner !== undefined && inner !== null) yield* chain(inner);
  }
}

function asSaid(link: unknown): { code: string; message: string } {
  if (typeof link !== 'object' || link === null) return { code: '', message: oneLine(String(link)) };
  const said = link as Partial<
    Record<'originalCode' | 'code' | 'kind' | 'originalMessage' | 'message' | 'reason', unknown>
  >;
  return {
    code: String(said.originalCode ?? said.code ?? said.kind ?? ''),
    message: oneLine(String(said.originalMessage ?? said.message ?? said.reason ?? '')),
  };
}

/** The last line: that is where Prisma puts the matter, below an excerpt of our source. */
function oneLine(text: string): string {
  return (
    text
      .trim()
      .split(/\s*\n\s*/)
      .at(-1)
      ?.slice(0, 300) ?? ''
  );
}

/** What OpenSSL's and Node's verdicts on a certificate or a handshake begin with. */
const tlsCode =
  /^(TlsConnectionError$|CERT_|ERR_TLS_|ERR_SSL_|UNABLE_TO_|DEPTH_ZERO_|SELF_SIGNED_|HOSTNAME_|INVALID_(CA|PURPOSE)$)/;
const noTls = 'The server does not support SSL connections';
const tlsRefused = 'There was an error establishing an SSL connection';

function misconfigured(code: string, message: string, address: DatabaseAddress): DatabaseFailure | undefined {
  const server = `Postgres at ${place(address)}`;
  const because = (line: string): DatabaseFailure => ({ kind: 'configuration', message: line });
  switch (code) {
    case '28P01':
      return because(`${server} does not accept the password of user "${address.user}"`);
    case '28000': {
      const hint = /no encryption|SSL off/.test(message)
        ? ' (it may want TLS: add sslmode=verify-full to the URL)'
        : '';
      return because(
        `${server} does not let user "${address.user}" into database "${address.database}": ${message}${hint}`,
      );
    }
    case '3D000':
      return because(`${server} has no database "${address.database}"`);
    case '26000':
    case '42P05':
      return because(
        `a pooler before ${server} loses prepared statements: let it pool sessions, or keep them (PgBouncer 1.21, max_prepared_statements)`,
      );
    case '3F000':
    case '42501':
      return because(
        `user "${address.user}" lacks a right in database "${address.database}" at ${place(address)}: ${message}`,
      );
  }
  if (message === noTls) return because(`${server} does not offer TLS, which the database URL asks for`);
  if (tlsCode.test(code) || message === tlsRefused) return because(`TLS with ${server} fails: ${message}`);
  // The client's own complaint, before any password is sent: there is none, or the server does not know it either.
  if (/^SASL: .*password must be/.test(message)) {
    return because(`${server} asks user "${address.user}" for a password, and the database URL has none`);
  }
  if (message.startsWith('SASL: ')) return because(`signing in to ${server} fails: ${message}`);
  return undefined;
}

/** Sockets that do not get through, under Node's names and the Prisma adapter's. */
const unreachable = new Set(
  (
    'ECONNREFUSED ECONNRESET ECONNABORTED EPIPE ETIMEDOUT EHOSTUNREACH EHOSTDOWN ENETUNREACH ENETDOWN EADDRNOTAVAIL ' +
    'DatabaseNotReachable ConnectionClosed SocketTimeout P1001 P1002 P1008 P1017'
  ).split(' '),
);

/**
 * What passes by itself: connection lost (08), resources (53), shutdown, start-up and idle time-outs (57P), a
 * transaction that idled, a standby that has not been promoted; and Prisma waiting in vain for a turn.
 */
const passing = /^(08...|53...|57P..|25P03|25006|P2024)$/;

/** What took too long for the server, a wait for a lock above all, or for the whole transaction. */
const tooLong = /^(57014|55P03|P2028)$/;

/** What `pg` gives no code, and a Unix socket that is not there (a missing file is another matter). */
const lost =
  /^(connect ENOENT|Connection terminated|timeout expired|timeout exceeded when trying to connect|Query read timeout|Client has encountered a connection error|Client was closed)/;

function unavailable(code: string, message: string, address: DatabaseAddress): DatabaseFailure | undefined {
  const because = (line: string): DatabaseFailure => ({ kind: 'unavailable', message: line });
  if (code === 'ENOTFOUND') return because(`there is no host named "${address.host}" to find Postgres at`);
  if (code === 'EAI_AGAIN') return because(`the host name "${address.host}" of Postgres cannot be looked up now`);
  if (unreachable.has(code))
    return because(`Postgres at ${place(address)} cannot be reached${code.startsWith('E') ? ` (${code})` : ''}`);
  if (passing.test(code)) return because(`Postgres at ${place(address)} cannot serve now: ${message}`);
  if (tooLong.test(code)) return { kind: 'busy', message: `Postgres at ${place(address)} takes too long: ${message}` };
  if (lost.test(message)) return because(`Postgres at ${place(address)} does not answer: ${message}`);
  return undefined;
}
