/** Q4_0: 32 inputs, y = (q - 8) d. Packed: 8 half scales, then 8 rows x 4 bytes for each quarter of the nibbles; same size as in the file. */
import { dot4, int, konst } from "../ir/trace.ts";
import { type Packed, packHalf, packWord, steps, type WeightFormat } from "./packed.ts";

const words = 16; // byte offset of the nibbles, behind the scales

export const p4: Packed = {
  name: "p4",
  inputs: 32,
  bytes: 16 + 128,
  activation: "q8",
  accumulate: (w, at, tokens, acc) => {
    const d = w.load("u16", 8, at).fromHalf();
    const zero = konst("i32", 8, 0);
    let dots = tokens.map(() => zero);
    for (const half of [0, 1]) {
      dots = steps(tokens, 4, dots, (j, sums) => {
        const word = w.load("u8", 32, at.add(int(j).mul(32)).add(words));
        const q = half ? word.shr(4) : word.and(15);
        return tokens.map((t, i) => sums[i].add(dot4(q, t.quad(0, int(j).add(4 * half)))));
      });
    }
    // (q - 8) x = q x - 8 x: the exact integer 8 sum(x) is taken off
    return tokens.map((t, i) =>
      dots[i]
        .sub(t.sum(0).shl(3))
        .to("f32")
        .mulAdd(d.mul(t.scale(0)), acc[i]),
    );
  },
  decode: (w, at, emit) => {
    const d = w.load("u16", 8, at).fromHalf();
    for (let i = 0; i < 16; i++) {
      // byte i % 4 of each row's word, picked by shifting the word
      const bytes = w.load("i32", 8, at.add(words + 32 * (i >> 2))).shr(8 * (i & 3));
      emit(i, bytes.and(15).sub(8).to("f32").mul(d));
      emit(i + 16, bytes.shr(4).and(15).sub(8).to("f32").mul(d));
    }
  },
};

export const q4_0: WeightFormat = {
  name: "Q4_0",
  packed: p4,
  infinite: 0x7c00,
  pack: b => {
    packHalf(b, 0, 0);
    for (let j = 0; j < 4; j++) packWord(b, 2 + 4 * j, words + 32 * j);
  },
};
