/** The messages that are shown, and where the page is scrolled to: it follows an answer until the reader scrolls away. */
import { useEffect, useRef, useState } from "preact/hooks";
import { live } from "../state/answering.ts";
import { conversation, current, model, models, modelsError, path, refreshModels } from "../state/store.ts";
import { IconButton } from "./icons.tsx";
import { MessageView } from "./message.tsx";

/** Pixels from the end within which the reader counts as being there. */
const NEAR = 80;

export function Thread() {
  const box = useRef<HTMLElement>(null);
  const following = useRef(true);
  const before = useRef(0);
  const [away, setAway] = useState(false);
  const running = live.value.get(current.value);
  const grown = running?.text.value;
  const toEnd = (): void => box.current!.scrollTo({ top: box.current!.scrollHeight });
  // What is shown has grown.
  useEffect(() => {
    if (following.current) toEnd();
  }, [grown, path.value]);
  // Another conversation, or a new answer.
  useEffect(() => {
    following.current = true;
    toEnd();
  }, [current.value, running?.message]);
  const onScroll = (): void => {
    const { scrollHeight, scrollTop, clientHeight } = box.current!;
    // The page itself only ever scrolls down; up, however little, is the reader.
    following.current = scrollTop >= before.current && scrollHeight - scrollTop - clientHeight < NEAR;
    before.current = scrollTop;
    setAway(scrollHeight - scrollTop - clientHeight >= NEAR);
  };
  return (
    <div class="thread-frame">
      <main class="thread" ref={box} onScroll={onScroll} aria-label="Conversation">
        {path.value.length ? (
          <div class="messages">
            {path.value.map(m => (
              <MessageView key={m.id} message={m} />
            ))}
          </div>
        ) : (
          <Welcome />
        )}
      </main>
      {away && <IconButton icon="down" label="To the end" class="to-end" onClick={toEnd} />}
      <p class="off-screen" role="status">
        {running ? "An answer is being written." : path.value.at(-1)?.answer?.finish ? "The answer is complete." : ""}
      </p>
    </div>
  );
}

function Welcome() {
  if (current.value && !conversation.value) {
    return (
      <div class="welcome">
        <h1>No such conversation</h1>
        <p>It is not kept in this browser; it may have been deleted.</p>
      </div>
    );
  }
  if (modelsError.value) {
    return (
      <div class="welcome">
        <h1>Not connected</h1>
        <p role="alert">{modelsError.value}</p>
        <button type="button" onClick={() => void refreshModels()}>
          Try again
        </button>
      </div>
    );
  }
  const info = models.value.find(m => m.id === model.value);
  return (
    <div class="welcome">
      <h1>{info ? info.id : "Lathe"}</h1>
      <p>
        The model runs on the machine that served this page. What you write goes there and nowhere else; conversations are kept in this
        browser.
      </p>
      {info?.meta && (
        <dl>
          <dt>Architecture</dt>
          <dd>{info.meta.architecture}</dd>
          <dt>Context</dt>
          <dd>{info.meta.context.toLocaleString("en")} tokens</dd>
          <dt>File</dt>
          <dd>{(info.meta.size / 2 ** 20).toFixed(info.meta.size < 2 ** 27 ? 1 : 0)} MiB</dd>
        </dl>
      )}
    </div>
  );
}
