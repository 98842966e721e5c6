/**
 * Mixtures of experts: the router, the products with the chosen experts' matrices, and the experts that all tokens share. Decoding reads the
 * bytes of the chosen experts only; a prompt's tokens are sorted by expert. ARCHITECTURES 1.5.
 */
import { LatheError } from "../errors.ts";
import { GROUP } from "../formats/packed.ts";
import { type MatmulSchedule, routedMatmul } from "../kernels/matmul.ts";
import { combine, gather, type RouterGating, type Routing, route, routeScratch, sortByExpert } from "../kernels/route.ts";
import type { Arg } from "../runtime/launch.ts";
import { type ActivationName, activate, activations, addGated, addScaled, type Gating, gated, gatings } from "./elementwise.ts";
import { type FfnOptions, ffn } from "./ffn.ts";
import { count, once, type Region } from "./graph.ts";
import { type Branch, linear, scaleArgs } from "./linear.ts";
import { blocksPerRow, type Source, vectorRegion, type Weight, weightRegion } from "./source.ts";
import type { Step } from "./step.ts";
import { chunks, countOf, forms, type Input, type Tensor, tensor, view } from "./tensor.ts";

/** Where a step's tokens go. All lists are i32 or f32 by entry, `used` entries a token. */
export interface Routes {
  readonly routing: Routing;
  readonly chosen: Region;
  readonly weights: Region;
  readonly starts: Region;
  readonly active: Region;
  readonly entries: Region;
  readonly places: Region;
}

export interface RouterOptions {
  readonly dim: number;
  /** What the router's logits become where the metadata has no expert_gating_func; default softmax. */
  readonly scores?: RouterGating;
  /** Where the metadata has no expert_weights_norm; default true. */
  readonly normalise?: boolean;
  /** Logits are multiplied by it. */
  readonly logitScale?: number;
  /** Default: ffn_gate_inp. */
  readonly name?: string;
  /** So many neighbouring experts stand for one of a smaller set, which the tokens go to. */
  readonly neighbours?: number;
}

/** Values of expert_gating_func. */
const gatingKinds: readonly (RouterGating | undefined)[] = [undefined, "softmax", "sigmoid", "selected", "sqrt_softplus"];

function routingOf(source: Source, bias: boolean, table: boolean, o: RouterOptions): Routing {
  const experts = source.size("expert_count", { max: 4096 });
  const neighbours = o.neighbours ?? 1;
  const used = Math.min(source.size("expert_used_count", { max: Math.min(experts, 128) }), Math.ceil(experts / neighbours));
  const kind = source.size("expert_gating_func", { or: 0, min: 0, max: gatingKinds.length - 1 });
  const gating = gatingKinds[kind] ?? o.scores ?? "softmax";
  const groups = Math.max(1, source.size("expert_group_count", { or: 1, min: 0, max: experts }));
  const groupsUsed = source.size("expert_group_used_count", { or: groups, min: 0, max: groups }) || groups;
  if (experts % groups) {
    const message = `The model's ${experts} experts do not make ${groups} equal groups; the file is damaged.`;
    throw new LatheError("model.wrong-shape", message, { experts, groups });
  }
  const limited = groupsUsed < groups;
  const normalise = source.flag("expert_weights_norm", o.normalise ?? true);
  return { experts, neighbours, used, gating, bias, table, normalise, groups: limited ? groups : 1, groupsUsed: limited ? groupsUsed : 1 };
}

/** Chooses experts for every token by the router's logits, or by the table ffn_gate_tid2eid where the layer has one. */
export function router(source: Source, at: string, o: RouterOptions): (step: Step, x: Input) => Routes {
  const biasName = [`${at}.exp_probs_b.bias`, `${at}.exp_probs_b`].find(source.has);
  const tableName = `${at}.ffn_gate_tid2eid.weight`;
  const routing = routingOf(source, biasName !== undefined, source.has(tableName), o);
  const { experts, used } = routing;
  const targets = Math.ceil(experts / routing.neighbours);
  const logits = linear(source, `${at}.${o.name ?? "ffn_gate_inp"}`, o.dim, experts, { scale: o.logitScale });
  const bias = biasName === undefined ? undefined : source.vector(biasName, experts);
  const table = routing.table ? source.integers(tableName, used * source.rows("token_embd.weight")) : undefined;
  const scale = source.orNone("expert_weights_scale", 0) || 1;
  return (step, x) => {
    const { graph } = step;
    const most = graph.limits.tokens * used;
    const [chosen, weights, entries, places] = [most, most, most, most].map(n => graph.region(4 * n, count("tokens", 4 * used)));
    const [starts, active] = [graph.region(4 * (targets + 1)), graph.region(4 * (targets + 2))];
    const scratch = graph.region(routeScratch(routing) * graph.limits.tokens);
    const y = logits(step, x);
    const inputs = [y.region, ...(bias ? [vectorRegion(bias)] : []), ...(table ? [vectorRegion(table), step.ids] : []), step.numbers];
    const kernel = once(graph, `route_${JSON.stringify(routing)}`, () => route(routing));
    const args: Arg[] = [...[...inputs, chosen, weights, scratch].map(r => r.address), y.stride, scale];
    graph.launch(kernel, count("tokens"), args, { reads: inputs, writes: [chosen, weights, scratch] });
    const sort = once(graph, `sort_by_expert_${targets}`, () => sortByExpert(targets));
    const lists = [starts, active, entries, places];
    graph.launch(sort, 1, [chosen.address, ...lists.map(r => r.address), count("tokens", used)], { reads: [chosen], writes: lists });
    return { routing, chosen, weights, starts, active, entries, places };
  };
}

