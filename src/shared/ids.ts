/** Branded identifiers: strings that the compiler keeps apart. They are made in the shell, never in `control/`. */
declare const brand: unique symbol;
type Branded<Name extends string> = string & { readonly [brand]: Name };

export type NodeId = Branded<'NodeId'>;
export type InstanceId = Branded<'InstanceId'>;
/** What a user said should run; the instances that serve it come and go. */
export type MetaInstanceId = Branded<'MetaInstanceId'>;
export type RunnerId = Branded<'RunnerId'>;
export type TaskId = Branded<'TaskId'>;
/** One client request, from its arrival to its end; the response's `id` and the header `x-command-id`. */
export type CommandId = Branded<'CommandId'>;
/** The name under which users ask for a model, such as `shoal-guide`. */
export type ModelId = Branded<'ModelId'>;
