/** One message: its text, its branches, what can be done with it, and for an answer what it cost. */
import { useState } from "preact/hooks";
import { type Live, live, regenerate, send } from "../state/answering.ts";
import { splitThought } from "../state/content.ts";
import { conversation, editing, showSibling } from "../state/store.ts";
import { type AnswerFacts, type Attachment, following, type Message } from "../state/tree.ts";
import { IconButton } from "./icons.tsx";
import { CopyButton, Markdown } from "./markdown.tsx";

export function MessageView({ message }: { message: Message }) {
  const running = live.value.get(conversation.value?.id ?? "");
  const own = running?.message === message.id ? running : undefined;
  return message.role === "user" ? (
    <Question message={message} busy={running !== undefined} />
  ) : (
    <AnswerView message={message} live={own} busy={running !== undefined} />
  );
}

/** "‹ 2/3 ›" where a message has others in its place. */
function Branches({ message, busy }: { message: Message; busy: boolean }) {
  const c = conversation.value;
  const siblings = c ? following(c, message.parent) : [];
  if (siblings.length < 2) return null;
  const at = siblings.findIndex(m => m.id === message.id);
  return (
    <span class="branches">
      <IconButton icon="left" label="Version before" disabled={at === 0 || busy} onClick={() => showSibling(message, -1)} />
      <span role="status" aria-label={`Version ${at + 1} of ${siblings.length}`}>
        {at + 1}/{siblings.length}
      </span>
      <IconButton icon="right" label="Next version" disabled={at === siblings.length - 1 || busy} onClick={() => showSibling(message, 1)} />
    </span>
  );
}

function Question({ message, busy }: { message: Message; busy: boolean }) {
  if (editing.value === message.id) return <Editor message={message} />;
  return (
    <article class="message question" aria-label="You">
      {message.files && <Files files={message.files} />}
      {message.text && <div class="bubble">{message.text}</div>}
      <footer class="actions">
        <Branches message={message} busy={busy} />
        <CopyButton text={message.text} what="Copy message" />
        <IconButton icon="edit" label="Edit message" disabled={busy} onClick={() => (editing.value = message.id)} />
      </footer>
    </article>
  );
}

const Files = ({ files }: { files: readonly Attachment[] }) => (
  <div class="files">
    {files.map(f => (
      <details class="file">
        <summary>{f.name}</summary>
        <pre>{f.text}</pre>
      </details>
    ))}
  </div>
);

/** Sending makes a branch: what was said before stays. */
function Editor({ message }: { message: Message }) {
  const [text, setText] = useState(message.text);
  const files = message.files ?? [];
  const cancel = () => (editing.value = "");
  const submit = (): void => {
    if ((text.trim() || files.length) && send(text.trim(), files, message.parent)) cancel();
  };
  const onKeyDown = (e: KeyboardEvent): void => {
    if (e.isComposing) return;
    if (e.key === "Escape") cancel();
    else if (e.key === "Enter" && !e.shiftKey) submit();
    else return;
    e.preventDefault();
    e.stopPropagation();
  };
  return (
    <article class="message question editor" aria-label="Edit your message">
      {files.length > 0 && <Files files={files} />}
      <textarea
        aria-label="Edited message"
        rows={Math.min(12, text.split("\n").length + 1)}
        value={text}
        ref={el => void (el && document.activeElement !== el && el.focus())}
        onInput={e => setText(e.currentTarget.value)}
        onKeyDown={onKeyDown}
      />
      <footer>
        <button type="button" onClick={cancel}>
          Cancel
        </button>
        <button type="button" class="primary" onClick={submit}>
          Send as a new branch
        </button>
      </footer>
    </article>
  );
}

function AnswerView({ message, live: growing, busy }: { message: Message; live: Live | undefined; busy: boolean }) {
  const text = growing ? growing.text.value : message.text;
  const { thought, answer, open } = splitThought(text);
  const facts = message.answer ?? { model: "" };
  const again = () => conversation.value && regenerate(conversation.value, message);
  return (
    <article class="message answer" aria-label={`Answer of ${facts.model}`} aria-busy={growing !== undefined}>
      {thought && (
        <details class="thought" open={open && growing !== undefined}>
          <summary>{open && growing ? "Thinking…" : "Thoughts"}</summary>
          <Markdown text={thought} growing={growing !== undefined} />
        </details>
      )}
      {answer && <Markdown text={answer} growing={growing !== undefined} />}
      {growing && !text && <p class="waiting">Reading the conversation…</p>}
      {!growing && <Ending facts={facts} empty={!text} />}
      {growing ? (
        <p class="facts">{growing.pieces.value > 1 ? `${growing.pieces.value} tokens · ${speedOf(growing.perSecond.value)}` : "\u00a0"}</p>
      ) : (
        <footer class="actions">
          <Branches message={message} busy={busy} />
          <CopyButton text={answer} what="Copy answer" />
          <IconButton icon="redo" label="Regenerate answer" disabled={busy} onClick={again} />
          <Cost facts={facts} />
        </footer>
      )}
    </article>
  );
}

const speedOf = (perSecond: number): string => `${perSecond.toFixed(perSecond < 10 ? 1 : 0)} tokens/s`;

/** How it ended, where that is not of itself. */
function Ending({ facts, empty }: { facts: AnswerFacts; empty: boolean }) {
  const { finish } = facts;
  if (finish === "error") {
    return (
      <p class="error" role="alert">
        {facts.error}
      </p>
    );
  }
  if (finish === "stopped") return <p class="note">Stopped.</p>;
  if (finish === "length") return <p class="note">Cut off: the longest answer or the end of the context was reached.</p>;
  if (finish === undefined) return <p class="note">The page was closed before the end of this answer.</p>;
  return empty ? <p class="note">The model ended without a word.</p> : null;
}

function Cost({ facts }: { facts: AnswerFacts }) {
  if (!facts.tokens) return null;
  const about = facts.counted ? "about " : "";
  const speed = facts.tokensPerSecond ? ` · ${speedOf(facts.tokensPerSecond)}` : "";
  const prompt =
    facts.promptTokens === undefined ? "" : `${facts.promptTokens} tokens read, ${facts.cachedTokens ?? 0} of them known from before; `;
  const first = facts.firstMs === undefined ? "" : `first text after ${(facts.firstMs / 1000).toFixed(2)} s`;
  return (
    <span class="facts" title={prompt + first}>
      {`${about}${facts.tokens} tokens${speed}`}
      <span class="by"> · {facts.model}</span>
    </span>
  );
}
