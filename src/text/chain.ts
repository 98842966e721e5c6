/**
 * The decoders of `tokenizer.json`: a chain of stages that tokens go through as texts, one after the other, so that whole texts and streams
 * come out the same. Most stages change a token by itself; some need to know whether it is the first or the last, or wait for the end of a
 * run of byte tokens.
 */
import { isSpelled, unspell } from "./alphabet.ts";
import type { DecodeOptions, Decoding, Detokenizer } from "./detokenizer.ts";
import { type Normalizer, replacing } from "./normalize/json.ts";
import {
  type Component,
  componentsOf,
  oneCharacter,
  optionalBoolean,
  optionalCount,
  optionalText,
  textOrRegex,
  unsupportedComponent,
} from "./sources/component.ts";
import type { Vocabulary } from "./vocabulary.ts";
import { tidied } from "./wordpiece.ts";

/** Takes a token in parts; `close` ends the token, `end` the text. */
interface Stage {
  write(text: string): void;
  close(): void;
  end(): void;
}

interface Place {
  /** There is text before the first token, so it is no first token. */
  readonly continued: boolean;
  /** There is text after the last token. */
  readonly goesOn: boolean;
}

type Make = (next: Stage, place: Place) => Stage;

/** A stage that needs whole tokens. */
abstract class Whole implements Stage {
  protected readonly next: Stage;
  #held = "";

  constructor(next: Stage) {
    this.next = next;
  }

  write(text: string): void {
    this.#held += text;
  }

  close(): void {
    const token = this.#held;
    this.#held = "";
    this.token(token);
  }

  end(): void {
    this.next.end();
  }

  protected pass(text: string): void {
    this.next.write(text);
    this.next.close();
  }

  protected abstract token(text: string): void;
}

/** Changes each token by itself; the first one in a way of its own. An undefined result leaves the token out. */
class Each extends Whole {
  readonly #change: (text: string, first: boolean) => string | undefined;
  #first: boolean;

  constructor(next: Stage, place: Place, change: (text: string, first: boolean) => string | undefined) {
    super(next);
    this.#change = change;
    this.#first = !place.continued;
  }

  protected token(text: string): void {
    const changed = this.#change(text, this.#first);
    this.#first = false;
    if (changed !== undefined) this.pass(changed);
  }
}

const each =
  (change: (text: string, first: boolean) => string | undefined): Make =>
  (next, place) =>
    new Each(next, place, change);

const byteToken = /^<0x[0-9A-Fa-f]{2}>$/;

/** Runs of byte tokens become the text that they spell, or one U+FFFD a token if that is no text. */
class ByteFallback extends Whole {
  #run: number[] = [];

  protected token(text: string): void {
    if (byteToken.test(text)) this.#run.push(Number.parseInt(text.slice(3, 5), 16));
    else {
      this.#flush();
      this.pass(text);
    }
  }

  override end(): void {
    this.#flush();
    super.end();
  }

  #flush(): void {
    if (this.#run.length === 0) return;
    const bytes = Uint8Array.from(this.#run);
    this.#run = [];
    try {
      this.pass(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes));
    } catch {
      for (let i = 0; i < bytes.length; i++) this.pass("\ufffd");
    }
  }
}

/** Bytes written as characters, joined before they are read as UTF-8. A token with another character is taken as it is. */
class ByteLevel extends Whole {
  readonly #decoder = new TextDecoder("utf-8", { ignoreBOM: true });

