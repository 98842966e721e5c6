/**
 * Which file a thread begins with: the one that is put together from all that it needs, since loading a hundred files takes longer than loading a
 * model; or the compiler's own output where that is newer, as it is while Lathe is being worked on.
 */
import { statSync } from "node:fs";

const changed = (file: URL): number => statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? Number.NEGATIVE_INFINITY;

/** `separate`: as the compiler writes it; `compiled`: what the compiler writes whenever it writes anything. */
export function threadEntry(separate: URL, bundled: URL, compiled: URL): URL {
  const there = changed(bundled);
  return there > Number.NEGATIVE_INFINITY && there >= changed(compiled) ? bundled : separate;
}
