/**
 * Q4_K: 256 inputs in eight groups of 32, y = d sc(g) q - dmin mn(g). Packed: 8 half d, 8 half dmin, then for each pair of groups the 6-bit
 * scales and minima as bytes and the shared nibbles; 1184 bytes where the file has 1152, because the 6-bit fields are unpacked.
 */
import { dot4, each, fold, konst } from "../ir/trace.ts";
import { type Int, type PackBlock, type Packed, packHalf, packWord, type Rows, type WeightFormat } from "./packed.ts";

const pairs = 32; // byte offset of the first pair of groups
const pairBytes = 32 + 256; // scales and minima of two groups, eight words of 8 rows
const words = 32;

const rowsOf = (w: Parameters<Packed["decode"]>[0], at: Int): Rows => w.load("u8", 8, at).to("i32").to("f32");

export const p4k: Packed = {
  name: "p4k",
  inputs: 256,
  bytes: 32 + 4 * pairBytes,
  activation: "q8",
  accumulate: (w, at, tokens, acc) => {
    const zero = konst("f32", 8, 0);
    const sums = fold(
      4,
      tokens.flatMap(() => [zero, zero]),
      (p, carried) => {
        const pair = at.add(p.mul(pairBytes)).add(pairs);
        const next = [...carried];
        for (let half = 0; half < 2; half++) {
          const record = p.mul(2).add(half);
          const scale = w.load("u8", 8, pair.add(16 * half), { min: 0, max: 63 }).to("i32");
          const minimum = rowsOf(w, pair.add(16 * half + 8));
          const dots = fold(
            8,
            tokens.map(() => konst("i32", 8, 0)),
            (j, so) => {
              const word = w.load("u8", 32, pair.add(j.mul(32)).add(words));
              const q = half ? word.shr(4) : word.and(15);
              return tokens.map((t, i) => so[i].add(dot4(q, t.quad(record, j))));
            },
          );
          tokens.forEach((t, i) => {
            next[2 * i] = dots[i]
              .mul(scale)
              .to("f32")
              .mulAdd(t.scale(record), next[2 * i]);
            next[2 * i + 1] = minimum.mulAdd(t.scaledSum(record), next[2 * i + 1]);
          });
        }
        return next;
      },
    );
    const d = w.load("u16", 8, at).fromHalf();
    const dmin = w.load("u16", 8, at.add(16)).fromHalf().neg();
    return tokens.map((_, i) => dmin.mulAdd(sums[2 * i + 1], d.mulAdd(sums[2 * i], acc[i])));
  },
  decode: (w, at, emit) => {
    const d = w.load("u16", 8, at).fromHalf();
    const dmin = w.load("u16", 8, at.add(16)).fromHalf();
    each(0, 4, p => {
      const pair = at.add(p.mul(pairBytes)).add(pairs);
      for (let half = 0; half < 2; half++) {
        const scale = d.mul(rowsOf(w, pair.add(16 * half)));
        const minimum = dmin.mul(rowsOf(w, pair.add(16 * half + 8)));
        each(0, 8, j => {
          const word = w.load("i32", 8, pair.add(j.mul(32)).add(words));
          for (let t = 0; t < 4; t++) {
            const q = word.shr(8 * t + 4 * half).and(15);
            emit(
              p
                .mul(64)
                .add(j.mul(4))
                .add(32 * half + t),
              scale.mul(q.to("f32")).sub(minimum),
            );
          }
        });
      }
    });
  },
};

/** Scales and minima of the eight groups of one row, unpacked from their twelve bytes. */
function packScales(b: PackBlock): void {
  const [a, m, c] = [4, 8, 12].map(at => b.source.load("u32", 1, b.from.add(at)));
  const top = (x: typeof a) => x.shr(6).and(0x03030303).shl(4);
  const scales = [a.and(0x3f3f3f3f), c.and(0x0f0f0f0f).or(top(a))];
  const minima = [m.and(0x3f3f3f3f), c.shr(4).and(0x0f0f0f0f).or(top(m))];
  for (let g = 0; g < 8; g++) {
    const at = b.at.add(b.row).add(pairs + pairBytes * (g >> 1) + 16 * (g & 1));
    const byte = (x: typeof a) =>
      x
        .shr(8 * (g & 3))
        .and(255)
        .as("i32", 1)
        .saturate("u8");
    b.target.store(at, byte(scales[g >> 2]));
    b.target.store(at.add(8), byte(minima[g >> 2]));
  }
}

export const q4_k: WeightFormat = {
  name: "Q4_K",
  packed: p4k,
  infinite: 0x7c00,
  pack: b => {
    packHalf(b, 0, 0);
    packHalf(b, 2, 16);
    packScales(b);
    for (let p = 0; p < 4; p++) for (let j = 0; j < 8; j++) packWord(b, 16 + 32 * p + 4 * j, pairs + pairBytes * p + words + 32 * j);
  },
};
