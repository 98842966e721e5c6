/**
 * The vector instructions that exist with VEX prefixes (AVX, AVX2, FMA, F16C, AVX-VNNI), and on the same line their EVEX forms where mnemonic
 * and operands are the same. The notation is explained in instructions.ts.
 */

/** Families whose members differ in element type only: ps, pd (whole registers), ss, sd (lowest element). */
const packed = { ps: { pp: "NP", w: 0, bits: 32 }, pd: { pp: "66", w: 1, bits: 64 } };
const scalar = { ss: { pp: "F3", w: 0, bits: 32 }, sd: { pp: "F2", w: 1, bits: 64 } };

const floats = Object.entries({ add: "58", mul: "59", sub: "5C", min: "5D", div: "5E", max: "5F" }).flatMap(([name, op]) => [
  ...Object.entries(packed).map(
    ([t, { pp, w, bits }]) => `v${name}${t}.* RVM w:v r:v r:v/m | ${pp}.0F ${op} /r | VEX.WIG avx2 | EVEX.W${w} b${bits} avx512`,
  ),
  ...Object.entries(scalar).map(
    ([t, { pp, w, bits }]) => `v${name}${t}.* RVM w:x r:x r:x/m${bits} | ${pp}.0F ${op} /r | VEX.LIG.WIG avx2 | EVEX.LIG.W${w} avx512`,
  ),
]);

const logic = Object.entries({ and: "54", andn: "55", or: "56", xor: "57" }).flatMap(([name, op]) =>
  Object.entries(packed).map(
    ([t, { pp, w, bits }]) => `v${name}${t}.* RVM w:v r:v r:v/m | ${pp}.0F ${op} /r | VEX.WIG avx2 | EVEX.W${w} b${bits} avx512`,
  ),
);

/** Fused products: the order of operands and the signs are in the opcode. */
const fused = Object.entries({ 132: 0x90, 213: 0xa0, 231: 0xb0 }).flatMap(([order, high]) =>
  Object.entries({ vfmadd: 8, vfmsub: 10, vfnmadd: 12, vfnmsub: 14 }).flatMap(([name, low]) => [
    ...Object.entries(packed).map(
      ([t, { w, bits }]) =>
        `${name}${order}${t}.* RVM rw:v r:v r:v/m | 66.0F38 ${(high + low).toString(16)} /r | VEX.W${w} avx2 | EVEX.W${w} b${bits} avx512`,
    ),
    ...Object.entries(scalar).map(
      ([t, { w, bits }]) =>
        `${name}${order}${t}.* RVM rw:x r:x r:x/m${bits} | 66.0F38 ${(high + low + 1).toString(16)} /r | VEX.LIG.W${w} avx2 | EVEX.LIG.W${w} avx512`,
    ),
  ]),
);

/** Widening moves: source element to destination element, and which part of the width is read. */
const widening = Object.entries({ bw: 2, bd: 4, bq: 8, wd: 2, wq: 4, dq: 2 }).flatMap(([types, part], i) => [
  `vpmovsx${types}.* RM w:v r:v${part}/m | 66.0F38 2${i} /r | VEX.WIG avx2 | EVEX.W0 avx512`,
  `vpmovzx${types}.* RM w:v r:v${part}/m | 66.0F38 3${i} /r | VEX.WIG avx2 | EVEX.W0 avx512`,
]);

/** Shifts: opcode with the count in an xmm register, opcode and digit with an immediate count, W and broadcast of the EVEX form. */
const shifts = [
  ["vpsrlw", "D1", "71 /2", "WIG", ""],
  ["vpsrld", "D2", "72 /2", "W0", "b32"],
  ["vpsrlq", "D3", "73 /2", "W1", "b64"],
  ["vpsraw", "E1", "71 /4", "WIG", ""],
  ["vpsrad", "E2", "72 /4", "W0", "b32"],
  ["vpsllw", "F1", "71 /6", "WIG", ""],
  ["vpslld", "F2", "72 /6", "W0", "b32"],
  ["vpsllq", "F3", "73 /6", "W1", "b64"],
].flatMap(([name, by, imm, w, b]) => [
  `${name}.*   RVM w:v r:v r:x/m128 | 66.0F ${by} /r | VEX.WIG avx2 | EVEX.${w} avx512`,
  `${name}.*.i VMI w:v r:v i8       | 66.0F ${imm}   | VEX.WIG avx2`,
  `${name}.*.i VMI w:v r:v/m i8     | 66.0F ${imm}   | EVEX.${w} ${b} avx512`,
]);

