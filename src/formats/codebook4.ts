/**
 * Four bits that choose one of sixteen values: IQ4_NL and IQ4_XS (a codebook made for normal weights), MXFP4 and NVFP4 (4-bit floats). The
 * nibbles are packed as they are and looked up in a register. MXFP4 and NVFP4 scales, eight bits in the file, become bfloat16, which holds every one
 * of them: 144 bytes for 136, and 320 for 288.
 */
import { konst } from "../ir/trace.ts";
import { type CodeForm, codeForm, layoutOf } from "./codes.ts";
import { byteOf, type Int, type PackBlock, packByte, packHalf, type WeightFormat, wordAt } from "./packed.ts";
import { field, packCodes, type Quad } from "./planes.ts";
import { nibbles } from "./q4_q5.ts";

const normal = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];
/** Twice the values of E2M1. */
const e2m1 = [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12];

const nonlinear: CodeForm = { name: "t4", records: 1, bits: 4, table: normal, zero: 128, scale: { type: "half", per: 32 } };

export const iq4_nl: WeightFormat = {
  name: "IQ4_NL",
  packed: codeForm(nonlinear),
  infinite: 0x7c00,
  pack: b => {
    packHalf(b, 0, 0);
    packCodes(b, 4, layoutOf(nonlinear).planes, nibbles(b, 2));
  },
};

const grouped: CodeForm = {
  name: "t4k",
  records: 8,
  bits: 4,
  table: normal,
  zero: 128,
  scale: { type: "half", per: "block" },
  sub: { per: 32, signed: true },
};

export const iq4_xs: WeightFormat = {
  name: "IQ4_XS",
  packed: codeForm(grouped),
  infinite: 0x7c00,
  pack: b => {
    const { header, recordBytes, subs, subBytes } = layoutOf(grouped);
    packHalf(b, 0, 0);
    const low = wordAt(b, 4);
    const high = b.source.load("u16", 1, b.from.add(2)).to("i32");
    for (let r = 0; r < 8; r++) {
      const scale = low
        .shr(4 * r)
        .and(15)
        .or(
          high
            .shr(2 * r)
            .and(3)
            .shl(4),
        );
      packByte(b, "i8", scale.sub(32), subs + r * subBytes);
      packCodes(b, 4, header + r * recordBytes, nibbles(b, 8 + 16 * r));
    }
  },
};

const float4 = (name: string, records: number, per: 16 | 32): CodeForm => ({
  name,
  records,
  bits: 4,
  table: e2m1,
  zero: 16,
  scale: { type: "bfloat", per },
});

const mx = float4("t4mx", 1, 32);

/** Stores the bits of a bfloat16 that is not negative at `to`, where the eight rows' lie side by side, and has it checked. */
function packBfloat(b: PackBlock, bits: Int, to: number): void {
  b.check(bits);
  b.target.store(b.at.add(b.row.mul(2)).add(to), bits.saturate("u16"));
}

export const mxfp4: WeightFormat = {
  name: "MXFP4",
  packed: codeForm(mx),
  // twelve times 2^125 is no f32
  infinite: (125 + 127) << 7,
  pack: b => {
    // 2^(e - 128): the exponent field e - 1, and below it two subnormal numbers
    const e = b.source.load("u8", 1, b.from).to("i32");
    const subnormal = konst("i32", 1, 0x20).add(e.mul(0x20));
    packBfloat(b, e.lt(2).select(subnormal, e.sub(1).shl(7)), 0);
    packCodes(b, 4, layoutOf(mx).planes, nibbles(b, 1));
  },
};

const nv = float4("t4nv", 2, 16);

/** Half the value of an unsigned E4M3, as a bfloat16: the numbers 0x7f and 0 are 0. */
function halfOfE4m3(x: Int): Int {
  const man = x.and(7);
  const exp = x.shr(3).and(15);
  const normalBits = exp
    .add(127 - 8)
    .shl(7)
    .or(man.shl(4));
  const subnormalBits = man
    .to("f32")
    .mul(2 ** -10)
    .as("i32", 1)
    .shr(16);
  const bits = exp.eq(0).select(subnormalBits, normalBits);
  return x.eq(0x7f).select(konst("i32", 1, 0), bits);
}

export const nvfp4: WeightFormat = {
  name: "NVFP4",
  packed: codeForm(nv),
  infinite: 0x7f80,
  pack: b => {
    const { header, recordBytes, planes } = layoutOf(nv);
    const scales = wordAt(b, 0);
    for (let r = 0; r < 2; r++) {
      const at = header + r * recordBytes;
      for (const part of [0, 1]) packBfloat(b, halfOfE4m3(byteOf(scales, 2 * r + part)), at + 16 * part);
      // sixteen inputs in eight bytes: eight low, then eight high
      const quads: Quad[] = [0, 1].flatMap(part => {
        const words = [0, 4].map(i => wordAt(b, 4 + 16 * r + 8 * part + i));
        return [0, 4].flatMap(high => words.map(w => field(w, high, 4)));
      });
      packCodes(b, 4, at + planes, quads);
    }
  },
};
