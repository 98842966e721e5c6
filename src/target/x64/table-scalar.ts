/**
 * The general-purpose instructions of x86-64 that Lathe emits, one line per form (with all its widths). The notation is explained in
 * instructions.ts; opcodes are those of the processor manual.
 */

const hex = (n: number): string => n.toString(16).padStart(2, "0");

/** The eight two-operand operations share one layout: their number is in the opcode and in the digit after the slash. */
const arithmetic = ["add", "or", "adc", "sbb", "and", "sub", "xor", "cmp"].flatMap((name, i) => {
  const left = name === "cmp" ? "r" : "rw";
  const flags = name === "adc" || name === "sbb" ? "<flags >flags" : ">flags";
  const lock = name === "cmp" ? [] : [`${name}.*.lock MR rw:m r:g | F0 ${hex(8 * i + 1)} /r | dq ${flags}`];
  return [
    `${name}.*    RM ${left}:g r:g/m    | ${hex(8 * i + 3)} /r | dq ${flags}`,
    `${name}.*.st MR ${left}:m r:g      | ${hex(8 * i + 1)} /r | dq ${flags}`,
    `${name}.*.i  MI ${left}:g/m i32g   | 81 /${i} | dq ${flags}`,
    `${name}.*.i8 MI ${left}:g/m i8s    | 83 /${i} | dq ${flags}`,
    ...lock,
  ];
});

const shifts = Object.entries({ rol: 0, ror: 1, shl: 4, shr: 5, sar: 7 }).map(
  ([name, digit]) => `${name}.*.i MI rw:g/m i8 | c1 /${digit} | dq >flags`,
);