const moves = `
vmovd.*        RM   w:x r:r32/m32        | 66.0F 6E /r   | VEX.128.W0 avx2   | EVEX.128.W0 nomask avx512
vmovd.*.st     MR   w:r32/m32 r:x        | 66.0F 7E /r   | VEX.128.W0 avx2   | EVEX.128.W0 nomask avx512
vmovq.*        RM   w:x r:r64/m64        | 66.0F 6E /r   | VEX.128.W1 avx2   | EVEX.128.W1 nomask avx512
vmovq.*.st     MR   w:r64/m64 r:x        | 66.0F 7E /r   | VEX.128.W1 avx2   | EVEX.128.W1 nomask avx512
vmovq.*.reg    RM   w:x r:x/m64          | F3.0F 7E /r   | VEX.128.WIG avx2  | EVEX.128.W1 nomask avx512
vmovdqu.*      RM   w:v r:v/m            | F3.0F 6F /r   | VEX.WIG avx2
vmovdqu.*.st   MR   w:m r:v              | F3.0F 7F /r   | VEX.WIG avx2
vmovdqa.*      RM   w:v r:v/m            | 66.0F 6F /r   | VEX.WIG avx2
vmovdqa.*.st   MR   w:m r:v              | 66.0F 7F /r   | VEX.WIG avx2
vmovups.*      RM   w:v r:v/m            | NP.0F 10 /r   | VEX.WIG avx2      | EVEX.W0 avx512
vmovups.*.st   MR   w:m r:v              | NP.0F 11 /r   | VEX.WIG avx2      | EVEX.W0 avx512
vmovaps.*      RM   w:v r:v/m            | NP.0F 28 /r   | VEX.WIG avx2      | EVEX.W0 avx512
vmovaps.*.st   MR   w:m r:v              | NP.0F 29 /r   | VEX.WIG avx2      | EVEX.W0 avx512
vmovss.*       RM   w:x r:m32            | F3.0F 10 /r   | VEX.LIG.WIG avx2  | EVEX.LIG.W0 avx512
vmovss.*.st    MR   w:m32 r:x            | F3.0F 11 /r   | VEX.LIG.WIG avx2  | EVEX.LIG.W0 avx512
vmovss.*.reg   RVM  w:x r:x r:x          | F3.0F 10 /r   | VEX.LIG.WIG avx2  | EVEX.LIG.W0 avx512
vmovsd.*       RM   w:x r:m64            | F2.0F 10 /r   | VEX.LIG.WIG avx2  | EVEX.LIG.W1 avx512
vmovsd.*.st    MR   w:m64 r:x            | F2.0F 11 /r   | VEX.LIG.WIG avx2  | EVEX.LIG.W1 avx512
vmovsd.*.reg   RVM  w:x r:x r:x          | F2.0F 10 /r   | VEX.LIG.WIG avx2  | EVEX.LIG.W1 avx512
vmovlps.*      RVM  w:x r:x r:m64        | NP.0F 12 /r   | VEX.128.WIG avx2  | EVEX.128.W0 nomask avx512
vmovlps.*.st   MR   w:m64 r:x            | NP.0F 13 /r   | VEX.128.WIG avx2  | EVEX.128.W0 nomask avx512
vmovhps.*      RVM  w:x r:x r:m64        | NP.0F 16 /r   | VEX.128.WIG avx2  | EVEX.128.W0 nomask avx512
vmovhps.*.st   MR   w:m64 r:x            | NP.0F 17 /r   | VEX.128.WIG avx2  | EVEX.128.W0 nomask avx512
vmovhlps.*     RVM  w:x r:x r:x          | NP.0F 12 /r   | VEX.128.WIG avx2  | EVEX.128.W0 nomask avx512
vmovlhps.*     RVM  w:x r:x r:x          | NP.0F 16 /r   | VEX.128.WIG avx2  | EVEX.128.W0 nomask avx512
vmovddup.*     RM   w:x r:x/m64          | F2.0F 12 /r   | VEX.128.WIG avx2  | EVEX.128.W1 avx512
vmovddup.*     RM   w:v r:v/m            | F2.0F 12 /r   | VEX.256.WIG avx2  | EVEX.256+.W1 avx512
vmovshdup.*    RM   w:v r:v/m            | F3.0F 16 /r   | VEX.WIG avx2      | EVEX.W0 avx512
vmovsldup.*    RM   w:v r:v/m            | F3.0F 12 /r   | VEX.WIG avx2      | EVEX.W0 avx512
vmovmskps.*    RM   w:r32 r:v            | NP.0F 50 /r   | VEX.WIG avx2
vmovmskpd.*    RM   w:r32 r:v            | 66.0F 50 /r   | VEX.WIG avx2
vpmovmskb.*    RM   w:r32 r:v            | 66.0F D7 /r   | VEX.WIG avx2
vmovntps.*.st  MR   w:m r:v              | NP.0F 2B /r   | VEX.WIG avx2      | EVEX.W0 nomask avx512
vmovntdq.*.st  MR   w:m r:v              | 66.0F E7 /r   | VEX.WIG avx2      | EVEX.W0 nomask avx512
vmovntdqa.*    RM   w:v r:m              | 66.0F38 2A /r | VEX.WIG avx2      | EVEX.W0 nomask avx512
vmaskmovps.*    RVM w:v r:v r:m          | 66.0F38 2C /r | VEX.W0 avx2
vmaskmovps.*.st MVR rw:m r:v r:v          | 66.0F38 2E /r | VEX.W0 avx2
vpmaskmovd.*    RVM w:v r:v r:m          | 66.0F38 8C /r | VEX.W0 avx2
vpmaskmovd.*.st MVR rw:m r:v r:v          | 66.0F38 8E /r | VEX.W0 avx2
vpmaskmovq.*    RVM w:v r:v r:m          | 66.0F38 8C /r | VEX.W1 avx2
vpmaskmovq.*.st MVR rw:m r:v r:v          | 66.0F38 8E /r | VEX.W1 avx2
vgatherdps.*   RMV  rw:v r:vm32 rw:v     | 66.0F38 92 /r | VEX.W0 distinct avx2
vpgatherdd.*   RMV  rw:v r:vm32 rw:v     | 66.0F38 90 /r | VEX.W0 distinct avx2
vldmxcsr       M    r:m32                | NP.0F AE /2   | VEX.L0.WIG avx2
vstmxcsr       M    w:m32                | NP.0F AE /3   | VEX.L0.WIG avx2
vzeroupper     -                         | NP.0F 77      | VEX.L0.WIG avx2
vzeroall       -                         | NP.0F 77      | VEX.L1.WIG avx2
`.split("\n");

