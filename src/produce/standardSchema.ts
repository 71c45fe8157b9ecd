/**
 * Standard Schema (https://standardschema.dev), version 1: what Zod, Valibot, ArkType, Effect Schema and others have in common. Copied, as the
 * specification asks, so that none of them is needed.
 */
export interface StandardSchema<Input = unknown, Output = Input> {
  readonly '~standard': {
    readonly version: 1;
    readonly vendor: string;
    readonly validate: (value: unknown) => SchemaResult<Output> | Promise<SchemaResult<Output>>;
    readonly types?: { readonly input: Input; readonly output: Output } | undefined;
  };
}

export type SchemaResult<Output> =
  { readonly value: Output; readonly issues?: undefined } | { readonly issues: readonly SchemaIssue[] };

export interface SchemaIssue {
  readonly message: string;
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

/** What a schema takes; `unknown` where it does not say. */
export type SchemaInput<Schema> = Schema extends StandardSchema<infer Input, infer _Output> ? Input : never;

/** `payload.lines[0].total: Expected number` */
export function issueText({ message, path = [] }: SchemaIssue): string {
  const steps = path.map((step) => {
    const key = typeof step === 'object' ? step.key : step;
    return typeof key === 'number' ? `[${key}]` : `.${String(key)}`;
  });
  return `payload${steps.join('')}: ${message}`;
}
