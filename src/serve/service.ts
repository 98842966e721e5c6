/**
 * What routes work with: the models, admission, numbers about both, and what clients have stored. One per server, shared by all dialects; it
 * knows none of their words.
 */
import { createHash } from "node:crypto";
import { Admission, type AdmissionLimits, defaultAdmission } from "./admission.ts";
import type { Catalog } from "./catalog.ts";
import { Kept } from "./kept.ts";
import { Metrics } from "./metrics.ts";

/** Who sent a request. */
export interface Caller {
  /** Whose cached prompts it may use, and whose share it takes. */
  readonly tenant: string;
}

export interface LogEntry {
  readonly event: string;
  readonly [key: string]: string | number | boolean | undefined;
}

export interface ServiceOptions {
  readonly catalog: Catalog;
  readonly admission?: Partial<AdmissionLimits>;
  /** Gets one entry for each request and each change of state; never a prompt, an answer, a key or an address. */
  readonly log?: (entry: LogEntry) => void;
  readonly version?: string;
  /** Pieces of streamed answers take one of four lengths. Default: no, because it makes them two to five times as long. */
  readonly padEvents?: boolean;
  readonly now?: () => number;
}

/** Bytes of stored responses that `/v1/responses` continues. */
const KEPT_BYTES = 64 * 2 ** 20;

export class Service {
  readonly catalog: Catalog;
  readonly admission: Admission;
  readonly metrics: Metrics;
  readonly responses = new Kept<unknown>(KEPT_BYTES);
  readonly log: (entry: LogEntry) => void;
  readonly version: string;
  readonly padded: boolean;
  /** Aborts what is still running when the server stops. */
  readonly stopping = new AbortController();
  #draining = false;

  constructor({ catalog, admission, log = () => {}, version = "0", padEvents = false, now = () => performance.now() }: ServiceOptions) {
    this.catalog = catalog;
    this.admission = new Admission({ ...defaultAdmission, ...admission }, now);
    this.metrics = new Metrics();
    this.log = log;
    this.version = version;
    this.padded = padEvents;
  }

  /** No new work is taken. */
  drain(): void {
    this.#draining = true;
  }
  get draining(): boolean {
    return this.#draining;
  }
}

/** A name for a secret that says nothing about it. */
export const fingerprint = (secret: string): string => createHash("sha256").update(secret).digest("hex");
