/**
 * The loop of an agent: an answer, the tools that it calls, the next answer, until the model calls nothing more or the limit of rounds is
 * reached. One run from outside; the calls and their results are parts of it.
 */
import type { ChatMessage } from "../text/chat.ts";
import { answerRound, type ChatOptions, messageOf } from "./round.ts";
import { type Part, type Result, Run } from "./run.ts";
import type { Session } from "./session.ts";
import type { ChatHost } from "./speech.ts";
import type { ValueOf } from "./standard.ts";
import { type AnyTool, outcomeText, runTool, type ToolCall } from "./tools.ts";

export interface AgentOptions<S = unknown> extends ChatOptions<S> {
  /** How often tools are run before the model's calls are given back to the caller. Default 8. */
  readonly maxRounds?: number;
}

export interface Agent {
  readonly host: () => ChatHost;
  readonly session: Session;
  /** The conversation when the run begins, and what is said now. */
  readonly past: () => readonly ChatMessage[];
  readonly said: readonly ChatMessage[];
  /** Is told what the conversation has gained, when the run is over however it ended. */
  readonly heard: (messages: readonly ChatMessage[]) => void;
}

export const DEFAULT_ROUNDS = 8;

/** Runs all calls at once; results in the order of the calls. */
async function runAll(calls: readonly ToolCall[], tools: readonly AnyTool[], signal: AbortSignal) {
  const outcomes = await Promise.all(
    calls.map(call => {
      const found = tools.find(t => t.name === call.name);
      return found ? runTool(found, call, signal) : { error: `There is no tool ${call.name}.` };
    }),
  );
  return calls.map(({ id, name }, i) => ({ id, name, ...outcomes[i] }));
}

/** Whether the loop can run every call: unknown names are answered with an error, tools without `run` are the caller's. */
const runnable = (calls: readonly ToolCall[], tools: readonly AnyTool[]): boolean =>
  calls.every(c => tools.find(t => t.name === c.name)?.run !== undefined || tools.every(t => t.name !== c.name));

type Usage = Result["usage"];
const plus = (a: Usage, b: Usage): Usage => ({
  promptTokens: a.promptTokens + b.promptTokens,
  cachedTokens: a.cachedTokens + b.cachedTokens,
  completionTokens: a.completionTokens + b.completionTokens,
  reasoningTokens: (a.reasoningTokens ?? 0) + (b.reasoningTokens ?? 0),
});

/**
 * What the model says to `agent.said`, tools included. The result's text, tokens and timings are the last answer's, its usage is of all answers.
 * What was said counts as said once an answer has begun; an answer that was broken off stays as far as it came.
 */
export function converse<S>(agent: Agent, options: AgentOptions<S>): Run<ValueOf<S>> {
  return new Run(settle => loop<S>(agent, options, settle));
}

async function* loop<S>(
  agent: Agent,
  { maxRounds = DEFAULT_ROUNDS, ...options }: AgentOptions<S>,
  settle: (result: Result<ValueOf<S>>) => void,
): AsyncGenerator<Part<ValueOf<S>>, void, undefined> {
  const { tools = [], signal } = options;
  const leaving = new AbortController();
  const past = agent.past();
  const news: ChatMessage[] = [...agent.said];
  let usage: Usage | undefined;
  let last: Result<ValueOf<S>> | undefined;
  let partial = "";
  const result = (of: Result<ValueOf<S>>): Result<ValueOf<S>> => ({ ...of, messages: news, usage: usage ?? of.usage });
  let current: Run<ValueOf<S>> | undefined;
  try {
    for (let round = 0; ; round++) {
      const toolChoice = round > 0 && options.toolChoice !== "none" ? "auto" : options.toolChoice;
      current = answerRound(agent.host, agent.session, [...past, ...news], { ...options, toolChoice });
      partial = "";
      for await (const part of current) {
        if (part.type === "text") partial += part.text;
        if (part.type === "finish") last = part;
        else yield part;
      }
      const { type: _, ...answer } = last as Part<ValueOf<S>> & { type: "finish" };
      current = undefined;
      usage = usage ? plus(usage, answer.usage) : answer.usage;
      news.push(messageOf(answer));
      const { calls = [] } = answer;
      const open = calls.length > 0 && (round >= maxRounds || !runnable(calls, tools));
      last = calls.length === 0 || open ? result(open ? { ...answer, finish: "tools" } : answer) : answer;
      if (calls.length === 0 || open) {
        yield { ...last, type: "finish" };
        return;
      }
      for (const outcome of await runAll(calls, tools, signal ? AbortSignal.any([signal, leaving.signal]) : leaving.signal)) {
        news.push({ role: "tool", tool_call_id: outcome.id, name: outcome.name, content: outcomeText(outcome) });
        yield { type: "tool-result", ...outcome };
      }
    }
  } finally {
    leaving.abort();
    if (current && partial) news.push({ role: "assistant", content: partial });
    if (news.length > agent.said.length) agent.heard(news);
    // Left early: the run that was under way says how far it came.
    if (current)
      current.then(
        r => settle(result(r)),
        () => {},
      );
    else if (last) settle({ ...last, messages: news });
  }
}
