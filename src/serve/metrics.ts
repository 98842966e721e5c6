/**
 * Numbers about the server in the Prometheus text format. Series follow the names of llama.cpp's server where it has them, so that existing
 * dashboards work. Holds counts only: no prompts, no keys, no addresses.
 */

const buckets = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300];

class Histogram {
  readonly #counts = new Array<number>(buckets.length).fill(0);
  #sum = 0;
  #count = 0;

  observe(seconds: number): void {
    buckets.forEach((top, i) => {
      if (seconds <= top) this.#counts[i]++;
    });
    this.#sum += seconds;
    this.#count++;
  }

  lines(name: string): string[] {
    const each = buckets.map((top, i) => `${name}_bucket{le="${top}"} ${this.#counts[i]}`);
    return [...each, `${name}_bucket{le="+Inf"} ${this.#count}`, `${name}_sum ${this.#sum}`, `${name}_count ${this.#count}`];
  }
}

/** What is counted, and what it means. */
const counters = {
  requests_total: "requests that were taken",
  requests_refused_total: "requests that were refused because too much was waiting",
  requests_failed_total: "requests that ended in an error of the server",
  requests_cancelled_total: "requests whose client left before the end",
  prompt_tokens_total: "tokens of prompts, cached ones included",
  prompt_tokens_cached_total: "tokens of prompts that were not computed again",
  tokens_predicted_total: "tokens of answers",
  prompt_seconds_total: "seconds spent on prompts",
  tokens_predicted_seconds_total: "seconds spent on answers",
} as const;
export type Counter = keyof typeof counters;

export interface Gauge {
  readonly name: string;
  readonly about: string;
  readonly values: readonly { readonly labels?: Readonly<Record<string, string>>; readonly value: number }[];
}

const escaped = (text: string): string => text.replace(/[\\"\n]/g, c => (c === "\n" ? "\\n" : `\\${c}`));
const labelled = (labels: Readonly<Record<string, string>> = {}): string => {
  const all = Object.entries(labels).map(([k, v]) => `${k}="${escaped(v)}"`);
  return all.length ? `{${all.join(",")}}` : "";
};

export class Metrics {
  readonly #counts = new Map<Counter, number>();
  readonly #responses = new Map<string, number>();
  readonly firstToken = new Histogram();
  readonly whole = new Histogram();

  add(counter: Counter, by = 1): void {
    this.#counts.set(counter, (this.#counts.get(counter) ?? 0) + by);
  }
  count = (counter: Counter): number => this.#counts.get(counter) ?? 0;

  /** An answer to a route, which is its pattern and never a path that a client made up. */
  responded(route: string, status: number): void {
    const key = `{route="${escaped(route)}",status="${status}"}`;
    this.#responses.set(key, (this.#responses.get(key) ?? 0) + 1);
  }

  text(gauges: readonly Gauge[]): string {
    const head = (name: string, about: string, type: string): string[] => [`# HELP lathe:${name} ${about}`, `# TYPE lathe:${name} ${type}`];
    const lines = Object.entries(counters).flatMap(([name, about]) => [
      ...head(name, about, "counter"),
      `lathe:${name} ${this.count(name as Counter)}`,
    ]);
    lines.push(...head("http_responses_total", "answers by route and status", "counter"));
    for (const [labels, n] of this.#responses) lines.push(`lathe:http_responses_total${labels} ${n}`);
    for (const { name, about, values } of gauges) {
      lines.push(...head(name, about, "gauge"), ...values.map(v => `lathe:${name}${labelled(v.labels)} ${v.value}`));
    }
    lines.push(...head("time_to_first_token_seconds", "from the request to the answer's first token", "histogram"));
    lines.push(...this.firstToken.lines("lathe:time_to_first_token_seconds"));
    lines.push(...head("request_seconds", "from the request to the end of its answer", "histogram"));
    lines.push(...this.whole.lines("lathe:request_seconds"));
    return `${lines.join("\n")}\n`;
  }
}
