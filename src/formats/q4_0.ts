/** Q4_0: 32 inputs, y = (q - 8) d. Packed: 8 half scales, then 8 rows x 4 bytes for each quarter of the nibbles; same size as in the file. */
import { dot4 } from "../ir/trace.ts";
import { type Packed, packHalves, packWords, single, type WeightFormat } from "./packed.ts";

const words = 16; // byte offset of the nibbles, behind the scales

export const p4: Packed = {
  name: "p4",
  inputs: 32,
  bytes: 16 + 128,
  activation: "q8",
  ...single,
  accumulate: (w, at, tokens, acc) => {
    const d = w.load("u16", 8, at).fromHalf();
    // (q - 8) x = q x - 8 x: the exact integer 8 sum(x) is taken off first
    let dots = tokens.map(t => t.sum(0).shl(3).neg());
    for (let j = 0; j < 4; j++) {
      const word = w.load("u8", 32, at.add(words + 32 * j));
      const [low, high] = [word.and(15), word.shr(4)];
      dots = tokens.map((t, i) => dots[i].add(dot4(low, t.quads(0, 4 * j))).add(dot4(high, t.quads(0, 16 + 4 * j))));
    }
    return tokens.map((t, i) => [dots[i].to("f32").mulAdd(d.mul(t.scale(0)), acc[i][0])]);
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
    packHalves(b, 0, 0);
    for (let j = 0; j < 4; j++) packWords(b, 2 + 4 * j, words + 32 * j);
  },
};
