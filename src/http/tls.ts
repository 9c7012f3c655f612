/** TLS without a proxy in front: a certificate and its key, from files that may be replaced while it runs. */
import { readFile } from 'node:fs/promises';
import type { Server } from 'node:https';
import { createSecureContext } from 'node:tls';
import type { Logger } from 'pino';

export interface CertificateFiles {
  /** Paths of PEM files: the chain, the server's own certificate first, and its private key. */
  readonly cert: string;
  readonly key: string;
}

export interface Certificate {
  readonly cert: Buffer;
  readonly key: Buffer;
}

/** A certificate that does not serve; the message is one line that names the settings. */
export class CertificateError extends Error {}

/** Reads both and sees whether they belong together. Throws a `CertificateError`. */
export async function readCertificate(files: CertificateFiles): Promise<Certificate> {
  const [cert, key] = await Promise.all([read('TLS_CERT', files.cert), read('TLS_KEY', files.key)]);
  try {
    createSecureContext({ cert, key });
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException;
    const why = code === 'ERR_OSSL_X509_KEY_VALUES_MISMATCH' ? 'they do not belong together' : 'they are not PEM';
    throw new CertificateError(`TLS_CERT ${files.cert} and TLS_KEY ${files.key} do not serve: ${why}`);
  }
  return { cert, key };
}

async function read(setting: string, file: string): Promise<Buffer> {
  try {
    return await readFile(file);
  } catch (error) {
    throw new CertificateError(`${setting} ${file} cannot be read: ${(error as NodeJS.ErrnoException).code}`);
  }
}

/** Milliseconds between two looks at the files. */
const interval = 10_000;

/**
 * Gives the server the certificate that is in the files, whenever that is another one; what does not serve is logged, and
 * the one before goes on. Answers how to look at once, and how to stop.
 */
export function watchCertificate(
  server: Server,
  files: CertificateFiles,
  first: Certificate,
  log: Pick<Logger, 'info' | 'error'>,
): { look(): Promise<void>; stop(): void } {
  let current = first;
  let failure: string | undefined;

  async function look(): Promise<void> {
    try {
      const found = await readCertificate(files);
      failure = undefined;
      if (found.cert.equals(current.cert) && found.key.equals(current.key)) return;
      server.setSecureContext(found);
      current = found;
      log.info('another certificate is in force');
    } catch (error) {
      const { message } = error as Error;
      if (message !== failure) log.error(`${message}; the one before stays in force`);
      failure = message;
    }
  }

  const timer = setInterval(() => void look(), interval).unref();
  return { look, stop: () => clearInterval(timer) };
}