const integers = `
vpaddb.*       RVM  w:v r:v r:v/m        | 66.0F FC /r   | VEX.WIG avx2 | EVEX.WIG avx512
vpaddw.*       RVM  w:v r:v r:v/m        | 66.0F FD /r   | VEX.WIG avx2 | EVEX.WIG avx512
vpaddd.*       RVM  w:v r:v r:v/m        | 66.0F FE /r   | VEX.WIG avx2 | EVEX.W0 b32 avx512
vpaddq.*       RVM  w:v r:v r:v/m        | 66.0F D4 /r   | VEX.WIG avx2 | EVEX.W1 b64 avx512
vpaddsb.*      RVM  w:v r:v r:v/m        | 66.0F EC /r   | VEX.WIG avx2 | EVEX.WIG avx512
vpaddsw.*      RVM  w:v r:v r:v/m        | 66.0F ED /r   | VEX.WIG avx2 | EVEX.WIG avx512
vpaddusb.*     RVM  w:v r:v r:v/m        | 66.0F DC /r   | VEX.WIG avx2 | EVEX.WIG avx512
vpaddusw.*     RVM  w:v r:v r:v/m        | 66.0F DD /r   | VEX.WIG avx2 | EVEX.WIG avx512
vpsubb.*       RVM  w:v r:v r:v/m        | 66.0F F8 /r   | VEX.WIG avx2 | EVEX.WIG avx512
vpsubw.*       RVM  w:v r:v r:v/m        | 66.0F F9 /r   | VEX.WIG avx2 | EVEX.WIG avx512
vpsubd.*       RVM  w:v r:v r:v/m        | 66.0F FA /r   | VEX.WIG avx2 | EVEX.W0 b32 avx512
vpsubq.*       RVM  w:v r:v r:v/m        | 66.0F FB /r   | VEX.WIG avx2 | EVEX.W1 b64 avx512
vpsubsb.*      RVM  w:v r:v r:v/m        | 66.0F E8 /r   | VEX.WIG avx2 | EVEX.WIG avx512
vpsubsw.*      RVM  w:v r:v r:v/m        | 66.0F E9 /r   | VEX.WIG avx2 | EVEX.WIG avx512
vpsubusb.*     RVM  w:v r:v r:v/m        | 66.0F D8 /r   | VEX.WIG avx2 | EVEX.WIG avx512
vpsubusw.*     RVM  w:v r:v r:v/m        | 66.0F D9 /r   | VEX.WIG avx2 | EVEX.WIG avx512
vpavgb.*       RVM  w:v r:v r:v/m        | 66.0F E0 /r   | VEX.WIG avx2 | EVEX.WIG avx512
vpavgw.*       RVM  w:v r:v r:v/m        | 66.0F E3 /r   | VEX.WIG avx2 | EVEX.WIG avx512
vpmullw.*      RVM  w:v r:v r:v/m        | 66.0F D5 /r   | VEX.WIG avx2 | EVEX.WIG avx512
vpmulhw.*      RVM  w:v r:v r:v/m        | 66.0F E5 /r   | VEX.WIG avx2 | EVEX.WIG avx512
vpmulhuw.*     RVM  w:v r:v r:v/m        | 66.0F E4 /r   | VEX.WIG avx2 | EVEX.WIG avx512
vpmulhrsw.*    RVM  w:v r:v r:v/m        | 66.0F38 0B /r | VEX.WIG avx2 | EVEX.WIG avx512
vpmulld.*      RVM  w:v r:v r:v/m        | 66.0F38 40 /r | VEX.WIG avx2 | EVEX.W0 b32 avx512
vpmuludq.*     RVM  w:v r:v r:v/m        | 66.0F F4 /r   | VEX.WIG avx2 | EVEX.W1 b64 avx512
vpmuldq.*      RVM  w:v r:v r:v/m        | 66.0F38 28 /r | VEX.WIG avx2 | EVEX.W1 b64 avx512
vpmaddwd.*     RVM  w:v r:v r:v/m        | 66.0F F5 /r   | VEX.WIG avx2 | EVEX.WIG avx512
vpmaddubsw.*   RVM  w:v r:v r:v/m        | 66.0F38 04 /r | VEX.WIG avx2 | EVEX.WIG avx512
vpsadbw.*      RVM  w:v r:v r:v/m        | 66.0F F6 /r   | VEX.WIG avx2 | EVEX.WIG nomask avx512
vphaddw.*      RVM  w:v r:v r:v/m        | 66.0F38 01 /r | VEX.WIG avx2
vphaddd.*      RVM  w:v r:v r:v/m        | 66.0F38 02 /r | VEX.WIG avx2
vpdpbusd.*     RVM  rw:v r:v r:v/m       | 66.0F38 50 /r | VEX.W0 avxvnni | EVEX.W0 b32 avx512vnni
vpdpbusds.*    RVM  rw:v r:v r:v/m       | 66.0F38 51 /r | VEX.W0 avxvnni | EVEX.W0 b32 avx512vnni
vpdpwssd.*     RVM  rw:v r:v r:v/m       | 66.0F38 52 /r | VEX.W0 avxvnni | EVEX.W0 b32 avx512vnni
vpdpwssds.*    RVM  rw:v r:v r:v/m       | 66.0F38 53 /r | VEX.W0 avxvnni | EVEX.W0 b32 avx512vnni
vpminub.*      RVM  w:v r:v r:v/m        | 66.0F DA /r   | VEX.WIG avx2 | EVEX.WIG avx512
vpminsw.*      RVM  w:v r:v r:v/m        | 66.0F EA /r   | VEX.WIG avx2 | EVEX.WIG avx512
vpminsb.*      RVM  w:v r:v r:v/m        | 66.0F38 38 /r | VEX.WIG avx2 | EVEX.WIG avx512
vpminsd.*      RVM  w:v r:v r:v/m        | 66.0F38 39 /r | VEX.WIG avx2 | EVEX.W0 b32 avx512
vpminuw.*      RVM  w:v r:v r:v/m        | 66.0F38 3A /r | VEX.WIG avx2 | EVEX.WIG avx512
vpminud.*      RVM  w:v r:v r:v/m        | 66.0F38 3B /r | VEX.WIG avx2 | EVEX.W0 b32 avx512
vpmaxub.*      RVM  w:v r:v r:v/m        | 66.0F DE /r   | VEX.WIG avx2 | EVEX.WIG avx512
vpmaxsw.*      RVM  w:v r:v r:v/m        | 66.0F EE /r   | VEX.WIG avx2 | EVEX.WIG avx512
vpmaxsb.*      RVM  w:v r:v r:v/m        | 66.0F38 3C /r | VEX.WIG avx2 | EVEX.WIG avx512
vpmaxsd.*      RVM  w:v r:v r:v/m        | 66.0F38 3D /r | VEX.WIG avx2 | EVEX.W0 b32 avx512
vpmaxuw.*      RVM  w:v r:v r:v/m        | 66.0F38 3E /r | VEX.WIG avx2 | EVEX.WIG avx512
vpmaxud.*      RVM  w:v r:v r:v/m        | 66.0F38 3F /r | VEX.WIG avx2 | EVEX.W0 b32 avx512
vpabsb.*       RM   w:v r:v/m            | 66.0F38 1C /r | VEX.WIG avx2 | EVEX.WIG avx512
vpabsw.*       RM   w:v r:v/m            | 66.0F38 1D /r | VEX.WIG avx2 | EVEX.WIG avx512
vpabsd.*       RM   w:v r:v/m            | 66.0F38 1E /r | VEX.WIG avx2 | EVEX.W0 b32 avx512
vpsignb.*      RVM  w:v r:v r:v/m        | 66.0F38 08 /r | VEX.WIG avx2
vpsignw.*      RVM  w:v r:v r:v/m        | 66.0F38 09 /r | VEX.WIG avx2
vpsignd.*      RVM  w:v r:v r:v/m        | 66.0F38 0A /r | VEX.WIG avx2
vpand.*        RVM  w:v r:v r:v/m        | 66.0F DB /r   | VEX.WIG avx2
vpandn.*       RVM  w:v r:v r:v/m        | 66.0F DF /r   | VEX.WIG avx2
vpor.*         RVM  w:v r:v r:v/m        | 66.0F EB /r   | VEX.WIG avx2
vpxor.*        RVM  w:v r:v r:v/m        | 66.0F EF /r   | VEX.WIG avx2
vpcmpeqb.*     RVM  w:v r:v r:v/m        | 66.0F 74 /r   | VEX.WIG avx2
vpcmpeqw.*     RVM  w:v r:v r:v/m        | 66.0F 75 /r   | VEX.WIG avx2
vpcmpeqd.*     RVM  w:v r:v r:v/m        | 66.0F 76 /r   | VEX.WIG avx2
vpcmpeqq.*     RVM  w:v r:v r:v/m        | 66.0F38 29 /r | VEX.WIG avx2
vpcmpgtb.*     RVM  w:v r:v r:v/m        | 66.0F 64 /r   | VEX.WIG avx2
vpcmpgtw.*     RVM  w:v r:v r:v/m        | 66.0F 65 /r   | VEX.WIG avx2
vpcmpgtd.*     RVM  w:v r:v r:v/m        | 66.0F 66 /r   | VEX.WIG avx2
vpcmpgtq.*     RVM  w:v r:v r:v/m        | 66.0F38 37 /r | VEX.WIG avx2
vptest.*       RM   r:v r:v/m            | 66.0F38 17 /r | VEX.WIG avx2 >flags
vtestps.*      RM   r:v r:v/m            | 66.0F38 0E /r | VEX.W0 avx2 >flags
vpsllvd.*      RVM  w:v r:v r:v/m        | 66.0F38 47 /r | VEX.W0 avx2 | EVEX.W0 b32 avx512
vpsllvq.*      RVM  w:v r:v r:v/m        | 66.0F38 47 /r | VEX.W1 avx2 | EVEX.W1 b64 avx512
vpsrlvd.*      RVM  w:v r:v r:v/m        | 66.0F38 45 /r | VEX.W0 avx2 | EVEX.W0 b32 avx512
vpsrlvq.*      RVM  w:v r:v r:v/m        | 66.0F38 45 /r | VEX.W1 avx2 | EVEX.W1 b64 avx512
vpsravd.*      RVM  w:v r:v r:v/m        | 66.0F38 46 /r | VEX.W0 avx2 | EVEX.W0 b32 avx512
vpslldq.*      VMI  w:v r:v i8           | 66.0F 73 /7   | VEX.WIG avx2
vpslldq.*      VMI  w:v r:v/m i8         | 66.0F 73 /7   | EVEX.WIG nomask avx512
vpsrldq.*      VMI  w:v r:v i8           | 66.0F 73 /3   | VEX.WIG avx2
vpsrldq.*      VMI  w:v r:v/m i8         | 66.0F 73 /3   | EVEX.WIG nomask avx512
`.split("\n");

