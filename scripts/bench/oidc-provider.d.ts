/** What the bench uses of a package that brings no types. */
declare module 'oidc-provider' {
  import type { IncomingMessage, ServerResponse } from 'node:http';

  interface Grant {
    addResourceScope(resource: string, scope: string): void;
    save(): Promise<string>;
  }

  interface RefreshToken {
    save(): Promise<string>;
  }

  export default class Provider {
    constructor(issuer: string, configuration: object);
    readonly Client: { find(id: string): Promise<object> };
    readonly Grant: new (
      properties: object,
    ) => Grant;
    readonly RefreshToken: new (
      properties: object,
    ) => RefreshToken;
    callback(): (request: IncomingMessage, response: ServerResponse) => void;
  }
}
