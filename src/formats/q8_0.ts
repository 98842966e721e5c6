/**
 * Q8_0: 32 inputs, y = q d. Packed: 8 half scales, then 8 rows x 4 bytes for each eighth of the block; same size as in the file. The two
 * middle bytes of each four are swapped, so that the even and the odd bytes of a register, which one or two shifts turn into 16-bit lanes, are
 * the first and the second pair of inputs. Where four products of bytes are summed at once: the form of integer codes, 128 more than q each.
 */
import { dot2, int, konst, type Val } from "../ir/trace.ts";
import { type CodeForm, codeForm, layoutOf } from "./codes.ts";
import { type Packed, packHalf, steps, type WeightFormat, wordAt } from "./packed.ts";
import { packCodes } from "./planes.ts";

const words = 16;
/** Where input i of a four lies. */
const place = [0, 2, 1, 3];

const p8: Packed = {
  name: "p8",
  inputs: 32,
  bytes: 16 + 256,
  activation: "q16",
  accumulate: (w, at, tokens, acc) => {
    w.reading(at, p8.bytes);
    const d = w.load("u16", 8, at).fromHalf();
    const zero = konst("i32", 8, 0);
    let dots: readonly Val<"i32", 8>[] = tokens.map(() => zero);
    for (const half of [0, 1]) {
      dots = steps(tokens, 8, dots, (j, sums) => {
        const four = w.load("i16", 16, at.add(int(j).mul(32)).add(words));
        const pair = half ? four.shr(8) : four.shl(8).shr(8);
        return tokens.map((t, i) => sums[i].add(dot2(pair, t.pair(0, int(j).mul(2).add(half)))) as Val<"i32", 8>);
      });
    }
    return tokens.map((t, i) => dots[i].to("f32").mulAdd(d.mul(t.scale(0)), acc[i]));
  },
  decode: (w, at, emit) => {
    const d = w.load("u16", 8, at).fromHalf();
    for (let i = 0; i < 32; i++) {
      const bytes = w.load("i32", 8, at.add(words + 32 * (i >> 2)));
      const value = bytes.shl(24 - 8 * place[i & 3]).shr(24);
      emit(i, value.to("f32").mul(d));
    }
  },
};

const codes: CodeForm = { name: "c8", records: 1, bits: 8, zero: 128, scale: { type: "half", per: 32 } };

const quads: WeightFormat = {
  name: "Q8_0",
  packed: codeForm(codes),
  infinite: 0x7c00,
  pack: b => {
    packHalf(b, 0, 0);
    const all = Array.from({ length: 8 }, (_, j) => wordAt(b, 2 + 4 * j).xor(0x80808080 | 0));
    packCodes(b, codes.bits, layoutOf(codes).planes, all);
  },
};

export const q8_0: WeightFormat = {
  name: "Q8_0",
  packed: p8,
  infinite: 0x7c00,
  quads,
  pack: b => {
    packHalf(b, 0, 0);
    for (let j = 0; j < 8; j++) {
      const four = b.source.load("i32", 1, b.from.add(2 + 4 * j));
      const middle = four.shl(8).and(0xff0000).or(four.shr(8).and(0xff00));
      b.target.store(b.at.add(b.row.mul(4)).add(words + 32 * j), four.and(0xff0000ff | 0).or(middle));
    }
  },
};