const shuffles = `
vpshufb.*      RVM  w:v r:v r:v/m        | 66.0F38 00 /r | VEX.WIG avx2      | EVEX.WIG avx512
vpshufd.*      RMI  w:v r:v/m i8         | 66.0F 70 /r   | VEX.WIG avx2      | EVEX.W0 b32 avx512
vpshufhw.*     RMI  w:v r:v/m i8         | F3.0F 70 /r   | VEX.WIG avx2      | EVEX.WIG avx512
vpshuflw.*     RMI  w:v r:v/m i8         | F2.0F 70 /r   | VEX.WIG avx2      | EVEX.WIG avx512
vpunpcklbw.*   RVM  w:v r:v r:v/m        | 66.0F 60 /r   | VEX.WIG avx2      | EVEX.WIG avx512
vpunpcklwd.*   RVM  w:v r:v r:v/m        | 66.0F 61 /r   | VEX.WIG avx2      | EVEX.WIG avx512
vpunpckldq.*   RVM  w:v r:v r:v/m        | 66.0F 62 /r   | VEX.WIG avx2      | EVEX.W0 b32 avx512
vpunpcklqdq.*  RVM  w:v r:v r:v/m        | 66.0F 6C /r   | VEX.WIG avx2      | EVEX.W1 b64 avx512
vpunpckhbw.*   RVM  w:v r:v r:v/m        | 66.0F 68 /r   | VEX.WIG avx2      | EVEX.WIG avx512
vpunpckhwd.*   RVM  w:v r:v r:v/m        | 66.0F 69 /r   | VEX.WIG avx2      | EVEX.WIG avx512
vpunpckhdq.*   RVM  w:v r:v r:v/m        | 66.0F 6A /r   | VEX.WIG avx2      | EVEX.W0 b32 avx512
vpunpckhqdq.*  RVM  w:v r:v r:v/m        | 66.0F 6D /r   | VEX.WIG avx2      | EVEX.W1 b64 avx512
vpacksswb.*    RVM  w:v r:v r:v/m        | 66.0F 63 /r   | VEX.WIG avx2      | EVEX.WIG avx512
vpackssdw.*    RVM  w:v r:v r:v/m        | 66.0F 6B /r   | VEX.WIG avx2      | EVEX.W0 b32 avx512
vpackuswb.*    RVM  w:v r:v r:v/m        | 66.0F 67 /r   | VEX.WIG avx2      | EVEX.WIG avx512
vpackusdw.*    RVM  w:v r:v r:v/m        | 66.0F38 2B /r | VEX.WIG avx2      | EVEX.W0 b32 avx512
vpalignr.*     RVMI w:v r:v r:v/m i8     | 66.0F3A 0F /r | VEX.WIG avx2      | EVEX.WIG avx512
vpblendd.*     RVMI w:v r:v r:v/m i8     | 66.0F3A 02 /r | VEX.W0 avx2
vpblendw.*     RVMI w:v r:v r:v/m i8     | 66.0F3A 0E /r | VEX.WIG avx2
vblendps.*     RVMI w:v r:v r:v/m i8     | 66.0F3A 0C /r | VEX.WIG avx2
vpblendvb.*    RVML w:v r:v r:v/m r:v    | 66.0F3A 4C /r | VEX.W0 avx2
vblendvps.*    RVML w:v r:v r:v/m r:v    | 66.0F3A 4A /r | VEX.W0 avx2
vblendvpd.*    RVML w:v r:v r:v/m r:v    | 66.0F3A 4B /r | VEX.W0 avx2
vpbroadcastb.* RM   w:v r:x/m8           | 66.0F38 78 /r | VEX.W0 avx2       | EVEX.W0 avx512
vpbroadcastw.* RM   w:v r:x/m16          | 66.0F38 79 /r | VEX.W0 avx2       | EVEX.W0 avx512
vpbroadcastd.* RM   w:v r:x/m32          | 66.0F38 58 /r | VEX.W0 avx2       | EVEX.W0 avx512
vpbroadcastq.* RM   w:v r:x/m64          | 66.0F38 59 /r | VEX.W0 avx2       | EVEX.W1 avx512
vbroadcastss.* RM   w:v r:x/m32          | 66.0F38 18 /r | VEX.W0 avx2       | EVEX.W0 avx512
vbroadcastsd.* RM   w:v r:x/m64          | 66.0F38 19 /r | VEX.256.W0 avx2   | EVEX.256+.W1 avx512
vbroadcastf128.* RM w:y r:m128           | 66.0F38 1A /r | VEX.256.W0 avx2
vbroadcasti128.* RM w:y r:m128           | 66.0F38 5A /r | VEX.256.W0 avx2
vperm2f128.*   RVMI w:y r:y r:y/m256 i8  | 66.0F3A 06 /r | VEX.256.W0 avx2
vperm2i128.*   RVMI w:y r:y r:y/m256 i8  | 66.0F3A 46 /r | VEX.256.W0 avx2
vpermd.*       RVM  w:v r:v r:v/m        | 66.0F38 36 /r | VEX.256.W0 avx2   | EVEX.256+.W0 b32 avx512
vpermps.*      RVM  w:v r:v r:v/m        | 66.0F38 16 /r | VEX.256.W0 avx2   | EVEX.256+.W0 b32 avx512
vpermq.*.i     RMI  w:v r:v/m i8         | 66.0F3A 00 /r | VEX.256.W1 avx2   | EVEX.256+.W1 b64 avx512
vpermpd.*.i    RMI  w:v r:v/m i8         | 66.0F3A 01 /r | VEX.256.W1 avx2   | EVEX.256+.W1 b64 avx512
vpermilps.*    RVM  w:v r:v r:v/m        | 66.0F38 0C /r | VEX.W0 avx2       | EVEX.W0 b32 avx512
vpermilps.*.i  RMI  w:v r:v/m i8         | 66.0F3A 04 /r | VEX.W0 avx2       | EVEX.W0 b32 avx512
vinsertf128.*  RVMI w:y r:y r:x/m128 i8  | 66.0F3A 18 /r | VEX.256.W0 avx2
vinserti128.*  RVMI w:y r:y r:x/m128 i8  | 66.0F3A 38 /r | VEX.256.W0 avx2
vextractf128.* MRI  w:x/m128 r:y i8      | 66.0F3A 19 /r | VEX.256.W0 avx2
vextracti128.* MRI  w:x/m128 r:y i8      | 66.0F3A 39 /r | VEX.256.W0 avx2
vpinsrb.*      RVMI w:x r:x r:r32/m8 i8  | 66.0F3A 20 /r | VEX.128.W0 avx2   | EVEX.128.WIG nomask avx512
vpinsrw.*      RVMI w:x r:x r:r32/m16 i8 | 66.0F C4 /r   | VEX.128.W0 avx2   | EVEX.128.WIG nomask avx512
vpinsrd.*      RVMI w:x r:x r:r32/m32 i8 | 66.0F3A 22 /r | VEX.128.W0 avx2   | EVEX.128.W0 nomask avx512
vpinsrq.*      RVMI w:x r:x r:r64/m64 i8 | 66.0F3A 22 /r | VEX.128.W1 avx2   | EVEX.128.W1 nomask avx512
vpextrb.*      MRI  w:r32/m8 r:x i8      | 66.0F3A 14 /r | VEX.128.W0 avx2   | EVEX.128.WIG nomask avx512
vpextrw.*      MRI  w:r32/m16 r:x i8     | 66.0F3A 15 /r | VEX.128.W0 avx2   | EVEX.128.WIG nomask avx512
vpextrd.*      MRI  w:r32/m32 r:x i8     | 66.0F3A 16 /r | VEX.128.W0 avx2   | EVEX.128.W0 nomask avx512
vpextrq.*      MRI  w:r64/m64 r:x i8     | 66.0F3A 16 /r | VEX.128.W1 avx2   | EVEX.128.W1 nomask avx512
vextractps.*   MRI  w:r32/m32 r:x i8     | 66.0F3A 17 /r | VEX.128.WIG avx2  | EVEX.128.WIG nomask avx512
vinsertps.*    RVMI w:x r:x r:x/m32 i8   | 66.0F3A 21 /r | VEX.128.WIG avx2  | EVEX.128.W0 nomask avx512
vshufps.*      RVMI w:v r:v r:v/m i8     | NP.0F C6 /r   | VEX.WIG avx2      | EVEX.W0 b32 avx512
vshufpd.*      RVMI w:v r:v r:v/m i8     | 66.0F C6 /r   | VEX.WIG avx2      | EVEX.W1 b64 avx512
vunpcklps.*    RVM  w:v r:v r:v/m        | NP.0F 14 /r   | VEX.WIG avx2      | EVEX.W0 b32 avx512
vunpckhps.*    RVM  w:v r:v r:v/m        | NP.0F 15 /r   | VEX.WIG avx2      | EVEX.W0 b32 avx512
vunpcklpd.*    RVM  w:v r:v r:v/m        | 66.0F 14 /r   | VEX.WIG avx2      | EVEX.W1 b64 avx512
vunpckhpd.*    RVM  w:v r:v r:v/m        | 66.0F 15 /r   | VEX.WIG avx2      | EVEX.W1 b64 avx512
`.split("\n");

