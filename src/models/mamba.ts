/** Mamba, Falcon-Mamba (whose step, B and C are normed) and Mamba-2: nothing but the layer and its norm (ARCHITECTURES 1.6, 3.8). */
import { arch } from "../nn/arch.ts";
import { residual } from "../nn/block.ts";
import { decoder, mixedConfig } from "../nn/decoder.ts";
import { mamba1, mamba2, mambaShape } from "../nn/mamba.ts";
import { rmsNorm } from "../nn/norm.ts";

export const mamba = arch(["mamba", "mamba2"], source => {
  const c = mixedConfig(source, "rms", -1);
  const shape = mambaShape(source, c.dim);
  const bareNorms = source.flag("ssm.dt_b_c_rms", false);
  const mixer = (at: string) => (source.architecture === "mamba" ? mamba1(source, at, shape, bareNorms) : mamba2(source, at, shape));
  return decoder(source, c, { layer: at => residual(rmsNorm(source, `${at}.attn_norm`, c.dim, c.eps), mixer(at)) });
});
