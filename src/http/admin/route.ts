import type { AdminScope } from '../../admin/access.ts';
import type { AdminContext } from '../../admin/context.ts';
import { members, type Static, type TSchema } from './schema.ts';

/** What a route takes, each part checked by its schema. */
interface Parts {
  readonly params: TSchema;
  readonly query: TSchema;
  readonly headers: TSchema;
  readonly body: TSchema;
}

/** What came of it; 201 where something was made that was not there. */
export interface Answer<Document> {
  readonly status: 200 | 201;
  readonly document: Document;
}

/** An act of the admin API: its address, who may, what goes in and what comes out. */
export interface AdminRoute {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** Below `/v1`, with `:name` for what varies. */
  readonly path: string;
  readonly scope: AdminScope;
  readonly summary: string;
  readonly takes: Partial<Parts>;
  /** The document that it answers with. */
  readonly gives: TSchema;
  /** Where it makes something, so that the answer may be 201. */
  readonly creates?: true;
  run(context: AdminContext, asked: never): Promise<Answer<unknown>>;
}

type Asked<Takes extends Partial<Parts>> = {
  [Part in keyof Parts]: Takes[Part] extends TSchema ? Static<Takes[Part]> : Record<string, never>;
};

/** Nobody changes what is to be sent. */
type Immutable<T> = T extends object ? { readonly [Member in keyof T]: Immutable<T[Member]> } : T;

/** A route whose types follow from its schemas. */
export function route<const Takes extends Partial<Parts>, Gives extends TSchema>(
  route: Omit<AdminRoute, 'takes' | 'gives' | 'run'> & {
    readonly takes: Takes;
    readonly gives: Gives;
    run(context: AdminContext, asked: Asked<Takes>): Promise<Answer<Immutable<Static<Gives>>>>;
  },
): AdminRoute {
  return route;
}

export function ok<Document>(document: Document): Answer<Document> {
  return { status: 200, document };
}

export function made<Document>(added: boolean, document: Document): Answer<Document> {
  return { status: added ? 201 : 200, document };
}

/** Schema of one `:name` of a path. */
export function named<Name extends string, Value extends TSchema>(name: Name, value: Value) {
  return members({ [name]: value } as Record<Name, Value>);
}
