/** The table of ggml tensor types, against sizes stored beside reference data and against the arithmetic of bits per value. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { ggmlType, ggmlTypeNamed, ggmlTypes, rowBytes } from "../../src/formats/types.ts";
import { describeShared } from "../shared.ts";
import { caught } from "./caught.ts";

describe("ggml types", () => {
  it("covers every id below 43 once: 35 usable, 8 removed", () => {
    const ids = Array.from({ length: 43 }, (_, id) => ggmlType(id));
    expect(ids.map(type => type.id)).toEqual(ids.map((_, id) => id));
    expect(ids.filter(type => type.unusable === undefined)).toEqual([...ggmlTypes]);
    expect(ids.filter(type => type.unusable !== undefined).map(type => type.id)).toEqual([4, 5, 31, 32, 33, 36, 37, 38]);
    expect(new Set(ids.map(type => type.name)).size).toBe(43);
  });

  it("has the bits per value that the types are known for", () => {
    const bits = (name: string): number => {
      const type = ggmlTypeNamed(name);
      return type ? (type.blockBytes * 8) / type.blockLength : 0;
    };
    const known = {
      F32: 32,
      BF16: 16,
      Q4_0: 4.5,
      Q8_0: 8.5,
      Q2_K: 2.625,
      Q3_K: 3.4375,
      Q4_K: 4.5,
      Q6_K: 6.5625,
      IQ1_S: 1.5625,
      TQ1_0: 1.6875,
    };
    for (const [name, expected] of Object.entries(known)) expect([name, bits(name)]).toEqual([name, expected]);
    expect(ggmlTypeNamed("q4_k")).toBe(ggmlType(12));
    expect(ggmlTypeNamed("Q4_2")).toBeUndefined();
  });

  it("gives the bytes of rows, and refuses what cannot be stored", async () => {
    expect(rowBytes(ggmlType(12), 4096)).toBe(2304);
    expect(rowBytes(ggmlType(0), 3)).toBe(12);
    expect(rowBytes(ggmlType(2), 0)).toBe(0);
    await caught("model.wrong-shape", () => rowBytes(ggmlType(2), 48));
    const error = await caught("model.unsupported-type", () => rowBytes(ggmlType(4), 32));
    expect(error.details).toMatchObject({ type: 4, name: "Q4_2" });
  });

  it("has a record for any other id", () => {
    expect(ggmlType(140)).toMatchObject({ id: 140, name: "IQ5_K", unusable: expect.stringContaining("ik_llama.cpp") });
    expect(ggmlType(212).unusable).toContain("ik_llama.cpp");
    expect(ggmlType(2 ** 32 - 1)).toMatchObject({ name: "type 4294967295", blockBytes: 0 });
  });
});

describeShared("blocks of the reference implementation", "ggml-blocks", folder => {
  it("have the ids and sizes of the table", () => {
    const { types } = JSON.parse(readFileSync(join(folder, "index.json"), "utf8")) as { types: string[] };
    expect(types.length).toBeGreaterThan(20);
    for (const name of types) {
      const stored = JSON.parse(readFileSync(join(folder, `${name}.json`), "utf8"));
      expect(ggmlTypeNamed(name)).toEqual({
        id: stored.id,
        name: stored.type,
        blockLength: stored.blockValues,
        blockBytes: stored.blockBytes,
      });
    }
  });
});
