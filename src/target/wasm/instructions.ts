/**
 * The WebAssembly instructions that Lathe emits, in the notation of the specification: name, opcode bytes (`fd` and `fc` are prefixes, the
 * number after them is LEB128), operands and result, and the immediate. Encoder and tests are made from this table.
 */

export type ValType = "i32" | "i64" | "f32" | "v128";
/** `mem`: alignment and offset; `lane`: one byte; `bytes`: sixteen bytes; numbers are LEB128 or IEEE. */
export type Immediate = "none" | "mem" | "lane" | "bytes" | "i32" | "f32" | "label" | "local" | "block";

export interface Instruction {
  readonly name: string;
  readonly opcode: readonly number[];
  readonly operands: readonly ValType[];
  readonly result: ValType | undefined;
  readonly immediate: Immediate;
  /** Bytes of memory that a load or store touches. */
  readonly bytes: number;
  readonly relaxed: boolean;
}

const core = `
block 02 : block
loop 03 : block
end 0b :
br_if 0d i32 : label
select 1b
local.get 20 : local
local.set 21 : local
i32.load 28 i32 -> i32 mem 4
f32.load 2a i32 -> f32 mem 4
i32.load8_s 2c i32 -> i32 mem 1
i32.load8_u 2d i32 -> i32 mem 1
i32.load16_s 2e i32 -> i32 mem 2
i32.load16_u 2f i32 -> i32 mem 2
i32.store 36 i32 i32 mem 4
f32.store 38 i32 f32 mem 4
i32.store8 3a i32 i32 mem 1
i32.store16 3b i32 i32 mem 2
i32.const 41 -> i32 : i32
f32.const 43 -> f32 : f32
i32.eq 46 i32 i32 -> i32
i32.lt_s 48 i32 i32 -> i32
i32.lt_u 49 i32 i32 -> i32
i32.le_s 4c i32 i32 -> i32
i32.le_u 4d i32 i32 -> i32
i32.ge_s 4e i32 i32 -> i32
f32.eq 5b f32 f32 -> i32
f32.lt 5d f32 f32 -> i32
f32.le 5f f32 f32 -> i32
i32.add 6a i32 i32 -> i32
i32.sub 6b i32 i32 -> i32
i32.mul 6c i32 i32 -> i32
i32.div_u 6e i32 i32 -> i32
i32.and 71 i32 i32 -> i32
i32.or 72 i32 i32 -> i32
i32.xor 73 i32 i32 -> i32
i32.shl 74 i32 i32 -> i32
i32.shr_s 75 i32 i32 -> i32
i32.shr_u 76 i32 i32 -> i32
i64.add 7c i64 i64 -> i64
f32.abs 8b f32 -> f32
f32.neg 8c f32 -> f32
f32.floor 8e f32 -> f32
f32.nearest 90 f32 -> f32
f32.sqrt 91 f32 -> f32
f32.add 92 f32 f32 -> f32
f32.sub 93 f32 f32 -> f32
f32.mul 94 f32 f32 -> f32
f32.div 95 f32 f32 -> f32
i64.extend_i32_s ac i32 -> i64
f32.convert_i32_s b2 i32 -> f32
i32.reinterpret_f32 bc f32 -> i32
f32.reinterpret_i32 be i32 -> f32
i32.extend8_s c0 i32 -> i32
i32.extend16_s c1 i32 -> i32
i32.trunc_sat_f32_s fc:0 f32 -> i32
v128.load fd:0 i32 -> v128 mem 16
i16x8.load8x8_s fd:1 i32 -> v128 mem 8
i16x8.load8x8_u fd:2 i32 -> v128 mem 8
i32x4.load16x4_s fd:3 i32 -> v128 mem 8
i32x4.load16x4_u fd:4 i32 -> v128 mem 8
v128.load8_splat fd:7 i32 -> v128 mem 1
v128.load16_splat fd:8 i32 -> v128 mem 2
v128.load32_splat fd:9 i32 -> v128 mem 4
v128.load64_splat fd:10 i32 -> v128 mem 8
v128.store fd:11 i32 v128 mem 16
v128.const fd:12 -> v128 : bytes
i8x16.shuffle fd:13 v128 v128 -> v128 : bytes
i8x16.swizzle fd:14 v128 v128 -> v128
i8x16.splat fd:15 i32 -> v128
i16x8.splat fd:16 i32 -> v128
i32x4.splat fd:17 i32 -> v128
f32x4.splat fd:19 f32 -> v128
i8x16.extract_lane_s fd:21 v128 -> i32 : lane
i8x16.extract_lane_u fd:22 v128 -> i32 : lane
i16x8.extract_lane_s fd:24 v128 -> i32 : lane
i16x8.extract_lane_u fd:25 v128 -> i32 : lane
i32x4.extract_lane fd:27 v128 -> i32 : lane
f32x4.extract_lane fd:31 v128 -> f32 : lane
v128.and fd:78 v128 v128 -> v128
v128.or fd:80 v128 v128 -> v128
v128.xor fd:81 v128 v128 -> v128
v128.bitselect fd:82 v128 v128 v128 -> v128
i8x16.narrow_i16x8_s fd:101 v128 v128 -> v128
i8x16.narrow_i16x8_u fd:102 v128 v128 -> v128
i16x8.narrow_i32x4_s fd:133 v128 v128 -> v128
i16x8.narrow_i32x4_u fd:134 v128 v128 -> v128
i16x8.extend_low_i8x16_s fd:135 v128 -> v128
i16x8.extend_high_i8x16_s fd:136 v128 -> v128
i16x8.extend_low_i8x16_u fd:137 v128 -> v128
i16x8.extend_high_i8x16_u fd:138 v128 -> v128
i32x4.extend_low_i16x8_s fd:167 v128 -> v128
i32x4.extend_high_i16x8_s fd:168 v128 -> v128
i32x4.extend_low_i16x8_u fd:169 v128 -> v128
i32x4.extend_high_i16x8_u fd:170 v128 -> v128
i32x4.dot_i16x8_s fd:186 v128 v128 -> v128
i32x4.trunc_sat_f32x4_s fd:248 v128 -> v128
f32x4.convert_i32x4_s fd:250 v128 -> v128
i8x16.relaxed_swizzle fd:256 v128 v128 -> v128
f32x4.relaxed_madd fd:261 v128 v128 v128 -> v128
i16x8.relaxed_dot_i8x16_i7x16_s fd:274 v128 v128 -> v128
`;

