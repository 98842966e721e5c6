/**
 * Is loaded into a server before its own code (`node --require`) and makes its threads stop at another process's word, as broken code would: the product
 * has no switch for it. Every thread that is started gets this file too. Members of an engine's team are held by a word of shared memory.
 */
"use strict";
const threads = require("node:worker_threads");
const { syncBuiltinESMExports } = require("node:module");

const never = () => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
const CHANNEL = "faults";
/** Threads of the team that this thread leads, and the words by which they are held. */
const team = [];

class Followed extends threads.Worker {
  constructor(file, options = {}) {
    const word = new Int32Array(new SharedArrayBuffer(4));
    const engine = /engine-thread/.test(String(file));
    const execArgv = [...(options.execArgv ?? []), "--require", __filename];
    super(file, { ...options, execArgv, workerData: { ...options.workerData, word, engine } });
    if (/member/.test(String(file))) team.push({ worker: this, word });
  }
}

/** What befalls an engine, on its own thread. */
const engine = {
  "runs in circles": () => {
    for (;;);
  },
  "waits for a call that does not come": never,
  ends: () => process.exit(1),
  throws: () => {
    throw new Error("made to fail");
  },
  "loses a thread of its team": () => team[0].worker.terminate(),
  "has a thread of its team that does not go on": () => Atomics.store(team[0].word, 0, 1),
};

threads.Worker = Followed;
syncBuiltinESMExports();

const { word: own, engine: leads } = threads.workerData ?? {};
if (threads.isMainThread) {
  process.on("message", kind => {
    const channel = new BroadcastChannel(CHANNEL);
    channel.postMessage(kind);
    channel.close();
  });
  process.channel?.unref();
} else if (leads) {
  const channel = new BroadcastChannel(CHANNEL);
  channel.onmessage = ({ data }) => engine[data]();
  channel.unref();
} else if (own) {
  const load = Atomics.load;
  // Every member of a team looks at shared words again and again.
  Atomics.load = (words, at) => {
    if (load(own, 0) === 1) never();
    return load(words, at);
  };
}
