/**
 * Instructions that exist only with EVEX prefixes, the mask registers of AVX-512, and the tiles of AMX. The notation is explained in
 * instructions.ts.
 */

/** Mask registers by element type: prefix and W of the plain operations, bits held. */
const masks = {
  b: { pp: "66", w: 0, bits: 8 },
  w: { pp: "NP", w: 0, bits: 16 },
  d: { pp: "66", w: 1, bits: 32 },
  q: { pp: "NP", w: 1, bits: 64 },
};
const maskRegisters = Object.entries(masks).flatMap(([t, { pp, w, bits }]) => {
  const gp = t === "q" ? "r64" : "r32";
  const by = { b: "66", w: "NP", d: "F2", q: "F2" }[t];
  const shift = `66.0F3A 3${t === "b" || t === "w" ? 2 : 3} /r | VEX.L0.W${t === "b" || t === "d" ? 0 : 1} avx512`;
  return [
    `kmov${t}      RM w:k r:k/m${bits} | ${pp}.0F 90 /r | VEX.L0.W${w} avx512`,
    `kmov${t}.st   MR w:m${bits} r:k   | ${pp}.0F 91 /r | VEX.L0.W${w} avx512`,
    `kmov${t}.from RM w:k r:${gp}      | ${by}.0F 92 /r | VEX.L0.W${t === "q" ? 1 : 0} avx512`,
    `kmov${t}.to   RM w:${gp} r:k      | ${by}.0F 93 /r | VEX.L0.W${t === "q" ? 1 : 0} avx512`,
    `knot${t}      RM w:k r:k          | ${pp}.0F 44 /r | VEX.L0.W${w} avx512`,
    `kortest${t}   RM r:k r:k          | ${pp}.0F 98 /r | VEX.L0.W${w} avx512 >flags`,
    `ktest${t}     RM r:k r:k          | ${pp}.0F 99 /r | VEX.L0.W${w} avx512 >flags`,
    `kshiftl${t}   RMI w:k r:k i8      | ${shift}`,
    `kshiftr${t}   RMI w:k r:k i8      | ${shift.replace("3A 32", "3A 30").replace("3A 33", "3A 31")}`,
    ...Object.entries({ and: 41, andn: 42, or: 45, xnor: 46, xor: 47 }).map(
      ([name, op]) => `k${name}${t} RVM w:k r:k r:k | ${pp}.0F ${op} /r | VEX.L1.W${w} avx512`,
    ),
    `kadd${t}      RVM w:k r:k r:k     | ${pp}.0F 4A /r | VEX.L1.W${w} avx512`,
  ];
});

/** Comparisons into a mask. Bytes and words know no broadcast. */
const comparisons = [
  ["b", "3F", "3E", "W0", ""],
  ["w", "3F", "3E", "W1", ""],
  ["d", "1F", "1E", "W0", "b32"],
  ["q", "1F", "1E", "W1", "b64"],
].flatMap(([t, signed, unsigned, w, b]) => [
  `vpcmp${t}.*  RVMI w:k r:v r:v/m i8 | 66.0F3A ${signed} /r   | EVEX.${w} ${b} avx512`,
  `vpcmpu${t}.* RVMI w:k r:v r:v/m i8 | 66.0F3A ${unsigned} /r | EVEX.${w} ${b} avx512`,
]);

/** Narrowing moves: wrap around, saturate signed, saturate unsigned. */
const narrowing = [
  ["wb", 0, 2],
  ["db", 1, 4],
  ["qb", 2, 8],
  ["dw", 3, 2],
  ["qw", 4, 4],
  ["qd", 5, 2],
].flatMap(([types, low, part]) =>
  Object.entries({ "": 3, s: 2, us: 1 }).map(
    ([how, high]) => `vpmov${how}${types}.* MR w:v${part}/m r:v | F3.0F38 ${high}${low} /r | EVEX.W0 avx512`,
  ),
);

