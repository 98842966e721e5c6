/**
 * Q6_K: 256 inputs in sixteen groups of 16, y = d sc(g) (q - 32). Packed: 8 half d, then for each half of the block the signed scales, the
 * words of low nibbles (A: groups 0, 2; B: groups 1, 3 of 32) and the words of high bit pairs (H); same size as in the file.
 */
import { dot4, each, fold, type IntLike, int, konst, type Val } from "../ir/trace.ts";
import { type Int, type PackBlock, type Packed, packHalf, packWord, type WeightFormat } from "./packed.ts";

const halves = 16; // byte offset of the first half
const halfBytes = 64 + 3 * 256;
const [wordsA, wordsB, wordsH] = [64, 64 + 256, 64 + 512];

type Bytes = Parameters<Packed["decode"]>[0];

/** The 0 .. 63 of inputs 4j .. 4j + 3 of 32-group k of a half. */
function sixBits(w: Bytes, half: Int, k: number, j: IntLike): Val<"u8", 32> {
  const word = half.add(int(j).mul(32));
  const low = w.load("u8", 32, word.add(k & 1 ? wordsB : wordsA));
  const high = w.load("u8", 32, word.add(wordsH));
  const nibble = k & 2 ? low.shr(4) : low.and(15);
  const top = k < 2 ? high.shl(4 - 2 * k) : high.shr(2 * k - 4);
  return nibble.or(top.and(0x30));
}

const scaleOf = (w: Bytes, half: Int, group: number): Val<"i32", 8> => w.load("i8", 8, half.add(8 * group)).to("i32");

export const p6k: Packed = {
  name: "p6k",
  inputs: 256,
  bytes: 16 + 2 * halfBytes,
  activation: "q8",
  accumulate: (w, at, tokens, acc) => {
    const sums = fold(
      2,
      tokens.map(() => konst("f32", 8, 0)),
      (h, carried) => {
        const half = at.add(h.mul(halfBytes)).add(halves);
        let next = [...carried];
        for (let k = 0; k < 4; k++) {
          const record = h.mul(4).add(k);
          // (q - 32) x = q x - 32 x for each sixteen, times the sixteen's own scale
          const groups = [0, 1].map(part => {
            const zero = konst("i32", 8, 0);
            const nothing = tokens.map(() => zero);
            const dots = fold(4, nothing, (j, so) => {
              const quad = j.add(4 * part);
              const q = sixBits(w, half, k, quad);
              return tokens.map((t, i) => so[i].add(dot4(q, t.quad(record, quad))));
            });
            const inputs = tokens.map(t => (part ? t.sum(record).sub(t.firstSum(record)) : t.firstSum(record)));
            return dots.map((x, i) => x.sub(inputs[i].shl(5)).mul(scaleOf(w, half, 2 * k + part)));
          });
          next = tokens.map((t, i) => groups[0][i].add(groups[1][i]).to("f32").mulAdd(t.scale(record), next[i]));
        }
        return next;
      },
    );
    const d = w.load("u16", 8, at).fromHalf();
    return tokens.map((_, i) => d.mulAdd(sums[i], acc[i]));
  },
  decode: (w, at, emit) => {
    const d = w.load("u16", 8, at).fromHalf();
    each(0, 2, h => {
      const half = at.add(h.mul(halfBytes)).add(halves);
      for (let k = 0; k < 4; k++) {
        for (let part = 0; part < 2; part++) {
          const scale = d.mul(scaleOf(w, half, 2 * k + part).to("f32"));
          each(4 * part, 4 * part + 4, j => {
            const word = sixBits(w, half, k, j).as("i32", 8);
            for (let t = 0; t < 4; t++) {
              const q = word
                .shr(8 * t)
                .and(63)
                .sub(32);
              emit(
                h
                  .mul(128)
                  .add(j.mul(4))
                  .add(32 * k + t),
                scale.mul(q.to("f32")),
              );
            }
          });
        }
      }
    });
  },
};

function packScales(b: PackBlock, half: number): void {
  for (let g = 0; g < 8; g++) {
    const scale = b.source.load("u8", 1, b.from.add(192 + 8 * half + g));
    b.target.store(b.at.add(b.row).add(halves + halfBytes * half + 8 * g), scale);
  }
}

export const q6_k: WeightFormat = {
  name: "Q6_K",
  packed: p6k,
  infinite: 0x7c00,
  pack: b => {
    packHalf(b, 208, 0);
    for (let h = 0; h < 2; h++) {
      packScales(b, h);
      const to = halves + halfBytes * h;
      for (let j = 0; j < 8; j++) {
        packWord(b, 64 * h + 4 * j, to + wordsA + 32 * j);
        packWord(b, 64 * h + 32 + 4 * j, to + wordsB + 32 * j);
        packWord(b, 128 + 32 * h + 4 * j, to + wordsH + 32 * j);
      }
    }
  },
};
