/** From file layout to packed layout: one group of eight rows per grid unit, checking on the way that the weights are finite. */
import { GROUP, type WeightFormat } from "../formats/packed.ts";
import type { Kernel } from "../ir/node.ts";
import { each, kernel } from "../ir/trace.ts";

export const packName = (format: WeightFormat): string => `pack_${format.name.toLowerCase()}_${format.packed.name}`;

/**
 * Slots: source rows as in the file, target, worst magnitude (i32 per group, kept as a maximum); blocks per row, bytes of a source row, bytes
 * of a source block; then the constants, if there are any.
 */
export function pack(format: WeightFormat): Kernel {
  return kernel(packName(format), s => {
    const [source, target, worst] = [s.in("source"), s.out("target"), s.out("worst")];
    const [blocks, rowBytes, blockBytes] = [s.size("blocks", 1 << 24), s.size("rowBytes"), s.size("blockBytes", 1 << 16)];
    const constants = format.constants || format.trailer ? s.in("constants") : undefined;
    return group =>
      each(0, blocks, b => {
        const at = group.mul(blocks).add(b).mul(format.packed.bytes);
        each(0, GROUP, row => {
          const from = group.mul(GROUP).add(row).mul(rowBytes).add(b.mul(blockBytes));
          let magnitude = worst.load("i32", 1, group.mul(4));
          const check = (m: typeof magnitude) => {
            magnitude = magnitude.max(m);
          };
          format.pack({ source, from, target, at, row, constants, check });
          worst.store(group.mul(4), magnitude);
        });
      });
  });
}
