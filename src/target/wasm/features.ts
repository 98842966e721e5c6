/** What the WebAssembly of this runtime can do, found by asking it to validate tiny modules. */
import { Bytecode, encodeModule, instruction } from "./encode.ts";

const memory = { shared: true, memory64: false, initialPages: 1, maximumPages: 1 };

function validates(body: [string, ...number[]][], memory64 = false): boolean {
  const code = new Bytecode();
  for (const [name, ...imm] of body) instruction(code, name, imm);
  const module = encodeModule([{ name: "f", params: ["v128", "i32"], locals: ["v128"], code }], { ...memory, memory64 });
  return WebAssembly.validate(module);
}

const v = (n: number): [string, number] => ["local.get", n];

export const hasRelaxedSimd = (): boolean => validates([v(0), v(0), ["i16x8.relaxed_dot_i8x16_i7x16_s"], ["local.set", 2]]);
export const hasMemory64 = (): boolean => validates([v(1), ["i64.extend_i32_s"], ["v128.load", 0], ["local.set", 2]], true);