/** 128- and 256-bit parts of wider registers: name, bits of the part, W, widths, opcodes of broadcast, insert, extract. */
const parts = [
  ["f32x4", 128, "W0", "256+", "1A", "18", "19"],
  ["f64x2", 128, "W1", "256+", "1A", "18", "19"],
  ["f32x8", 256, "W0", "512", "1B", "1A", "1B"],
  ["f64x4", 256, "W1", "512", "1B", "1A", "1B"],
  ["i32x4", 128, "W0", "256+", "5A", "38", "39"],
  ["i64x2", 128, "W1", "256+", "5A", "38", "39"],
  ["i32x8", 256, "W0", "512", "5B", "3A", "3B"],
  ["i64x4", 256, "W1", "512", "5B", "3A", "3B"],
].flatMap(([name, bits, w, widths, broadcast, insert, extract]) => {
  const part = `${bits === 128 ? "x" : "y"}/m${bits}`;
  return [
    `vbroadcast${name}.* RM   w:v r:m${bits}       | 66.0F38 ${broadcast} /r | EVEX.${widths}.${w} avx512`,
    `vinsert${name}.*    RVMI w:v r:v r:${part} i8 | 66.0F3A ${insert} /r    | EVEX.${widths}.${w} avx512`,
    `vextract${name}.*   MRI  w:${part} r:v i8     | 66.0F3A ${extract} /r   | EVEX.${widths}.${w} avx512`,
  ];
});

