/**
 * The one error class of Lathe. Everything that a user, a file or a request can cause is a `LatheError` with a stable `code`, one
 * sentence that says what to do, and the values behind it. Anything else that is thrown is a bug in Lathe.
 */

/** Stable codes, grouped by the noun before the dot. New codes may be added; a code never changes its meaning. */
export type ErrorCode =
  | "file.not-found" // no file at that path
  | "file.unreadable" // exists but cannot be read (permissions, a folder, an I/O error)
  | "file.write-failed" // output could not be written
  | "file.changed" // the file changed or shrank while it was being used
  | "store.not-found" // the model store has no such model
  | "store.offline" // it would need the network, which was forbidden
  | "store.busy" // another process holds it
  | "store.disk-full" // not enough free space: needed, available
  | "store.damaged" // stored bytes are not what was verified when they were stored
  | "remote.not-found" // the server or the repository has no such file
  | "remote.denied" // the server wants a token, or one with more rights
  | "remote.failed" // the server could not be reached, or answers nonsense, after retries
  | "remote.corrupt" // what the server sent does not have the expected SHA-256
  | "gguf.not-gguf" // wrong magic: not a GGUF file
  | "gguf.version" // a GGUF version or byte order that is not read
  | "gguf.truncated" // the file ends before what its header declares
  | "gguf.malformed" // any other violated rule of the format
  | "gguf.split" // a part of a split model is missing or does not fit the others
  | "safetensors.truncated" // the file ends before what its header declares
  | "safetensors.malformed" // any other violated rule of the format, or an index that does not fit its files
  | "folder.malformed" // a file of a Hugging Face folder is not what its name says, or contradicts the others
  | "model.unsupported-arch" // general.architecture is unknown to this version
  | "model.unsupported-type" // a tensor has a type that this version does not run
  | "model.missing-key" // metadata that the architecture needs is absent, of the wrong type or out of its range
  | "model.missing-tensor" // a tensor that the architecture needs is absent
  | "model.wrong-shape" // a tensor's shape contradicts the metadata
  | "model.closed" // used after close() / dispose
  | "session.busy" // a session answers one prompt at a time
  | "tokenizer.unsupported" // tokenizer kind or pre-tokenizer that this version does not know
  | "tokenizer.malformed" // vocabulary that contradicts itself
  | "template.failed" // the chat template does not parse, raised an exception or exceeded its budget
  | "template.missing" // the model has no chat template
  | "memory.insufficient" // the model or the context does not fit: needed, available, suggestion
  | "context.overflow" // prompt plus answer exceed the context
  | "answer.refused" // an answer fits its schema, and the schema's own library refuses it
  | "state.damaged" // saved bytes of a session are not what was saved, or of another version
  | "state.other-model" // a session was saved with another model
  | "prompt.empty" // nothing to evaluate
  | "option.invalid" // an option has a wrong value
  | "option.unknown" // an option that does not exist
  | "grammar.invalid" // a GBNF grammar that breaks its notation's rules
  | "grammar.unsupported" // GBNF that cannot be enforced
  | "grammar.limit" // a constraint that would need too much time or memory
  | "regex.invalid" // no regular expression
  | "regex.unsupported" // a regular expression that cannot be enforced
  | "schema.invalid" // no JSON Schema: a keyword has a wrong value, a reference leads nowhere
  | "schema.unsupported" // JSON Schema that cannot be enforced; never ignored
  | "schema.unsatisfiable" // no value is valid
  | "kernel.invalid" // a kernel failed verification
  | "target.unavailable" // the asked-for target does not run on this machine
  | "target.faulty" // its code does not compute what it should on this machine
  | "engine.failed" // the engine's thread died
  | "request.invalid" // a request to the server that is no JSON, or whose fields are wrong: field
  | "request.too-large" // a body beyond the server's limit
  | "request.unsupported" // something that the protocol knows and this server does not do
  | "server.not-found" // no such route, or no such model on this server
  | "server.denied" // no key, a wrong one, or a host or origin that is not allowed
  | "server.busy" // too much is waiting: retryAfter in seconds
  | "server.closing" // the server shuts down
  | "server.unsafe"; // refused to start in a way that would expose it

/** Characters of a message: names from files, which may have any length, stand in it. */
const LONGEST = 1000;

export class LatheError extends Error {
  override readonly name: string = "LatheError";
  readonly code: ErrorCode;
  /** The values behind the message (paths, sizes in bytes, names); plain data. */
  readonly details: Readonly<Record<string, unknown>>;

  constructor(code: ErrorCode, message: string, details: Record<string, unknown> = {}, options?: ErrorOptions) {
    super(message.length <= LONGEST ? message : `${message.slice(0, LONGEST)} ...`, options);
    this.code = code;
    this.details = details;
  }

  /** Plain data that survives `postMessage`. */
  toJSON(): { code: ErrorCode; message: string; details: Readonly<Record<string, unknown>> } {
    return { code: this.code, message: this.message, details: this.details };
  }
}
