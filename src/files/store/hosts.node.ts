/**
 * Which hosts are of this machine or its own network, by what their names say. Owns the list; a public name that resolves to such an address is
 * not seen, as nothing is resolved here.
 */
import { BlockList, isIP } from "node:net";

const own = new BlockList();
// IANA's registries of special-purpose addresses: what is not reachable globally.
for (const [address, bits] of [
  ["0.0.0.0", 8],
  ["10.0.0.0", 8],
  ["100.64.0.0", 10],
  ["127.0.0.0", 8],
  ["169.254.0.0", 16],
  ["172.16.0.0", 12],
  ["192.0.0.0", 24],
  ["192.168.0.0", 16],
  ["198.18.0.0", 15],
  ["224.0.0.0", 3],
] as const)
  own.addSubnet(address, bits, "ipv4");
for (const [address, bits] of [
  ["::", 127], // unspecified and loopback
  ["64:ff9b::", 96], // other networks' IPv4, translated
  ["64:ff9b:1::", 48],
  ["fc00::", 7],
  ["fe80::", 9], // link-local, and what was site-local
  ["ff00::", 8],
] as const)
  own.addSubnet(address, bits, "ipv6");

/** Whether a URL's host is an address that is not reachable globally, or a name that is kept for such. */
export function isOwnNetwork({ hostname }: URL): boolean {
  const name = hostname.replace(/^\[|\]$/g, "").replace(/\.$/, "");
  const version = isIP(name);
  if (version === 0) return /(^|\.)(localhost|local|internal|home\.arpa)$/i.test(name) || !name.includes(".");
  return own.check(name, version === 4 ? "ipv4" : "ipv6");
}