  protected token(text: string): void {
    const bytes = isSpelled(text) ? unspell(text) : new TextEncoder().encode(text);
    this.next.write(this.#decoder.decode(bytes, { stream: true }));
  }

  override end(): void {
    this.next.write(this.#decoder.decode());
    this.next.close();
    super.end();
  }
}

class Fuse implements Stage {
  readonly #next: Stage;

  constructor(next: Stage) {
    this.#next = next;
  }

  write(text: string): void {
    this.#next.write(text);
  }

  close(): void {}

  end(): void {
    this.#next.close();
    this.#next.end();
  }
}

/** Takes up to so many of one character off both ends of a token; of a fused one while it is still coming. */
class Strip implements Stage {
  readonly #next: Stage;
  readonly #content: string;
  readonly #start: number;
  readonly #stop: number;
  #left: number;
  /** What may still have to go from the end. */
  #tail = "";

  constructor(next: Stage, content: string, start: number, stop: number, continued: boolean) {
    this.#next = next;
    this.#content = content;
    this.#start = start;
    this.#stop = stop;
    this.#left = continued ? 0 : start;
  }

  write(text: string): void {
    let rest = this.#tail + text;
    while (this.#left > 0 && rest.startsWith(this.#content)) {
      rest = rest.slice(this.#content.length);
      this.#left--;
    }
    if (rest !== "") this.#left = 0;
    const keep = rest.length - this.#trailing(rest) * this.#content.length;
    this.#tail = rest.slice(keep);
    if (keep > 0) this.#next.write(rest.slice(0, keep));
  }

  close(): void {
    this.#tail = "";
    this.#left = this.#start;
    this.#next.close();
  }

  end(): void {
    this.#next.end();
  }

  #trailing(text: string): number {
    let count = 0;
    while (count < this.#stop && text.endsWith(this.#content, text.length - count * this.#content.length)) count++;
    return count;
  }
}

/** Needs to know the last token: the mark at its end is no space. */
class WordEnds extends Whole {
  readonly #suffix: string;
  readonly #goesOn: boolean;
  #waiting: string | undefined;

  constructor(next: Stage, suffix: string, goesOn: boolean) {
    super(next);
    this.#suffix = suffix;
    this.#goesOn = goesOn;
  }

  protected token(text: string): void {
    this.#flush(" ");
    this.#waiting = text;
  }

  override end(): void {
    this.#flush(this.#goesOn ? " " : "");
    super.end();
  }

  #flush(by: string): void {
    if (this.#waiting !== undefined) this.pass(this.#suffix === "" ? this.#waiting : this.#waiting.replaceAll(this.#suffix, by));
    this.#waiting = undefined;
  }
}

function ctc(from: Component): Make {
  const pad = optionalText(from, "pad_token") ?? "<pad>";
  const delimiter = optionalText(from, "word_delimiter_token") ?? "|";
  const cleanup = optionalBoolean(from, "cleanup") ?? true;
  return (next, place) => {
    let before: string | undefined;
    return new Each(next, place, text => {
      if (text === before) return undefined;
      before = text;
      const kept = pad === "" ? text : text.replaceAll(pad, "");
      const result = cleanup ? tidied(kept).replaceAll(delimiter, () => " ") : kept;
      return result === "" ? undefined : result;
    });
  };
}

function wordPiece(from: Component): Make {
  const prefix = optionalText(from, "prefix") ?? "##";
  const cleanup = optionalBoolean(from, "cleanup") ?? true;
  return each((text, first) => {
    const joined = first ? text : prefix !== "" && text.startsWith(prefix) ? text.slice(prefix.length) : ` ${text}`;
    return cleanup ? tidied(joined) : joined;
  });
}

function metaspace(from: Component): Make {
  const block = oneCharacter(from, "replacement", "▁");
  const scheme = optionalText(from, "prepend_scheme") ?? (optionalBoolean(from, "add_prefix_space") === false ? "never" : "always");
  return each((text, first) => text.replaceAll(block, first && scheme !== "never" ? "" : " "));
}

function replace(from: Component): Make {
  const change: Normalizer = replacing(textOrRegex(from), optionalText(from, "content") ?? "");
  return each(change);
}

function strip(from: Component, fused: boolean): Make {
  const content = oneCharacter(from, "content", " ");
  const start = optionalCount(from, "start") ?? 0;
  const stop = optionalCount(from, "stop") ?? 0;
  return (next, place) => new Strip(next, content, start, stop, fused && place.continued);
}

const kinds: Readonly<Record<string, (from: Component, fused: boolean) => Make>> = {
  ByteLevel: () => next => new ByteLevel(next),
  ByteFallback: () => next => new ByteFallback(next),
  Fuse: () => next => new Fuse(next),
  Strip: strip,
  Replace: replace,
  Metaspace: metaspace,
  WordPiece: wordPiece,
  CTC: ctc,
  BPEDecoder: from => {
    const suffix = optionalText(from, "suffix") ?? "</w>";
    return (next, place) => new WordEnds(next, suffix, place.goesOn);
  },
};

/** Tokens that go through the chain of a file. */
export class ChainDecoding implements Decoding {
  readonly #vocabulary: Vocabulary;
  readonly #makes: readonly Make[];
  /** How single tokens stand for bytes that need not be whole characters. */
  readonly #spelled: boolean;
  readonly #byteTokens: boolean;

  /** `value`: the field `decoder`; without one, tokens are joined by spaces. */
  constructor(vocabulary: Vocabulary, value: unknown) {
    const list = componentsOf(value, "decoder", "decoders");
    this.#vocabulary = vocabulary;
    this.#spelled = list.some(from => from.type === "ByteLevel");
    this.#byteTokens = list.some(from => from.type === "ByteFallback");
    let fused = false;
    this.#makes = list.map(from => {
      if (!Object.hasOwn(kinds, from.type)) throw unsupportedComponent("decoder", from.type);
      const make = kinds[from.type](from, fused);
      fused ||= from.type === "Fuse" || from.type === "ByteLevel";
      return make;
    });
    if (list.length === 0) this.#makes = [each((text, first) => (first ? text : ` ${text}`))];
  }

  bytes(id: number, special: boolean): Uint8Array {
    const text = this.#text(id, special);
    if (text === undefined) return new Uint8Array(0);
    if (this.#byteTokens && byteToken.test(text)) return Uint8Array.of(Number.parseInt(text.slice(3, 5), 16));
    if (this.#spelled && isSpelled(text)) return unspell(text);
    return new TextEncoder().encode(this.#run([text], { continued: true, goesOn: true }));
  }

  decode(ids: Iterable<number>, options: DecodeOptions = {}): string {
    const texts: string[] = [];
    for (const id of ids) {
      const text = this.#text(id, options.special ?? false);
      if (text !== undefined) texts.push(text);
    }
    return this.#run(texts, { continued: options.continued ?? false, goesOn: false });
  }

  stream(options: DecodeOptions = {}): Detokenizer {
    let [chain, take] = this.#chain({ continued: options.continued ?? false, goesOn: false });
    return {
      push: id => {
        const text = this.#text(id, options.special ?? false);
        if (text === undefined) return "";
        chain.write(text);
        chain.close();
        return take();
      },
      end: () => {
        chain.end();
        const rest = take();
        [chain, take] = this.#chain({ continued: options.continued ?? false, goesOn: false });
        return rest;
      },
    };
  }

  #text(id: number, special: boolean): string | undefined {
    const text = this.#vocabulary.texts[id];
    return text === undefined || text === "" || (!special && this.#vocabulary.isControl(id)) ? undefined : text;
  }

  #run(texts: readonly string[], place: Place): string {
    const [chain, take] = this.#chain(place);
    for (const text of texts) {
      chain.write(text);
      chain.close();
    }
    chain.end();
    return take();
  }

  /** A chain, and what takes the text that has come out of it. */
  #chain(place: Place): [chain: Stage, take: () => string] {
    let out = "";
    const last: Stage = {
      write: text => {
        out += text;
      },
      close: () => undefined,
      end: () => undefined,
    };
    const chain = this.#makes.reduceRight((next, make) => make(next, place), last);
    const take = (): string => {
      const text = out;
      out = "";
      return text;
    };
    return [chain, take];
  }
}
