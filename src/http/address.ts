/** Where requests come from, as far as that is known: what limits per address count by. */
import { BlockList, isIP } from 'node:net';
import type { FastifyRequest } from 'fastify';
import type { Logger } from 'pino';
import type { Whence } from '../protocol/observation.ts';

/** What counts as one address. Undefined where it says nothing of who asks. */
export type AddressOf = (request: FastifyRequest) => string | undefined;

/**
 * Behind a proxy that TRUST_PROXY does not name, all people come from one address, and one of them could use up what all
 * may. So nothing is counted for this machine's own addresses, nor for a neighbour in a private network that says it
 * speaks for others; the log says once which one. What comes straight from the internet is always counted.
 */
export function createAddressOf(log: Pick<Logger, 'warn'>): AddressOf {
  const told = new Set<string>();
  return (request) => {
    const { ip, headers, socket } = request;
    if (loopback.test(ip)) return undefined;
    const speaksForOthers = headers['x-forwarded-for'] !== undefined || headers.forwarded !== undefined;
    if (speaksForOthers && ip === socket.remoteAddress && neighbours.check(...family(ip))) {
      if (told.size < mostTold && !told.has(ip)) {
        log.warn({ proxy: ip }, 'this looks like a proxy: until TRUST_PROXY names it, limits per address do not hold');
        told.add(ip);
      }
      return undefined;
    }
    return networkOf(ip);
  };
}

const mostTold = 20;

/** As text: a look into a `BlockList` costs a quarter of a token. */
const loopback = /^(?:(?:::ffff:)?127\.|::1$)/i;

/** RFC 1918, RFC 6598, RFC 3927, RFC 4193, RFC 4291 §2.5.6. */
const neighbours = new BlockList();
for (const [network, bits] of [
  ['10.0.0.0', 8],
  ['172.16.0.0', 12],
  ['192.168.0.0', 16],
  ['100.64.0.0', 10],
  ['169.254.0.0', 16],
] as const) {
  neighbours.addSubnet(network, bits);
}
neighbours.addSubnet('fc00::', 7, 'ipv6');
neighbours.addSubnet('fe80::', 10, 'ipv6');

function family(ip: string): [string, 'ipv4' | 'ipv6'] {
  const plain = unmapped(ip).replace(/%.*/, '');
  return isIP(plain) === 6 ? [plain, 'ipv6'] : [isIP(plain) === 4 ? plain : '0.0.0.0', 'ipv4'];
}

function unmapped(ip: string): string {
  return /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(ip)?.[1] ?? ip;
}

/**
 * What counts as one address: an IPv4 address, however it is written, and for IPv6 the /64 that one customer gets
 * (RFC 6177 §2). All that is no address counts as one.
 */
export function networkOf(ip: string): string {
  const mapped = unmapped(ip);
  if (isIP(mapped) !== 6) return isIP(mapped) === 4 ? mapped : '';
  return groupsOf(mapped).slice(0, 4).join(':');
}

/** Where a request comes from. */
export function whenceOf(request: FastifyRequest, addressOf: AddressOf): Whence {
  const address = addressOf(request);
  return { ip: request.ip, address, network: address === undefined ? undefined : surroundingsOf(request.ip) };
}

/** An IPv4 /24, an IPv6 /48 (what a site gets, RFC 6177): there who moves about, or is given another address, still is. */
export function surroundingsOf(ip: string): string {
  const mapped = unmapped(ip);
  if (isIP(mapped) !== 6) return mapped.replace(/\.\d+$/, '.0/24');
  return `${groupsOf(mapped).slice(0, 3).join(':')}::/48`;
}

/** The eight groups of an IPv6 address, without leading zeros. */
function groupsOf(mapped: string): string[] {
  const [left = '', right] = mapped
    .replace(/%.*/, '')
    .replace(/\d+(\.\d+){3}$/, '0:0')
    .split('::', 2);
  const groups = left.split(':').filter(Boolean);
  const after = (right ?? '').split(':').filter(Boolean);
  const all = [...groups, ...Array(8 - groups.length - after.length).fill('0'), ...after];
  return all.map((group) => Number.parseInt(group, 16).toString(16));
}
