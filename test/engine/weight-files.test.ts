/** Where a model's bytes come from while it is loaded: small tensors are read whole, wherever their bytes lie. */
import { describe, expect, it } from "vitest";
import { readTensor } from "../../src/engine/weight-files.node.ts";

/** What a reader may give: bytes in the middle of something larger, at an odd place. */
const inside = (bytes: Uint8Array): Uint8Array<ArrayBuffer> => {
  const all = new Uint8Array(bytes.length + 8).fill(0xff);
  all.set(bytes, 3);
  return all.subarray(3, 3 + bytes.length);
};

describe("small tensors", () => {
  it.each([
    ["F32", new Float32Array([1, -2.5, 3e-38]), [1, -2.5, Math.fround(3e-38)]],
    ["I32", new Int32Array([7, -1, 65536]), [7, -1, 65536]],
    ["F16", new Uint16Array([0x3c00, 0xc100, 0x0001]), [1, -2.5, 2 ** -24]],
    ["BF16", new Uint16Array([0x3f80, 0xc020, 0x0001]), [1, -2.5, 2 ** -133]],
  ])("of %s are the numbers of their own bytes", async (name, stored, values) => {
    const bytes = new Uint8Array(stored.buffer);
    const asked: number[][] = [];
    const read = async (...place: [number, number, number]) => {
      asked.push(place);
      return inside(bytes);
    };
    const tensor = { name: "small", type: { name }, shape: [3], part: 1, offset: 40, bytes: bytes.length };
    expect([...(await readTensor(tensor, { read }))]).toEqual(values);
    expect(asked).toEqual([[1, 40, bytes.length]]);
  });
});
