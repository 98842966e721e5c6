/** Finding, loading and describing the model of a command, with progress on stderr. */
import { existsSync } from "node:fs";
import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import type { Model } from "../api/model.ts";
import { LatheError } from "../errors.ts";
import { type CommonFlags, type LoadFlags, loadFlags, type SamplingFlags, samplingFlags } from "./options.ts";
import { ProgressLine } from "./progress.ts";
import { note, paintErr, printable } from "./terminal.ts";
import { TransferStatus } from "./transfer.ts";
import { bytes, counted } from "./units.ts";

/** The story writer that comes with the package: two folders above this file, in the repository and where it is installed. */
export function bundledModel(): string {
  const path = fileURLToPath(new URL("../../models/stories.gguf", import.meta.url));
  if (existsSync(path)) return path;
  throw new LatheError("file.not-found", `The bundled model "${path}" is missing; install Lathe again or name a model file.`, { path });
}

/** Loads it, showing how far packing has come. The caller closes it. */
export async function loadForCommand(path: string, flags: LoadFlags & CommonFlags): Promise<Model> {
  const { load } = await import("../api/load.node.ts");
  const progress = new ProgressLine(flags);
  const name = printable(basename(path));
  const transfer = new TransferStatus();
  try {
    const model = await load(path, {
      ...loadFlags(flags),
      onProgress: ({ stage, done, total }) => {
        if (stage === "pull") progress.show(transfer.at({ stage: "fetch", file: name, done, total }));
        if (stage !== "pack") return;
        const label = done < total ? `loading ${name}` : "compiling kernels";
        progress.show({ label, done, total, detail: `${bytes(done)} of ${bytes(total)}` });
      },
    });
    progress.clear();
    if (!flags.quiet) for (const warning of model.info.warnings) note(paintErr("yellow", warning));
    return model;
  } finally {
    progress.clear();
  }
}

/** Lets the engine load its code while this thread does, for commands that are going to need it. */
export async function expectEngine(): Promise<void> {
  const { startAhead } = await import("../api/engine-start.node.ts");
  startAhead();
}

/** Refuses wrong options before a large model is loaded for nothing. */
export async function checkOptions(flags: LoadFlags & SamplingFlags): Promise<void> {
  const [{ resolveLoad, resolveGenerate }, { createSampler }] = await Promise.all([
    import("../api/options.ts"),
    import("../decode/sampler.ts"),
  ]);
  resolveLoad(loadFlags(flags));
  createSampler({ seed: 1, ...resolveGenerate(samplingFlags(flags)).sampling });
}

/** One line on what is running. */
export function describe({ info }: Model): string {
  return [info.name, info.architecture, info.target, counted(info.threads, "thread"), `context ${info.context}`].map(printable).join(" · ");
}
