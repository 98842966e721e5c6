/** What opens over the page: settings with what each does, the keyboard's shortcuts, and the question for the server's key. */
import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { checkNumber, defaultSettings, type NumberSetting, numberSettings } from "../state/settings.ts";
import { choose, giveKey, key, panel, settings } from "../state/store.ts";
import { IconButton } from "./icons.tsx";
import { shortcuts } from "./shortcuts.ts";

export function Panels() {
  if (panel.value === "settings") return <SettingsPanel />;
  if (panel.value === "shortcuts") return <ShortcutsPanel />;
  return panel.value === "key" ? <KeyPanel /> : null;
}

function Panel({ title, children }: { title: string; children: ComponentChildren }) {
  const dialog = useRef<HTMLDialogElement>(null);
  const close = (): void => void (panel.value = undefined);
  useEffect(() => dialog.current!.showModal(), []);
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: a press beside the dialog closes it; Escape does so on the keyboard
    <dialog ref={dialog} aria-label={title} onClose={close} onClick={e => e.target === dialog.current && close()}>
      <div class="panel">
        <header>
          <h2>{title}</h2>
          <IconButton icon="close" label="Close" onClick={close} />
        </header>
        {children}
      </div>
    </dialog>
  );
}

/** A field with its name and what it does; `children` gets the attributes that tie the three together. */
function Field(props: {
  name: string;
  label: string;
  about: ComponentChildren;
  class?: string;
  children: (ties: { id: string; "aria-describedby": string }) => ComponentChildren;
}) {
  const id = `setting-${props.name}`;
  return (
    <div class={`setting ${props.class ?? ""}`}>
      <label for={id}>{props.label}</label>
      {props.children({ id, "aria-describedby": `${id}-about` })}
      <small id={`${id}-about`}>{props.about}</small>
    </div>
  );
}

/** Settings that are texts, around those that are numbers. */
const texts = {
  system: {
    label: "Instructions",
    rows: 3,
    about: "Told to the model before the conversation, such as “Answer briefly.” Default: none; the model is then as it was trained.",
  },
  stops: {
    label: "Stop texts",
    rows: 2,
    about: "One on each line, at most 16: the answer ends before any of them. Default: none; the model decides where it ends.",
  },
} as const;

function TextField({ name }: { name: keyof typeof texts }) {
  const { label, rows, about } = texts[name];
  const change = (text: string): void => choose("settings", { ...settings.value, [name]: text });
  return (
    <Field name={name} label={label} about={about} class="wide">
      {ties => (
        <textarea {...ties} rows={rows} value={settings.value[name]} placeholder="none" onInput={e => change(e.currentTarget.value)} />
      )}
    </Field>
  );
}

function SettingsPanel() {
  const { system, stops, numbers } = settings.value;
  const changed = Boolean(system || stops || Object.keys(numbers).length);
  return (
    <Panel title="Settings">
      <p class="about">They hold for every answer from now on and are kept in this browser. What is left empty has its default.</p>
      <TextField name="system" />
      {numberSettings.map(s => (
        <NumberField key={s.field} setting={s} />
      ))}
      <TextField name="stops" />
      <footer>
        <button type="button" onClick={() => (panel.value = "key")}>
          Key of the server
        </button>
        <button type="button" disabled={!changed} onClick={() => choose("settings", defaultSettings)}>
          All to default
        </button>
      </footer>
    </Panel>
  );
}

function NumberField({ setting }: { setting: NumberSetting }) {
  const { field, label, about, byDefault, unset, from, to, step } = setting;
  const value = settings.value.numbers[field];
  const [text, setText] = useState(value === undefined ? "" : String(value));
  const given = text.trim() === "" ? undefined : Number(text);
  const wrong = checkNumber(setting, given);
  const standard = unset ?? String(byDefault);
  const change = (to: string): void => {
    setText(to);
    const number = to.trim() === "" ? undefined : Number(to);
    if (checkNumber(setting, number)) return;
    const { [field]: _, ...others } = settings.value.numbers;
    choose("settings", { ...settings.value, numbers: number === undefined ? others : { ...others, [field]: number } });
  };
  // "All to default" empties the field too.
  useEffect(() => {
    if (value === undefined && !wrong) setText("");
  }, [value]);
  const explained = (
    <>
      {about} Default: {standard}. {wrong && <b role="alert">It {wrong}.</b>}
    </>
  );
  return (
    <Field name={field} label={label} about={explained} class={value === undefined ? "" : "changed"}>
      {ties => (
        <input
          {...ties}
          type="number"
          inputMode="decimal"
          min={from}
          max={to}
          step={step}
          value={text}
          placeholder={byDefault === undefined ? "none" : standard}
          aria-invalid={wrong !== undefined}
          onInput={e => change(e.currentTarget.value)}
        />
      )}
    </Field>
  );
}

const ShortcutsPanel = () => (
  <Panel title="Keyboard">
    <dl class="shortcuts">
      {shortcuts.map(({ shown, about }) => (
        <div>
          <dt>
            {shown.map(k => (
              <kbd>{k}</kbd>
            ))}
          </dt>
          <dd>{about}</dd>
        </div>
      ))}
    </dl>
  </Panel>
);

function KeyPanel() {
  const [text, setText] = useState(key.value);
  const submit = (e: Event): void => {
    e.preventDefault();
    panel.value = undefined;
    giveKey(text.trim());
  };
  return (
    <Panel title="Key of the server">
      <form onSubmit={submit} class="key">
        <Field
          name="key"
          label="Key"
          about="Needed where the server was started with --api-key. It is kept until this tab is closed."
          class="wide"
        >
          {ties => <input {...ties} type="password" autoComplete="off" value={text} onInput={e => setText(e.currentTarget.value)} />}
        </Field>
        <footer>
          <button type="submit" class="primary">
            Use it
          </button>
        </footer>
      </form>
    </Panel>
  );
}
