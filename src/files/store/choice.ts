/**
 * Which files of a repository make a model, and which model is meant. Owns the reading of file names: labels of quantisations, parts of split
 * models, and the order of preference where nothing was asked for. Touches no network.
 */
import { LatheError } from "../../errors.ts";

export interface RepoFile {
  /** Within the repository. */
  readonly path: string;
  readonly bytes: number;
  readonly sha256?: string;
}

/** One model of a repository: one file, or all parts of a split one in order. */
export interface RepoModel {
  /** `Q4_K_M`; empty where the file name tells none. */
  readonly label: string;
  readonly files: readonly RepoFile[];
  readonly bytes: number;
  /** Whether it is what runs; false for projectors and importance matrices, which lie beside models. */
  readonly main: boolean;
}

const part = /-(\d{5})-of-(\d{5})(?=\.gguf$)/i;
const labels = /(?<=^|[-._])(?:UD-)?(?:I?Q\d(?:_[A-Z0-9]+)*|TQ\d_\d|I2_S|TL[12]|BF16|F16|F32|FP16|FP32|MXFP4(?:_MOE)?|NVFP4)(?=$|[-.])/gi;

const baseName = (path: string): string => path.slice(path.lastIndexOf("/") + 1);

/** The label of a quantisation in a file name, in capitals; empty where there is none. */
export function quantLabel(path: string): string {
  const stem = baseName(path)
    .replace(part, "")
    .replace(/\.gguf$/i, "");
  return stem.match(labels)?.at(-1)?.toUpperCase() ?? "";
}

/** Best first: the sizes that most people want, then larger ones before smaller ones. */
const preference = "Q4_K_M Q4_K_S Q4_0 Q5_K_M Q5_K_S Q4_K_L IQ4_NL IQ4_XS Q6_K Q8_0 MXFP4 MXFP4_MOE BF16 F16 FP16 F32 FP32".split(" ");

/** Where a label stands among the preferred ones; the smaller the better. */
export function preferenceOf(label: string): number {
  const place = preference.indexOf(label.replace(/^UD-/, ""));
  return place < 0 ? preference.length : place;
}

/** All models among the files of a repository, parts put together. Split models of which a part is missing are left out. */
export function modelsIn(files: readonly RepoFile[]): RepoModel[] {
  const groups = new Map<string, RepoFile[]>();
  for (const file of files) {
    if (!/\.gguf$/i.test(file.path)) continue;
    const stem = file.path.replace(part, (_, _no, count) => `-of-${count}`);
    groups.set(stem, [...(groups.get(stem) ?? []), file]);
  }
  const models: RepoModel[] = [];
  for (const group of groups.values()) {
    const sorted = group.sort((a, b) => (a.path < b.path ? -1 : 1));
    const count = Number(part.exec(sorted[0].path)?.[2] ?? 1);
    const whole = sorted.length === count && sorted.every((f, i) => count === 1 || Number(part.exec(f.path)?.[1]) === i + 1);
    if (!whole) continue;
    const bytes = sorted.reduce((sum, f) => sum + f.bytes, 0);
    const main = !/mmproj|imatrix/i.test(baseName(sorted[0].path));
    models.push({ label: quantLabel(sorted[0].path), files: sorted, bytes, main });
  }
  return models;
}

const same = (a: string, b: string): boolean => a.toLowerCase() === b.toLowerCase();

/**
 * The model that `choice` names: the path of one of its files, or a label; without `choice` the preferred one.
 * @throws LatheError remote.not-found where none or several are meant; the message says what is there
 */
export function chooseModel(models: readonly RepoModel[], choice: string | undefined, repo: string): RepoModel {
  if (choice !== undefined) {
    const byPath = models.find(m => m.files.some(f => f.path === choice || f.path.replace(part, "") === choice));
    if (byPath) return byPath;
  }
  const main = models.filter(m => m.main);
  const candidates = choice === undefined ? main : main.filter(m => same(m.label, choice));
  if (candidates.length === 1) return candidates[0];
  const best = Math.min(...candidates.map(m => preferenceOf(m.label)));
  const preferred = candidates.filter(m => preferenceOf(m.label) === best);
  if (choice === undefined && preferred.length === 1) return preferred[0];
  throw noChoice(main, candidates, choice, repo);
}

/** How a model is asked for by name: by its label where that is enough, else by its path. */
export function choiceOf(model: RepoModel, models: readonly RepoModel[]): string {
  const alone = model.main && model.label !== "" && models.filter(m => m.main && m.label === model.label).length === 1;
  return alone ? model.label : model.files[0].path;
}

const shownChoices = 24;

function noChoice(main: readonly RepoModel[], candidates: readonly RepoModel[], choice: string | undefined, repo: string): LatheError {
  if (main.length === 0) {
    const message = `hf:${repo} has no GGUF file; look for a repository with "GGUF" in its name.`;
    return new LatheError("remote.not-found", message, { repo });
  }
  const among = candidates.length > 0 ? candidates : main;
  const known = among.slice(0, shownChoices).map(m => choiceOf(m, main));
  const more = among.length > shownChoices ? ` and ${among.length - shownChoices} more` : "";
  const problem = candidates.length === 0 ? `has no "${choice}"` : choice === undefined ? "has several models" : `has several "${choice}"`;
  const message = `hf:${repo} ${problem}; choose one with ":" and one of these: ${known.join(", ")}${more}.`;
  return new LatheError("remote.not-found", message, { repo, choice, known });
}
