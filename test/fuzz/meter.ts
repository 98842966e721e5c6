/** Counts what the constructors of arrays are asked for while something runs, and stops what asks for too much before it is allocated. */

interface Limits {
  /** Bytes of all arrays together. */
  readonly total?: number;
  /** Bytes of any one. */
  readonly single?: number;
}

/** What was asked for since `underMeter` began. */
export const meter = { bytes: 0, total: Infinity, single: Infinity };

const charge = (bytes: number): void => {
  meter.bytes += bytes;
  if (meter.bytes > meter.total || bytes > meter.single) throw new Error(`memory bomb: ${bytes} bytes, ${meter.bytes} together`);
};

const typedArrays = [
  Uint8Array,
  Int8Array,
  Uint16Array,
  Int16Array,
  Uint32Array,
  Int32Array,
  Float32Array,
  Float64Array,
  BigUint64Array,
  BigInt64Array,
];

const metered = [
  ...typedArrays.map(type => ({ name: type.name, real: type as unknown as ArrayConstructor, itemBytes: type.BYTES_PER_ELEMENT })),
  { name: "ArrayBuffer", real: ArrayBuffer as unknown as ArrayConstructor, itemBytes: 1 },
  { name: "Array", real: Array, itemBytes: 8 },
].map(({ name, real, itemBytes }) => {
  const construct = (target: ArrayConstructor, args: unknown[], newTarget: unknown): object => {
    if (args.length === 1 && typeof args[0] === "number") charge(args[0] * itemBytes);
    return Reflect.construct(target, args, newTarget === proxy ? target : (newTarget as ArrayConstructor));
  };
  const proxy: ArrayConstructor = new Proxy(real, { construct });
  return { name, real, proxy };
});

/** Modules whose tables keep constructors must be loaded under the meter to be seen by it. */
export async function underMeter<T>({ total = Infinity, single = Infinity }: Limits, action: () => T | Promise<T>): Promise<T> {
  Object.assign(meter, { bytes: 0, total, single });
  for (const { name, proxy } of metered) Reflect.set(globalThis, name, proxy);
  try {
    return await action();
  } finally {
    for (const { name, real } of metered) Reflect.set(globalThis, name, real);
    Object.assign(meter, { total: Infinity, single: Infinity });
  }
}