/** Tokens' rows in sorted order; with `weighted` times the weight of their expert. */
function sorted(step: Step, routes: Routes, x: Input, weighted: boolean): Input {
  const { graph } = step;
  const { used } = routes.routing;
  return forms(graph, { rows: "tokens", per: used, columns: x.columns }, (form, out) => {
    const from = x.form("f32");
    const kernel = once(graph, `gather_${used}_${form}_${weighted}`, () => gather(used, form, weighted));
    const reads = [from.region, routes.entries, ...(weighted ? [routes.weights] : [])];
    const args: Arg[] = [...reads.map(r => r.address), out.region.address, chunks(x.columns), from.stride, out.stride];
    graph.launch(kernel, countOf(out), args, { reads, writes: [out.region] });
  });
}

/** Rows of a matrix go in units of eight times as many groups as divide them. */
export function fitting(schedule: MatmulSchedule, rows: number): MatmulSchedule {
  let { groups } = schedule;
  while (groups > 1 && rows % (GROUP * groups)) groups /= 2;
  return { ...schedule, groups };
}

type ExpertLinear = (step: Step, routes: Routes, x: Input) => Tensor;

/** The matrices `<name>.weight` [inputs, outputs, experts], each for its own rows of sorted x, and their scales and biases where the file has them. */
function expertLinear(source: Source, name: string, inputs: number, outputs: number, experts: number): ExpertLinear {
  const weight: Weight = source.matrix(`${name}.weight`, inputs, outputs, { parts: experts });
  const bias = source.has(`${name}.bias`) ? source.vector(`${name}.bias`, outputs * experts) : undefined;
  const scales = source.scales(name, experts);
  const after = { scale: scales !== undefined, bias: bias !== undefined };
  if (outputs % GROUP) {
    const message = `Tensor ${name}.weight has ${outputs} rows for each expert, and a multiple of ${GROUP} is needed; use another model.`;
    throw new LatheError("model.wrong-shape", message, { tensor: `${name}.weight`, rows: outputs });
  }
  return (step, routes, x) => {
    const { packed } = weight.format;
    const schedule = fitting(step.schedule(packed), outputs);
    const from = x.form(packed.activation);
    const y = tensor(step.graph, "tokens", outputs, x.per);
    const key = `routed_${packed.name}_${from.stride}_${JSON.stringify([schedule, after])}`;
    const kernel = once(step.graph, key, () => routedMatmul(packed, schedule, from.stride, after));
    const lists = [routes.starts, routes.active];
    const vectors = [scales, bias].filter(v => v !== undefined).map(vectorRegion);
    const args: Arg[] = [weight.address, from.region.address, y.region.address, ...lists.map(r => r.address)];
    args.push(blocksPerRow(weight), outputs / GROUP, y.stride);
    if (scales) args.push(...scaleArgs(scales));
    if (bias) args.push(bias.address);
    const all = weightRegion(weight);
    const each = (all.bytes * routes.routing.used) / experts;
    step.graph.launch(kernel, outputs / (GROUP * schedule.groups), args, {
      reads: [all, from.region, ...lists, ...vectors],
      writes: [y.region],
      bytes: each,
      traffic: [{ bytes: count("tokens", each), most: all.bytes }],
      operations: 2 * inputs * outputs * routes.routing.used,
    });
    return y;
  };
}

/** to = (or +=) scale * the sum of a token's experts. */
function combined(step: Step, routes: Routes, y: Tensor, to: Tensor, o: { weighted: boolean; add: boolean; scale: number }): void {
  const { used } = routes.routing;
  const kernel = once(step.graph, `combine_${used}_${o.weighted}_${o.add}`, () => combine(used, o.weighted, o.add));
  const reads = [y.region, routes.places, ...(o.weighted ? [routes.weights] : [])];
  const args: Arg[] = [...reads.map(r => r.address), to.region.address, count("tokens"), y.stride, to.stride, o.scale];
  step.graph.launch(kernel, chunks(to.columns), args, { reads, writes: [to.region] });
}

