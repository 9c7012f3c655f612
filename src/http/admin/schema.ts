/** The kinds of values of the admin API as JSON Schema: each text by the name of its kind, which is checked as a format. */
import { Ajv, type ErrorObject } from 'ajv';
import Type, { type Static, type TSchema } from 'typebox';
import * as values from '../../admin/values.ts';

const kinds = { ...values };

type Named = Extract<
  { [Name in keyof typeof kinds]: (typeof kinds)[Name] extends values.TextValue ? Name : never }[keyof typeof kinds],
  string
>;

/** A text of a kind. */
export function text(kind: Named, description?: string) {
  const { says } = kinds[kind];
  return Type.String({ format: kind, description: description ?? `It ${says}.`, maxLength: 10_000 });
}

/** One of the words of a kind. */
export function word(kind: 'alg' | 'idTokenAlg' | 'grantType' | 'authMethod') {
  return Type.Unsafe<string>({ type: 'string', enum: [...kinds[kind].words] });
}

/** A list of different values. */
export function listOf<Item extends TSchema>(item: Item) {
  return Type.Array(item, { uniqueItems: true, maxItems: values.mostValues });
}

export function nullable<Item extends TSchema>(item: Item) {
  return Type.Union([item, Type.Null()]);
}

/** Seconds since 1970 (NumericDate, RFC 7519 §2). */
export const instant = Type.Number({ description: 'Seconds since 1970.' });

/** An object without members beyond those. */
export function members<Members extends Record<string, TSchema>>(of: Members, description?: string) {
  return Type.Object(of, { additionalProperties: false, ...(description !== undefined && { description }) });
}

/** A page of a list. */
export function pageOf<Item extends TSchema>(item: Item) {
  return members({
    items: Type.Array(item),
    next: nullable(Type.String({ description: 'Give it as `after` for the next page.' })),
  });
}

export const pageAsked = members({
  after: Type.Optional(Type.String({ description: '`next` of the page before.', maxLength: 1_000 })),
  limit: Type.Integer({ minimum: 1, maximum: 1_000, default: 100 }),
});

/** How each kind of text is checked, by its name. */
export const formats = Object.fromEntries(
  Object.entries(kinds).flatMap(([name, kind]) =>
    typeof kind === 'object' && 'accepts' in kind ? [[name, kind.accepts]] : [],
  ),
);

/** Numbers in a query come as text; in a body nothing is taken for what it is not. */
export function createValidators() {
  const shared = { formats, useDefaults: true, strict: true } as const;
  const strict = new Ajv({ ...shared, coerceTypes: false });
  const ofText = new Ajv({ ...shared, coerceTypes: true });
  return { strict, ofText };
}

/** What is wrong, in one sentence that repeats no value. */
export function explain({ keyword, instancePath, params, message }: ErrorObject, part: string): string {
  const where = instancePath.slice(1) || part;
  if (keyword === 'format') return `${where} ${kinds[params.format as Named].says}`;
  if (keyword === 'required') return `${params.missingProperty} is missing`;
  if (keyword === 'additionalProperties') return `${part} has a member that is not known here`;
  if (keyword === 'enum') return `${where} must be one of ${params.allowedValues.join(', ')}`;
  return `${where} ${message}`;
}

export type { Static, TSchema };
export { Type };
