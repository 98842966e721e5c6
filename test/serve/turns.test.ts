/** Turns on the server's thread, and what is read of bodies in them. */
import { describe, expect, it } from "vitest";
import { readJson } from "../../src/serve/body.ts";
import { turn } from "../../src/serve/turns.ts";
import { Random } from "../fixtures/random.ts";

const headers = { "content-type": "application/json" };
const read = (body: string | Uint8Array): Promise<unknown> =>
  readJson({ request: new Request("http://localhost/", { method: "POST", headers, body: body as BodyInit }) }).catch((e: unknown) => e);

describe("a turn", () => {
  it("comes to one in each turn of the event loop, in order, and at once where nobody has it", async () => {
    const seen: string[] = [];
    let round = 0;
    const count = (): void => {
      round++;
      if (round < 8) setImmediate(count);
    };
    setImmediate(count);
    await Promise.all(["a", "b", "c", "d"].map(name => turn().then(() => seen.push(`${name} in ${round}`))));
    expect(seen.map(s => s[0]).join("")).toBe("abcd");
    expect(new Set(seen.map(s => s.slice(1))).size).toBe(4);
    expect(seen[0]).toBe("a in 0");
  });
});

describe("a body", () => {
  it("of several slices is read as a whole, whatever is cut in two, and what is no UTF-8 at its end is found", async () => {
    for (const unit of ["a", "é", "€", "😀", 'x"\\\n']) {
      for (const shift of ["", "1", "12", "123"]) {
        const value = { text: shift + unit.repeat(600_000 / unit.length) };
        const bytes = new TextEncoder().encode(JSON.stringify(value));
        expect(await read(bytes)).toEqual(value);
        bytes[bytes.length - 3] = 0xc3;
        expect(await read(bytes)).toMatchObject({ code: "request.invalid" });
        expect(await read(bytes.subarray(0, -4))).toMatchObject({ code: "request.invalid" });
      }
    }
  });

  it("nests as deep as its brackets outside of texts, however long these are and whatever is escaped in them", async () => {
    const r = new Random(1);
    const pieces = ["[", "{", "]", '"', "\\", "\\\\\\", 'a"b', "[[[[", "x".repeat(70), '\\"'.repeat(40), "\\".repeat(63)];
    for (let n = 0; n < 300; n++) {
      const depth = 90 + r.below(14);
      const texts = Array.from({ length: 3 }, () => Array.from({ length: r.below(12) }, () => r.pick(pieces)).join(""));
      const [before, inside, after] = texts.map(t => JSON.stringify(t));
      const body = `[${before},${"[".repeat(depth - 1)}${inside}${"]".repeat(depth - 1)},${after}]`;
      const outcome = await read(body);
      if (depth <= 96) expect(outcome).toEqual(JSON.parse(body));
      else expect(outcome).toMatchObject({ code: "request.invalid", message: expect.stringContaining("deeper") });
    }
  });
});