export interface ExpertsOptions {
  readonly dim: number;
  /** Width of an expert. */
  readonly hidden: number;
  readonly experts: number;
  readonly activation?: ActivationName;
  readonly gating?: Gating;
  /** Without a gate the file is incomplete. Default: with silu. */
  readonly gated?: boolean;
  /** The weight multiplies what an expert gets, not what it gives. */
  readonly weightInput?: boolean;
  /** End of the tensors' names. Default: _exps. */
  readonly suffix?: string;
}

/** Sums of the chosen experts' feed-forward networks. */
export interface Experts {
  (step: Step, routes: Routes, x: Input): Tensor;
  readonly addTo: (step: Step, routes: Routes, x: Input, to: Tensor, scale?: number) => void;
}

export function experts(source: Source, at: string, o: ExpertsOptions): Experts {
  const { dim, hidden, experts: n, activation = "silu", gating = gatings[activation], weightInput = false, suffix = "_exps" } = o;
  const needsGate = o.gated ?? activation === "silu";
  const bind = (part: string, inputs: number, outputs: number): ExpertLinear =>
    expertLinear(source, `${at}.ffn_${part}${suffix}`, inputs, outputs, n);
  const there = (part: string): boolean => source.has(`${at}.ffn_${part}${suffix}.weight`);
  const both = there("gate_up") ? bind("gate_up", dim, 2 * hidden) : undefined;
  const gate = there("gate") || (needsGate && !both) ? bind("gate", dim, hidden) : undefined;
  const up = both ? undefined : bind("up", dim, hidden);
  const down = bind("down", hidden, dim);
  const inner = (step: Step, routes: Routes, x: Input): Input => {
    if (both) {
      const h = both(step, routes, x);
      return gated(step, gating, view(h, 0, hidden), view(h, hidden, hidden));
    }
    const h = up!(step, routes, x);
    return gate ? gated(step, gating, gate(step, routes, x), h) : activate(step, activations[activation], h);
  };
  const record = (step: Step, routes: Routes, x: Input, to: Tensor, add: boolean, scale: number): void => {
    const y = down(step, routes, inner(step, routes, sorted(step, routes, x, weightInput)));
    combined(step, routes, y, to, { weighted: !weightInput, add, scale });
  };
  const apply = (step: Step, routes: Routes, x: Input): Tensor => {
    const to = tensor(step.graph, "tokens", dim);
    record(step, routes, x, to, false, 1);
    return to;
  };
  return Object.assign(apply, {
    addTo: (step: Step, routes: Routes, x: Input, to: Tensor, scale = 1) => record(step, routes, x, to, true, scale),
  });
}

export interface MoeOptions extends RouterOptions, Omit<ExpertsOptions, "experts" | "suffix"> {
  /** Changes of the shared experts' network. */
  readonly shared?: Partial<FfnOptions>;
}

/** The width of an expert. */
export const expertHidden = (source: Source): number =>
  source.size("expert_feed_forward_length", { or: source.number("feed_forward_length", 0) });

/** Routed experts, plus those that every token shares where the file has them, these times sigmoid(w x) where it has w. */
export function moe(source: Source, at: string, o: MoeOptions): Branch {
  const choose = router(source, at, o);
  const routed = experts(source, at, { ...o, experts: source.size("expert_count") });
  const shared = sharedExperts(source, at, o);
  const addTo = (step: Step, x: Input, to: Tensor, scale = 1): void => {
    const own = shared?.(step, x); // before anything is added to what x is made of
    routed.addTo(step, choose(step, x), x, to, scale);
    own?.(to, scale);
  };
  const apply = (step: Step, x: Input): Tensor => {
    const own = shared?.(step, x);
    const y = routed(step, choose(step, x), x);
    own?.(y, 1);
    return y;
  };
  return Object.assign(apply, { addTo });
}

/** Computes the shared experts; gives what adds them to a tensor. */
function sharedExperts(source: Source, at: string, o: MoeOptions) {
  const { dim, activation, gating } = o;
  const hidden = source.rowsOf(`${at}.ffn_up_shexp.weight`);
  if (!hidden) return undefined;
  const network = ffn(source, at, { dim, hidden, activation, gating, suffix: "_shexp", ...o.shared });
  const gate = source.has(`${at}.ffn_gate_inp_shexp.weight`) ? linear(source, `${at}.ffn_gate_inp_shexp`, dim, 1) : undefined;
  return (step: Step, x: Input) => {
    const y = network(step, x);
    const g = gate?.(step, x);
    return (to: Tensor, scale: number): void => (g ? addGated(step, y, g, to, scale) : addScaled(step, y, to, scale));
  };
}

/** A mixture of experts in layers that have a router, a single network in the others. */
export const moeOrFfn = (source: Source, at: string, o: MoeOptions & { readonly denseHidden: number }): Branch =>
  source.has(`${at}.ffn_gate_inp.weight`) ? moe(source, at, o) : ffn(source, at, { ...o, hidden: o.denseHidden });
