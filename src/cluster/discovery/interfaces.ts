/** From which addresses of this machine a node announces itself. */
import { networkInterfaces } from 'node:os';
import { LIMITS } from '../../shared/limits.js';

export interface AnnouncedAddress {
  readonly family: 4 | 6;
  /** As a socket is bound to it: with the zone, where it is of one link only. */
  readonly address: string;
  readonly interfaceName: string;
  /** Tells it apart from one of the same name and address that is another interface now. */
  readonly key: string;
}

/** Addresses of interfaces that are up, those of real networks first. */
export function announcedAddresses(interfaces = networkInterfaces()): AnnouncedAddress[] {
  const found: (AnnouncedAddress & { readonly isInternal: boolean })[] = [];
  for (const [interfaceName, addresses = []] of Object.entries(interfaces)) {
    for (const { address, family, internal, scopeid, mac } of addresses) {
      const is6 = family === 'IPv6';
      // The loopback interface carries multicast of IPv4 alone; it is for nodes on one machine without a network.
      if (is6 && internal) continue;
      const bindable = is6 && scopeid ? `${address}%${interfaceName}` : address;
      const key = `${bindable} ${interfaceName} ${mac} ${scopeid ?? 0}`;
      found.push({
        family: is6 ? 6 : 4,
        address: bindable,
        interfaceName,
        key,
        isInternal: internal,
      });
    }
  }
  found.sort((a, b) => Number(a.isInternal) - Number(b.isInternal));
  return found.slice(0, LIMITS.announcedAddresses).map(({ isInternal: _, ...announced }) => announced);
}