/** Lane by lane instructions: per vector shape, name and number after `fd`. */
const lanes: Readonly<Record<string, string>> = {
  i8x16:
    "eq 35, lt_s 37, lt_u 38, le_s 41, le_u 42, abs 96, neg 97, shr_s 108, add 110, sub 113, min_s 118, min_u 119, max_s 120, max_u 121",
  i16x8:
    "eq 45, lt_s 47, lt_u 48, le_s 51, le_u 52, abs 128, neg 129, shl 139, shr_s 140, shr_u 141, add 142, sub 145, mul 149, min_s 150, min_u 151, max_s 152, max_u 153",
  i32x4:
    "eq 55, lt_s 57, lt_u 58, le_s 61, le_u 62, abs 160, neg 161, shl 171, shr_s 172, shr_u 173, add 174, sub 177, mul 181, min_s 182, min_u 183, max_s 184, max_u 185",
  f32x4: "eq 65, lt 67, le 69, floor 104, nearest 106, abs 224, neg 225, sqrt 227, add 228, sub 229, mul 230, div 231, pmin 234, pmax 235",
};

const leb = (n: number): number[] => (n < 128 ? [n] : [(n & 127) | 128, ...leb(n >> 7)]);
const opcode = (text: string): number[] => {
  const [first, second] = text.split(":");
  return [Number.parseInt(first, 16), ...(second === undefined ? [] : leb(Number(second)))];
};

function parse(line: string): Instruction {
  const words = line.trim().split(/\s+/);
  const [name, code, ...rest] = words;
  const colon = rest.indexOf(":");
  const memory = rest.indexOf("mem");
  const immediate = memory >= 0 ? "mem" : colon >= 0 && rest[colon + 1] ? (rest[colon + 1] as Immediate) : "none";
  const signature = rest.slice(0, memory >= 0 ? memory : colon >= 0 ? colon : rest.length);
  const arrow = signature.indexOf("->");
  const operands = (arrow >= 0 ? signature.slice(0, arrow) : signature) as ValType[];
  const result = arrow >= 0 ? (signature[arrow + 1] as ValType) : undefined;
  const bytes = memory >= 0 ? Number(rest[memory + 1]) : 0;
  return { name, opcode: opcode(code), operands, result, immediate, bytes, relaxed: name.includes("relaxed") };
}

function laneRows(shape: string, text: string): Instruction[] {
  return text.split(",").map(item => {
    const [name, number] = item.trim().split(" ");
    const one = /^(abs|neg|floor|nearest|sqrt)$/.test(name);
    const operands: ValType[] = one ? ["v128"] : /^sh[lr]/.test(name) ? ["v128", "i32"] : ["v128", "v128"];
    return {
      name: `${shape}.${name}`,
      opcode: [0xfd, ...leb(Number(number))],
      operands,
      result: "v128",
      immediate: "none",
      bytes: 0,
      relaxed: false,
    };
  });
}

const rows = [...core.trim().split("\n").map(parse), ...Object.entries(lanes).flatMap(([shape, text]) => laneRows(shape, text))];

export const instructions: ReadonlyMap<string, Instruction> = new Map(rows.map(r => [r.name, r]));
