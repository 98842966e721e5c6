/** Where messages are written: text, attached files, and the button that sends or stops. */
import { signal } from "@preact/signals";
import type { TargetedEvent } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { live, plainModels, send, stop } from "../state/answering.ts";
import { FILE_BYTES, FILES_PER_MESSAGE, readAttachment } from "../state/attachments.ts";
import { conversation, current, editing, model, models, notify, path, refreshModels } from "../state/store.ts";
import type { Attachment } from "../state/tree.ts";
import { Icon, IconButton } from "./icons.tsx";

/** What is written and not yet sent. */
const draft = signal("");
const files = signal<readonly Attachment[]>([]);

export async function attach(list: Iterable<File>): Promise<void> {
  for (const file of list) {
    if (files.value.length >= FILES_PER_MESSAGE) return notify(`A message takes ${FILES_PER_MESSAGE} files.`);
    const read = await readAttachment(file);
    if (typeof read === "string") notify(read);
    else files.value = [...files.value, read];
  }
}

async function submit(): Promise<void> {
  if (!models.value.length) await refreshModels(); // the page is new, or the server was away
  const text = draft.value.trim();
  if ((!text && !files.value.length) || !send(text, files.value)) return;
  draft.value = "";
  files.value = [];
}

function editLast(): void {
  const last = path.value.findLast(m => m.role === "user");
  if (last) editing.value = last.id;
}

function onKeyDown(e: KeyboardEvent): void {
  if (e.isComposing) return; // Enter then ends the composition of a character
  if (e.key === "Enter" && !e.shiftKey) void submit();
  else if (e.key === "ArrowUp" && !draft.value) editLast();
  else return;
  e.preventDefault();
}

function onPaste(e: ClipboardEvent): void {
  const pasted = e.clipboardData?.files;
  if (!pasted?.length) return;
  e.preventDefault();
  void attach(pasted);
}

function onSubmit(e: Event): void {
  e.preventDefault();
  void submit();
}

function onPicked(e: TargetedEvent<HTMLInputElement>): void {
  void attach([...e.currentTarget.files!]);
  e.currentTarget.value = ""; // so that the same file can be picked again
}

export function Composer() {
  const running = live.value.has(conversation.value?.id ?? "");
  const area = useRef<HTMLTextAreaElement>(null);
  const picker = useRef<HTMLInputElement>(null);
  const text = draft.value;
  // As high as its text, which is what changes.
  useEffect(() => {
    const { style } = area.current!;
    style.height = "auto";
    style.height = `${Math.min(area.current!.scrollHeight, 240)}px`;
  }, [text]);
  // Another conversation is shown.
  useEffect(() => {
    if (matchMedia("(pointer: fine)").matches) area.current!.focus(); // on a phone the keyboard would cover the page
  }, [current.value]);
  return (
    <form class="composer" onSubmit={onSubmit}>
      {files.value.length > 0 && <Attached />}
      <div class="writing">
        <IconButton icon="clip" label={`Attach text files, up to ${FILE_BYTES / 1024} KiB each`} onClick={() => picker.current!.click()} />
        <input type="file" multiple hidden ref={picker} onChange={onPicked} />
        <textarea
          id="draft"
          ref={area}
          rows={1}
          aria-label="Message"
          placeholder={plainModels.value.has(model.value) ? "Begin a text; the model goes on" : "Write a message"}
          value={text}
          onInput={e => (draft.value = e.currentTarget.value)}
          onKeyDown={onKeyDown}
          onPaste={onPaste}
        />
        {running ? (
          <IconButton icon="stop" label="Stop" class="send" onClick={() => stop(current.value)} />
        ) : (
          <button type="submit" class="icon-button send" aria-label="Send" title="Send" disabled={!text.trim() && !files.value.length}>
            <Icon name="send" />
          </button>
        )}
      </div>
      <Context />
    </form>
  );
}

const Attached = () => (
  <ul class="attached" aria-label="Attached files">
    {files.value.map(f => (
      <li>
        <Icon name="file" />
        <span>{f.name}</span>
        <IconButton icon="close" label={`Remove ${f.name}`} onClick={() => (files.value = files.value.filter(o => o !== f))} />
      </li>
    ))}
  </ul>
);

/** How much of the model's context the conversation takes. */
function Context() {
  const last = path.value.findLast(m => m.answer?.promptTokens !== undefined)?.answer;
  const context = models.value.find(m => m.id === model.value)?.meta?.context;
  if (plainModels.value.has(model.value))
    return <p class="hint">This model has no form for conversations: it continues what is written.</p>;
  if (!last || !context) return <p class="hint">Enter sends, Shift+Enter begins a line</p>;
  const used = last.promptTokens! + (last.tokens ?? 0);
  return (
    <p class={`hint${used > 0.85 * context ? " warn" : ""}`}>
      {used} of {context} tokens of context used
    </p>
  );
}