const conversions = `
vsqrtps.*      RM   w:v r:v/m            | NP.0F 51 /r   | VEX.WIG avx2      | EVEX.W0 b32 avx512
vsqrtpd.*      RM   w:v r:v/m            | 66.0F 51 /r   | VEX.WIG avx2      | EVEX.W1 b64 avx512
vsqrtss.*      RVM  w:x r:x r:x/m32      | F3.0F 51 /r   | VEX.LIG.WIG avx2  | EVEX.LIG.W0 avx512
vsqrtsd.*      RVM  w:x r:x r:x/m64      | F2.0F 51 /r   | VEX.LIG.WIG avx2  | EVEX.LIG.W1 avx512
vrcpps.*       RM   w:v r:v/m            | NP.0F 53 /r   | VEX.WIG avx2
vrcpss.*       RVM  w:x r:x r:x/m32      | F3.0F 53 /r   | VEX.LIG.WIG avx2
vrsqrtps.*     RM   w:v r:v/m            | NP.0F 52 /r   | VEX.WIG avx2
vrsqrtss.*     RVM  w:x r:x r:x/m32      | F3.0F 52 /r   | VEX.LIG.WIG avx2
vhaddps.*      RVM  w:v r:v r:v/m        | F2.0F 7C /r   | VEX.WIG avx2
vroundps.*     RMI  w:v r:v/m i8         | 66.0F3A 08 /r | VEX.WIG avx2
vroundpd.*     RMI  w:v r:v/m i8         | 66.0F3A 09 /r | VEX.WIG avx2
vroundss.*     RVMI w:x r:x r:x/m32 i8   | 66.0F3A 0A /r | VEX.LIG.WIG avx2
vroundsd.*     RVMI w:x r:x r:x/m64 i8   | 66.0F3A 0B /r | VEX.LIG.WIG avx2
vcmpps.*       RVMI w:v r:v r:v/m i8     | NP.0F C2 /r   | VEX.WIG avx2
vcmppd.*       RVMI w:v r:v r:v/m i8     | 66.0F C2 /r   | VEX.WIG avx2
vcmpss.*       RVMI w:x r:x r:x/m32 i8   | F3.0F C2 /r   | VEX.LIG.WIG avx2
vcmpsd.*       RVMI w:x r:x r:x/m64 i8   | F2.0F C2 /r   | VEX.LIG.WIG avx2
vucomiss.*     RM   r:x r:x/m32          | NP.0F 2E /r   | VEX.LIG.WIG avx2 >flags | EVEX.LIG.W0 nomask avx512 >flags
vcomiss.*      RM   r:x r:x/m32          | NP.0F 2F /r   | VEX.LIG.WIG avx2 >flags | EVEX.LIG.W0 nomask avx512 >flags
vucomisd.*     RM   r:x r:x/m64          | 66.0F 2E /r   | VEX.LIG.WIG avx2 >flags | EVEX.LIG.W1 nomask avx512 >flags
vcomisd.*      RM   r:x r:x/m64          | 66.0F 2F /r   | VEX.LIG.WIG avx2 >flags | EVEX.LIG.W1 nomask avx512 >flags
vcvtdq2ps.*    RM   w:v r:v/m            | NP.0F 5B /r   | VEX.WIG avx2      | EVEX.W0 b32 avx512
vcvtps2dq.*    RM   w:v r:v/m            | 66.0F 5B /r   | VEX.WIG avx2      | EVEX.W0 b32 avx512
vcvttps2dq.*   RM   w:v r:v/m            | F3.0F 5B /r   | VEX.WIG avx2      | EVEX.W0 b32 avx512
vcvtdq2pd.*    RM   w:v r:v2/m           | F3.0F E6 /r   | VEX.WIG avx2      | EVEX.W0 b32 avx512
vcvtps2pd.*    RM   w:v r:v2/m           | NP.0F 5A /r   | VEX.WIG avx2      | EVEX.W0 b32 avx512
vcvtpd2ps.*    RM   w:v2 r:v/m           | 66.0F 5A /r   | VEX.WIG avx2      | EVEX.W1 b64 avx512
vcvttpd2dq.*   RM   w:v2 r:v/m           | 66.0F E6 /r   | VEX.WIG avx2      | EVEX.W1 b64 avx512
vcvtss2sd.*    RVM  w:x r:x r:x/m32      | F3.0F 5A /r   | VEX.LIG.WIG avx2  | EVEX.LIG.W0 avx512
vcvtsd2ss.*    RVM  w:x r:x r:x/m64      | F2.0F 5A /r   | VEX.LIG.WIG avx2  | EVEX.LIG.W1 avx512
vcvtsi2ss.*    RVM  w:x r:x r:r32/m32    | F3.0F 2A /r   | VEX.LIG.W0 avx2   | EVEX.LIG.W0 nomask avx512
vcvtsi2ss.*.q  RVM  w:x r:x r:r64/m64    | F3.0F 2A /r   | VEX.LIG.W1 avx2   | EVEX.LIG.W1 nomask avx512
vcvtsi2sd.*    RVM  w:x r:x r:r32/m32    | F2.0F 2A /r   | VEX.LIG.W0 avx2   | EVEX.LIG.W0 nomask avx512
vcvtsi2sd.*.q  RVM  w:x r:x r:r64/m64    | F2.0F 2A /r   | VEX.LIG.W1 avx2   | EVEX.LIG.W1 nomask avx512
vcvtss2si.*    RM   w:r32 r:x/m32        | F3.0F 2D /r   | VEX.LIG.W0 avx2   | EVEX.LIG.W0 nomask avx512
vcvtss2si.*.q  RM   w:r64 r:x/m32        | F3.0F 2D /r   | VEX.LIG.W1 avx2   | EVEX.LIG.W1 nomask avx512
vcvttss2si.*   RM   w:r32 r:x/m32        | F3.0F 2C /r   | VEX.LIG.W0 avx2   | EVEX.LIG.W0 nomask avx512
vcvttss2si.*.q RM   w:r64 r:x/m32        | F3.0F 2C /r   | VEX.LIG.W1 avx2   | EVEX.LIG.W1 nomask avx512
vcvttsd2si.*   RM   w:r32 r:x/m64        | F2.0F 2C /r   | VEX.LIG.W0 avx2   | EVEX.LIG.W0 nomask avx512
vcvttsd2si.*.q RM   w:r64 r:x/m64        | F2.0F 2C /r   | VEX.LIG.W1 avx2   | EVEX.LIG.W1 nomask avx512
vcvtph2ps.*    RM   w:v r:v2/m           | 66.0F38 13 /r | VEX.W0 avx2       | EVEX.W0 avx512
vcvtps2ph.*    MRI  w:v2/m r:v i8        | 66.0F3A 1D /r | VEX.W0 avx2       | EVEX.W0 avx512
`.split("\n");

export const vectorTable: readonly string[] = [
  ...floats,
  ...logic,
  ...fused,
  ...widening,
  ...shifts,
  ...moves,
  ...integers,
  ...shuffles,
  ...conversions,
];
