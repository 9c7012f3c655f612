import { createVerifier, TokenError, type Verifier, type VerifierOptions } from '@keyturn/verifier';
import type { Test } from 'tap';
import { createMovableClocks, type FakeIssuer, type MovableClocks, startFakeIssuer } from './fake-issuer.ts';

/** A verifier, the issuer that it follows, and its clocks. All end with the test. */
export interface VerifierSetting {
  readonly fake: FakeIssuer;
  readonly verifier: Verifier;
  readonly clocks: MovableClocks;
  /** The code with which the verifier refuses a token; undefined if it does not. Rejects for any other error. */
  refusal(token: string): Promise<string | undefined>;
}

export async function startVerifier(t: Test, options: Partial<VerifierOptions> = {}): Promise<VerifierSetting> {
  const fake = await startFakeIssuer(t);
  const clocks = createMovableClocks();
  const { now, monotonic } = clocks;
  fake.clock = () => clocks.right() / 1000;
  const verifier = createVerifier({ issuer: fake.issuer, audience: fake.audience, now, monotonic, ...options });
  t.teardown(() => verifier.close());
  return { fake, verifier, clocks, refusal: (token) => refusalOf(verifier, token) };
}

export async function refusalOf(verifier: Verifier, token: string): Promise<string | undefined> {
  try {
    await verifier.verify(token);
    return undefined;
  } catch (error) {
    if (!(error instanceof TokenError)) throw error;
    return error.code;
  }
}
