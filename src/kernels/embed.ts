/** Rows of a packed matrix as f32: the embeddings of tokens. */
import type { Packed } from "../formats/packed.ts";
import type { Kernel } from "../ir/node.ts";
import { each, int, kernel } from "../ir/trace.ts";

/** Bytes of scratch that one token needs: one decoded block of eight rows. */
export const embedScratch = (packed: Packed): number => packed.inputs * 32;

/**
 * Slots: w, ids (i32 a token), scratch, x; blocks per row, bytes between rows of x. Grid: tokens. A row's whole group of eight is decoded, and
 * its own lane taken: at one row a token that is cheaper than a second layout.
 */
export function embed(packed: Packed): Kernel {
  return kernel(`embed_${packed.name}`, s => {
    const [w, ids, scratch, x] = [s.in("w"), s.in("ids"), s.out("scratch"), s.out("x")];
    const [blocks, xStride] = [s.size("blocks", 1 << 24), s.size("xStride")];
    return token => {
      const id = ids.load("i32", 1, token.mul(4));
      const group = id.shr(3).mul(blocks);
      const lane = id.and(7).mul(4);
      const own = token.mul(embedScratch(packed));
      each(0, blocks, b => {
        packed.decode(w, group.add(b).mul(packed.bytes), (input, rows) => scratch.store(own.add(int(input).mul(32)), rows));
        const row = token.mul(xStride).add(b.mul(4 * packed.inputs));
        each(0, packed.inputs, i => x.store(row.add(i.mul(4)), scratch.load("f32", 1, own.add(i.mul(32)).add(lane))));
      });
    };
  });
}