const rest = `
mov.*          RM  w:g r:g/m          | 8B /r           | dq
mov.*.st       MR  w:m r:g            | 89 /r           | dq
mov.w.st       MR  w:m16 r:r16        | 66 89 /r        |
mov.b.st       MR  w:m8 r:r8          | 88 /r           |
mov.d.i        OI  w:r32 i32          | B8+r            |
mov.q.i        MI  w:r64 i32s         | REX.W C7 /0     |
mov.q.i64      OI  w:r64 i64          | REX.W B8+r      |
mov.*.sti      MI  w:m i32g           | C7 /0           | dq
mov.w.sti      MI  w:m16 i16          | 66 C7 /0        |
mov.b.sti      MI  w:m8 i8            | C6 /0           |
movnti.*.st    MR  w:m r:g            | 0F C3 /r        | dq
movzx.*.8      RM  w:g r:r8/m8        | 0F B6 /r        | dq
movzx.*.16     RM  w:g r:r16/m16      | 0F B7 /r        | dq
movsx.*.8      RM  w:g r:r8/m8        | 0F BE /r        | dq
movsx.*.16     RM  w:g r:r16/m16      | 0F BF /r        | dq
movsxd.*       RM  w:g r:r32/m32      | 63 /r           | q
lea.*          RM  w:g r:m0           | 8D /r           | dq
xchg.*         MR  rw:g/m rw:g        | 87 /r           | dq
bswap.*        O   rw:g               | 0F C8+r         | dq

test.*         MR  r:g/m r:g          | 85 /r           | dq >flags
test.*.i       MI  r:g/m i32g         | F7 /0           | dq >flags
not.*          M   rw:g/m             | F7 /2           | dq
neg.*          M   rw:g/m             | F7 /3           | dq >flags
inc.*          M   rw:g/m             | FF /0           | dq >flags
dec.*          M   rw:g/m             | FF /1           | dq >flags
mul.*          M   r:g/m              | F7 /4           | dq <rax >rax,rdx,flags
imul.*.wide    M   r:g/m              | F7 /5           | dq <rax >rax,rdx,flags
div.*          M   r:g/m              | F7 /6           | dq <rax,rdx >rax,rdx,flags
idiv.*         M   r:g/m              | F7 /7           | dq <rax,rdx >rax,rdx,flags
imul.*         RM  rw:g r:g/m         | 0F AF /r        | dq >flags
imul.*.i       RMI w:g r:g/m i32g     | 69 /r           | dq >flags
imul.*.i8      RMI w:g r:g/m i8s      | 6B /r           | dq >flags
cdq            -                      | 99              | <rax >rdx
cqo            -                      | REX.W 99        | <rax >rdx

bt.*           MR  r:g r:g            | 0F A3 /r        | dq >flags
bt.*.i         MI  r:g/m i8           | 0F BA /4        | dq >flags
bsf.*          RM  rw:g r:g/m         | 0F BC /r        | dq >flags
bsr.*          RM  rw:g r:g/m         | 0F BD /r        | dq >flags
tzcnt.*        RM  w:g r:g/m          | F3 0F BC /r     | dq avx2 >flags
lzcnt.*        RM  w:g r:g/m          | F3 0F BD /r     | dq avx2 >flags
popcnt.*       RM  w:g r:g/m          | F3 0F B8 /r     | dq avx2 >flags

shlx.*         RMV w:g r:g/m r:g      | 66.0F38 F7 /r   | VEX.L0.W* dq avx2
sarx.*         RMV w:g r:g/m r:g      | F3.0F38 F7 /r   | VEX.L0.W* dq avx2
shrx.*         RMV w:g r:g/m r:g      | F2.0F38 F7 /r   | VEX.L0.W* dq avx2
rorx.*.i       RMI w:g r:g/m i8       | F2.0F3A F0 /r   | VEX.L0.W* dq avx2
andn.*         RVM w:g r:g r:g/m      | NP.0F38 F2 /r   | VEX.L0.W* dq avx2 >flags
bzhi.*         RMV w:g r:g/m r:g      | NP.0F38 F5 /r   | VEX.L0.W* dq avx2 >flags
pdep.*         RVM w:g r:g r:g/m      | F2.0F38 F5 /r   | VEX.L0.W* dq avx2
pext.*         RVM w:g r:g r:g/m      | F3.0F38 F5 /r   | VEX.L0.W* dq avx2
blsr.*         VM  w:g r:g/m          | NP.0F38 F3 /1   | VEX.L0.W* dq avx2 >flags

cmovCC.*       RM  rw:g r:g/m         | 0F 40+cc /r     | dq <flags
setCC          M   w:r8/m8            | 0F 90+cc /0     | <flags
jCC            D   rel32              | 0F 80+cc        | <flags
jCC.short      D   rel8               | 70+cc           | <flags
jmp            D   rel32              | E9              |
jmp.short      D   rel8               | EB              |
jmp.q          M   r:r64/m64          | FF /4           |
call           D   rel32              | E8              | <rsp
call.q         M   r:r64/m64          | FF /2           | <rsp
ret            -                      | C3              | <rsp
push.q         O   r:r64              | 50+r            | <rsp >rsp
pop.q          O   w:r64              | 58+r            | <rsp >rsp
pushf          -                      | 9C              | <rsp,flags >rsp
popf           -                      | 9D              | <rsp >rsp,flags

xadd.*.lock    MR  rw:m rw:g          | F0 0F C1 /r     | dq >flags
cmpxchg.*.lock MR  rw:m r:g           | F0 0F B1 /r     | dq <rax >rax,flags
inc.*.lock     M   rw:m               | F0 FF /0        | dq >flags
dec.*.lock     M   rw:m               | F0 FF /1        | dq >flags
pause          -                      | F3 90           |
mfence         -                      | 0F AE F0        |
lfence         -                      | 0F AE E8        |
sfence         -                      | 0F AE F8        |
prefetchnta    M   r:m8               | 0F 18 /0        |
prefetcht0     M   r:m8               | 0F 18 /1        |
prefetcht1     M   r:m8               | 0F 18 /2        |
prefetcht2     M   r:m8               | 0F 18 /3        |
prefetchw      M   r:m8               | 0F 0D /1        |
cpuid          -                      | 0F A2           | <rax,rcx >rax,rbx,rcx,rdx
xgetbv         -                      | 0F 01 D0        | <rcx >rax,rdx
rdtsc          -                      | 0F 31           | >rax,rdx
syscall        -                      | 0F 05           | <rax,rdi,rsi,rdx,r10,r8,r9 >rax,rcx,r11
nop            -                      | 90              |
nop.*          M   r:g/m              | 0F 1F /0        | dq
int3           -                      | CC              |
ud2            -                      | 0F 0B           |
`.split("\n");

export const scalarTable: readonly string[] = [...arithmetic, ...shifts, ...rest];
