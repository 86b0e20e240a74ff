/**
 * What a checked value of a plan comes to, from the type that its schema gives: what was left out and has no default is `null`, and nothing can
 * be written to.
 */
export type Resolved<Value> = Value extends readonly (infer Element)[]
  ? readonly Resolved<Element>[]
  : Value extends object
    ? { readonly [Key in keyof Value]-?: ResolvedKey<Value[Key]> }
    : Value;

type ResolvedKey<Value> = undefined extends Value ? Resolved<Exclude<Value, undefined>> | null : Resolved<Value>;
