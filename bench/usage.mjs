/**
 * For scripts whose whole usage stands in the comment at their head: `--help` prints it, and what goes wrong ends them with one line. Imported for
 * its effect, before anything else.
 */
import { readFileSync } from "node:fs";

/** The started script's comment, as text. */
export function usage() {
  const [, comment] = /\/\*\*\n(.*?)\n \*\//s.exec(readFileSync(process.argv[1], "utf8")) ?? [];
  console.log(comment.replace(/^ \* ?/gm, ""));
  process.exit();
}

if (process.argv.includes("--help")) usage();
process.on("uncaughtException", e => {
  console.error(e.message);
  process.exit(1);
});
