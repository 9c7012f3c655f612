import { type Clocks, createKeptDocument, type KeptDocument } from './document.ts';
import { type Http, parseObject } from './http.ts';

/** What of the issuer's metadata (RFC 8414 §2) a verifier needs. */
export interface Metadata {
  readonly jwksUri: string;
  /** Undefined where there is no feed of revocations. */
  readonly revocationsEndpoint: string | undefined;
  readonly revocationsStreamEndpoint: string | undefined;
}

const largest = 1_000_000;

/** The issuer's metadata, from where OpenID Connect Discovery §4 has it. */
export function createMetadata(issuer: string, http: Http, clocks: Clocks): KeptDocument<Metadata> {
  const url = `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`;
  return createKeptDocument({
    clocks,
    maxAge: 600,
    async load() {
      const { text, headers } = await http.get(url, largest);
      return { value: readMetadata(parseObject(text), issuer), headers };
    },
  });
}

function readMetadata(document: Record<string, unknown>, issuer: string): Metadata {
  // Whoever answers here has to be who was asked (RFC 8414 §3.3).
  if (document.issuer !== issuer) throw new Error(`the metadata is of another issuer than ${issuer}`);
  const address = (name: string) => {
    const value = document[name];
    if (value === undefined) return undefined;
    if (typeof value !== 'string' || !isSecure(value)) throw new Error(`${name} in the metadata is not an https URL`);
    return value;
  };
  const jwksUri = address('jwks_uri');
  if (jwksUri === undefined) throw new Error('the metadata names no jwks_uri');
  return {
    jwksUri,
    revocationsEndpoint: address('revocations_endpoint'),
    revocationsStreamEndpoint: address('revocations_stream_endpoint'),
  };
}

/** https, or http that does not leave this machine. */
export function isSecure(url: string): boolean {
  if (!URL.canParse(url)) return false;
  const { protocol, hostname } = new URL(url);
  return protocol === 'https:' || (protocol === 'http:' && /^(localhost|127(\.\d+){3}|\[::1\])$/.test(hostname));
}