const rest = `
vmovdqu8.*       RM   w:v r:v/m           | F2.0F 6F /r   | EVEX.W0 avx512
vmovdqu8.*.st    MR   w:m r:v             | F2.0F 7F /r   | EVEX.W0 avx512
vmovdqu16.*      RM   w:v r:v/m           | F2.0F 6F /r   | EVEX.W1 avx512
vmovdqu16.*.st   MR   w:m r:v             | F2.0F 7F /r   | EVEX.W1 avx512
vmovdqu32.*      RM   w:v r:v/m           | F3.0F 6F /r   | EVEX.W0 avx512
vmovdqu32.*.st   MR   w:m r:v             | F3.0F 7F /r   | EVEX.W0 avx512
vmovdqu64.*      RM   w:v r:v/m           | F3.0F 6F /r   | EVEX.W1 avx512
vmovdqu64.*.st   MR   w:m r:v             | F3.0F 7F /r   | EVEX.W1 avx512
vmovdqa32.*      RM   w:v r:v/m           | 66.0F 6F /r   | EVEX.W0 avx512
vmovdqa32.*.st   MR   w:m r:v             | 66.0F 7F /r   | EVEX.W0 avx512
vmovdqa64.*      RM   w:v r:v/m           | 66.0F 6F /r   | EVEX.W1 avx512
vmovdqa64.*.st   MR   w:m r:v             | 66.0F 7F /r   | EVEX.W1 avx512
vgatherdps.*     RM   rw:v r:vm32         | 66.0F38 92 /r | EVEX.W0 needsmask distinct avx512
vpgatherdd.*     RM   rw:v r:vm32         | 66.0F38 90 /r | EVEX.W0 needsmask distinct avx512
vscatterdps.*    MR   w:vm32 r:v          | 66.0F38 A2 /r | EVEX.W0 needsmask avx512
vpscatterdd.*    MR   w:vm32 r:v          | 66.0F38 A0 /r | EVEX.W0 needsmask avx512
vpbroadcastb.*.gp RM  w:v r:r32           | 66.0F38 7A /r | EVEX.W0 avx512
vpbroadcastw.*.gp RM  w:v r:r32           | 66.0F38 7B /r | EVEX.W0 avx512
vpbroadcastd.*.gp RM  w:v r:r32           | 66.0F38 7C /r | EVEX.W0 avx512
vpbroadcastq.*.gp RM  w:v r:r64           | 66.0F38 7C /r | EVEX.W1 avx512
vbroadcasti32x2.* RM  w:v r:x/m64         | 66.0F38 59 /r | EVEX.W0 avx512
vbroadcastf32x2.* RM  w:v r:x/m64         | 66.0F38 19 /r | EVEX.256+.W0 avx512

vpandd.*         RVM  w:v r:v r:v/m       | 66.0F DB /r   | EVEX.W0 b32 avx512
vpandq.*         RVM  w:v r:v r:v/m       | 66.0F DB /r   | EVEX.W1 b64 avx512
vpandnd.*        RVM  w:v r:v r:v/m       | 66.0F DF /r   | EVEX.W0 b32 avx512
vpandnq.*        RVM  w:v r:v r:v/m       | 66.0F DF /r   | EVEX.W1 b64 avx512
vpord.*          RVM  w:v r:v r:v/m       | 66.0F EB /r   | EVEX.W0 b32 avx512
vporq.*          RVM  w:v r:v r:v/m       | 66.0F EB /r   | EVEX.W1 b64 avx512
vpxord.*         RVM  w:v r:v r:v/m       | 66.0F EF /r   | EVEX.W0 b32 avx512
vpxorq.*         RVM  w:v r:v r:v/m       | 66.0F EF /r   | EVEX.W1 b64 avx512
vpternlogd.*     RVMI rw:v r:v r:v/m i8   | 66.0F3A 25 /r | EVEX.W0 b32 avx512
vpternlogq.*     RVMI rw:v r:v r:v/m i8   | 66.0F3A 25 /r | EVEX.W1 b64 avx512
vpmullq.*        RVM  w:v r:v r:v/m       | 66.0F38 40 /r | EVEX.W1 b64 avx512
vpminsq.*        RVM  w:v r:v r:v/m       | 66.0F38 39 /r | EVEX.W1 b64 avx512
vpminuq.*        RVM  w:v r:v r:v/m       | 66.0F38 3B /r | EVEX.W1 b64 avx512
vpmaxsq.*        RVM  w:v r:v r:v/m       | 66.0F38 3D /r | EVEX.W1 b64 avx512
vpmaxuq.*        RVM  w:v r:v r:v/m       | 66.0F38 3F /r | EVEX.W1 b64 avx512
vpabsq.*         RM   w:v r:v/m           | 66.0F38 1F /r | EVEX.W1 b64 avx512
vpsraq.*         RVM  w:v r:v r:x/m128    | 66.0F E2 /r   | EVEX.W1 avx512
vpsraq.*.i       VMI  w:v r:v/m i8        | 66.0F 72 /4   | EVEX.W1 b64 avx512
vpsravq.*        RVM  w:v r:v r:v/m       | 66.0F38 46 /r | EVEX.W1 b64 avx512
vpsllvw.*        RVM  w:v r:v r:v/m       | 66.0F38 12 /r | EVEX.W1 avx512
vpsrlvw.*        RVM  w:v r:v r:v/m       | 66.0F38 10 /r | EVEX.W1 avx512
vpsravw.*        RVM  w:v r:v r:v/m       | 66.0F38 11 /r | EVEX.W1 avx512
vprord.*.i       VMI  w:v r:v/m i8        | 66.0F 72 /0   | EVEX.W0 b32 avx512
vprold.*.i       VMI  w:v r:v/m i8        | 66.0F 72 /1   | EVEX.W0 b32 avx512
vplzcntd.*       RM   w:v r:v/m           | 66.0F38 44 /r | EVEX.W0 b32 avx512
vpopcntb.*       RM   w:v r:v/m           | 66.0F38 54 /r | EVEX.W0 avx512bitalg
vpopcntw.*       RM   w:v r:v/m           | 66.0F38 54 /r | EVEX.W1 avx512bitalg
vpopcntd.*       RM   w:v r:v/m           | 66.0F38 55 /r | EVEX.W0 b32 avx512bitalg
vpopcntq.*       RM   w:v r:v/m           | 66.0F38 55 /r | EVEX.W1 b64 avx512bitalg

vpcmpeqb.*       RVM  w:k r:v r:v/m       | 66.0F 74 /r   | EVEX.WIG avx512
vpcmpeqw.*       RVM  w:k r:v r:v/m       | 66.0F 75 /r   | EVEX.WIG avx512
vpcmpeqd.*       RVM  w:k r:v r:v/m       | 66.0F 76 /r   | EVEX.W0 b32 avx512
vpcmpeqq.*       RVM  w:k r:v r:v/m       | 66.0F38 29 /r | EVEX.W1 b64 avx512
vpcmpgtb.*       RVM  w:k r:v r:v/m       | 66.0F 64 /r   | EVEX.WIG avx512
vpcmpgtw.*       RVM  w:k r:v r:v/m       | 66.0F 65 /r   | EVEX.WIG avx512
vpcmpgtd.*       RVM  w:k r:v r:v/m       | 66.0F 66 /r   | EVEX.W0 b32 avx512
vpcmpgtq.*       RVM  w:k r:v r:v/m       | 66.0F38 37 /r | EVEX.W1 b64 avx512
vptestmb.*       RVM  w:k r:v r:v/m       | 66.0F38 26 /r | EVEX.W0 avx512
vptestmw.*       RVM  w:k r:v r:v/m       | 66.0F38 26 /r | EVEX.W1 avx512
vptestmd.*       RVM  w:k r:v r:v/m       | 66.0F38 27 /r | EVEX.W0 b32 avx512
vptestmq.*       RVM  w:k r:v r:v/m       | 66.0F38 27 /r | EVEX.W1 b64 avx512
vptestnmb.*      RVM  w:k r:v r:v/m       | F3.0F38 26 /r | EVEX.W0 avx512
vptestnmd.*      RVM  w:k r:v r:v/m       | F3.0F38 27 /r | EVEX.W0 b32 avx512
vcmpps.*         RVMI w:k r:v r:v/m i8    | NP.0F C2 /r   | EVEX.W0 b32 avx512
vcmppd.*         RVMI w:k r:v r:v/m i8    | 66.0F C2 /r   | EVEX.W1 b64 avx512
vcmpss.*         RVMI w:k r:x r:x/m32 i8  | F3.0F C2 /r   | EVEX.LIG.W0 avx512
vfpclassps.*     RMI  w:k r:v/m i8        | 66.0F3A 66 /r | EVEX.W0 b32 avx512
vpmovm2b.*       RM   w:v r:k             | F3.0F38 28 /r | EVEX.W0 nomask avx512
vpmovm2w.*       RM   w:v r:k             | F3.0F38 28 /r | EVEX.W1 nomask avx512
vpmovm2d.*       RM   w:v r:k             | F3.0F38 38 /r | EVEX.W0 nomask avx512
vpmovm2q.*       RM   w:v r:k             | F3.0F38 38 /r | EVEX.W1 nomask avx512
vpmovb2m.*       RM   w:k r:v             | F3.0F38 29 /r | EVEX.W0 nomask avx512
vpmovw2m.*       RM   w:k r:v             | F3.0F38 29 /r | EVEX.W1 nomask avx512
vpmovd2m.*       RM   w:k r:v             | F3.0F38 39 /r | EVEX.W0 nomask avx512
vpmovq2m.*       RM   w:k r:v             | F3.0F38 39 /r | EVEX.W1 nomask avx512
kunpckbw         RVM  w:k r:k r:k         | 66.0F 4B /r   | VEX.L1.W0 avx512
kunpckwd         RVM  w:k r:k r:k         | NP.0F 4B /r   | VEX.L1.W0 avx512
kunpckdq         RVM  w:k r:k r:k         | NP.0F 4B /r   | VEX.L1.W1 avx512

vpermw.*         RVM  w:v r:v r:v/m       | 66.0F38 8D /r | EVEX.W1 avx512
vpermq.*         RVM  w:v r:v r:v/m       | 66.0F38 36 /r | EVEX.256+.W1 b64 avx512
vpermi2w.*       RVM  rw:v r:v r:v/m      | 66.0F38 75 /r | EVEX.W1 avx512
vpermi2d.*       RVM  rw:v r:v r:v/m      | 66.0F38 76 /r | EVEX.W0 b32 avx512
vpermi2q.*       RVM  rw:v r:v r:v/m      | 66.0F38 76 /r | EVEX.W1 b64 avx512
vpermi2ps.*      RVM  rw:v r:v r:v/m      | 66.0F38 77 /r | EVEX.W0 b32 avx512
vpermt2w.*       RVM  rw:v r:v r:v/m      | 66.0F38 7D /r | EVEX.W1 avx512
vpermt2d.*       RVM  rw:v r:v r:v/m      | 66.0F38 7E /r | EVEX.W0 b32 avx512
vpermt2q.*       RVM  rw:v r:v r:v/m      | 66.0F38 7E /r | EVEX.W1 b64 avx512
vpermt2ps.*      RVM  rw:v r:v r:v/m      | 66.0F38 7F /r | EVEX.W0 b32 avx512
vpermb.*         RVM  w:v r:v r:v/m       | 66.0F38 8D /r | EVEX.W0 avx512vbmi
vpermi2b.*       RVM  rw:v r:v r:v/m      | 66.0F38 75 /r | EVEX.W0 avx512vbmi
vpermt2b.*       RVM  rw:v r:v r:v/m      | 66.0F38 7D /r | EVEX.W0 avx512vbmi
vpmultishiftqb.* RVM  w:v r:v r:v/m       | 66.0F38 83 /r | EVEX.W1 b64 avx512vbmi
valignd.*        RVMI w:v r:v r:v/m i8    | 66.0F3A 03 /r | EVEX.W0 b32 avx512
valignq.*        RVMI w:v r:v r:v/m i8    | 66.0F3A 03 /r | EVEX.W1 b64 avx512
vshuff32x4.*     RVMI w:v r:v r:v/m i8    | 66.0F3A 23 /r | EVEX.256+.W0 b32 avx512
vshufi32x4.*     RVMI w:v r:v r:v/m i8    | 66.0F3A 43 /r | EVEX.256+.W0 b32 avx512
vshufi64x2.*     RVMI w:v r:v r:v/m i8    | 66.0F3A 43 /r | EVEX.256+.W1 b64 avx512
vpblendmb.*      RVM  w:v r:v r:v/m       | 66.0F38 66 /r | EVEX.W0 chooses avx512
vpblendmw.*      RVM  w:v r:v r:v/m       | 66.0F38 66 /r | EVEX.W1 chooses avx512
vpblendmd.*      RVM  w:v r:v r:v/m       | 66.0F38 64 /r | EVEX.W0 chooses b32 avx512
vpblendmq.*      RVM  w:v r:v r:v/m       | 66.0F38 64 /r | EVEX.W1 chooses b64 avx512
vblendmps.*      RVM  w:v r:v r:v/m       | 66.0F38 65 /r | EVEX.W0 chooses b32 avx512

vrcp14ps.*       RM   w:v r:v/m           | 66.0F38 4C /r | EVEX.W0 b32 avx512
vrsqrt14ps.*     RM   w:v r:v/m           | 66.0F38 4E /r | EVEX.W0 b32 avx512
vrndscaleps.*    RMI  w:v r:v/m i8        | 66.0F3A 08 /r | EVEX.W0 b32 avx512
vrndscaless.*    RVMI w:x r:x r:x/m32 i8  | 66.0F3A 0A /r | EVEX.LIG.W0 avx512
vreduceps.*      RMI  w:v r:v/m i8        | 66.0F3A 56 /r | EVEX.W0 b32 avx512
vrangeps.*       RVMI w:v r:v r:v/m i8    | 66.0F3A 50 /r | EVEX.W0 b32 avx512
vfixupimmps.*    RVMI rw:v r:v r:v/m i8   | 66.0F3A 54 /r | EVEX.W0 b32 avx512
vscalefps.*      RVM  w:v r:v r:v/m       | 66.0F38 2C /r | EVEX.W0 b32 avx512
vscalefss.*      RVM  w:x r:x r:x/m32     | 66.0F38 2D /r | EVEX.LIG.W0 avx512
vgetexpps.*      RM   w:v r:v/m           | 66.0F38 42 /r | EVEX.W0 b32 avx512
vgetmantps.*     RMI  w:v r:v/m i8        | 66.0F3A 26 /r | EVEX.W0 b32 avx512
vcvtudq2ps.*     RM   w:v r:v/m           | F2.0F 7A /r   | EVEX.W0 b32 avx512
vcvtps2udq.*     RM   w:v r:v/m           | NP.0F 79 /r   | EVEX.W0 b32 avx512
vcvttps2udq.*    RM   w:v r:v/m           | NP.0F 78 /r   | EVEX.W0 b32 avx512
vdpbf16ps.*      RVM  rw:v r:v r:v/m      | F3.0F38 52 /r | EVEX.W0 b32 avx512bf16
vcvtneps2bf16.*  RM   w:v2 r:v/m          | F3.0F38 72 /r | EVEX.W0 b32 avx512bf16
vcvtne2ps2bf16.* RVM  w:v r:v r:v/m       | F2.0F38 72 /r | EVEX.W0 b32 avx512bf16

ldtilecfg        M    r:m0                | NP.0F38 49 /0 | VEX.L0.W0 amx
sttilecfg        M    w:m0                | 66.0F38 49 /0 | VEX.L0.W0 amx
tilerelease      -                        | NP.0F38 49 C0 | VEX.L0.W0 amx
tilezero         R    w:t                 | F2.0F38 49 /r | VEX.L0.W0 amx
tileloadd        RM   w:t r:sib           | F2.0F38 4B /r | VEX.L0.W0 amx
tileloaddt1      RM   w:t r:sib           | 66.0F38 4B /r | VEX.L0.W0 amx
tilestored       MR   w:sib r:t           | F3.0F38 4B /r | VEX.L0.W0 amx
tdpbuud          RMV  rw:t r:t r:t        | NP.0F38 5E /r | VEX.L0.W0 distinct amx
tdpbusd          RMV  rw:t r:t r:t        | 66.0F38 5E /r | VEX.L0.W0 distinct amx
tdpbssd          RMV  rw:t r:t r:t        | F2.0F38 5E /r | VEX.L0.W0 distinct amx
tdpbsud          RMV  rw:t r:t r:t        | F3.0F38 5E /r | VEX.L0.W0 distinct amx
tdpbf16ps        RMV  rw:t r:t r:t        | F3.0F38 5C /r | VEX.L0.W0 distinct amx
`.split("\n");

export const avx512Table: readonly string[] = [...maskRegisters, ...comparisons, ...narrowing, ...parts, ...rest];
