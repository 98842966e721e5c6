/** Q8_0: 32 inputs, y = q d. Packed: 8 half scales, then 8 rows x 4 bytes for each eighth of the block; same size as in the file. */
import { dot4, int, konst } from "../ir/trace.ts";
import { type Packed, packHalves, packWords, steps, type WeightFormat } from "./packed.ts";

const words = 16;

export const p8: Packed = {
  name: "p8",
  inputs: 32,
  bytes: 16 + 256,
  activation: "q8",
  accumulate: (w, at, tokens, acc) => {
    const d = w.load("u16", 8, at).fromHalf();
    const zero = konst("i32", 8, 0);
    const dots = steps(
      tokens,
      8,
      tokens.map(() => zero),
      (j, sums) => {
        const word = w.load("i8", 32, at.add(int(j).mul(32)).add(words));
        return tokens.map((t, i) => sums[i].add(dot4(word, t.quads(0, j))));
      },
    );
    return tokens.map((t, i) => dots[i].to("f32").mulAdd(d.mul(t.scale(0)), acc[i]));
  },
  decode: (w, at, emit) => {
    const d = w.load("u16", 8, at).fromHalf();
    for (let i = 0; i < 32; i++) {
      const bytes = w.load("i32", 8, at.add(words + 32 * (i >> 2)));
      const value = bytes.shl(24 - 8 * (i & 3)).shr(24);
      emit(i, value.to("f32").mul(d));
    }
  },
};

export const q8_0: WeightFormat = {
  name: "Q8_0",
  packed: p8,
  infinite: 0x7c00,
  pack: b => {
    packHalves(b, 0, 0);
    for (let j = 0; j < 8; j++) packWords(b, 2 + 4 * j, words + 32 * j);
  },
};
