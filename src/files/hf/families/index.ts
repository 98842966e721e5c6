/** All families of models whose folders are converted. A new one is an entry in one of these files. */
import { type Config, unsupported } from "../config.ts";
import type { Family } from "../family.ts";
import { classicFamilies } from "./classic.ts";
import { encoderFamilies } from "./encoders.ts";
import { gemmaFamilies } from "./gemma.ts";
import { llamaFamilies } from "./llama.ts";
import { mixtureFamilies } from "./mixtures.ts";
import { qwenFamilies } from "./qwen.ts";

const byName: ReadonlyMap<string, Family> = new Map(
  [llamaFamilies, qwenFamilies, gemmaFamilies, mixtureFamilies, classicFamilies, encoderFamilies]
    .flat()
    .flatMap(f => f.from.map(name => [name, f])),
);

/** The names in `architectures` of config.json that are known. */
export const convertible: readonly string[] = [...byName.keys()];

/** The family of a model. Throws `model.unsupported-arch`. */
export function familyOf(config: Config): Family {
  const names = config.strings("architectures");
  const found = names.map(name => byName.get(name)).find(family => family !== undefined);
  if (found) return found;
  throw unsupported(`Folders of the architecture "${names.join(", ")}" cannot be converted by this version`, {
    architectures: names.join(", "),
    known: convertible,
  });
}
