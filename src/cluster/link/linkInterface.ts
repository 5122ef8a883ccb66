/** What kind of network a link goes out by, as far as the system tells: a hint for people, and whether it has RDMA. */
import { existsSync, readdirSync, readFileSync, realpathSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';

export const INTERFACE_KINDS = ['wired', 'wifi', 'loopback', 'virtual'] as const;
export type InterfaceKind = (typeof INTERFACE_KINDS)[number];

export interface LinkInterface {
  readonly kind: InterfaceKind | null;
  /** Has the interface an RDMA device whose port is up? */
  readonly rdma: boolean;
}

export interface LookUp {
  /** @default those of this machine */
  readonly interfaces?: ReturnType<typeof networkInterfaces>;
  /** Where Linux shows its devices. @default /sys/class */
  readonly devices?: string;
}

const UNKNOWN: LinkInterface = { kind: null, rdma: false };
const WIFI_NAME = /^(wl|wi-?fi|wireless|drahtlos)/i;
const VIRTUAL_NAME = /^(vethernet|docker|br-|bridge|virbr|tun|tap|utun|wg|tailscale|zt|vmnet|awdl|llw)/i;
const WIRED_NAME = /^(eth|en[opsx]|ethernet)/i;

/** @param localAddress of this end of the link, perhaps with a zone; null when it has none */
export function linkInterface(localAddress: string | null, lookUp: LookUp = {}): LinkInterface {
  const { interfaces = networkInterfaces(), devices = '/sys/class' } = lookUp;
  if (localAddress === null) return UNKNOWN;
  const address = localAddress.replace(/%.*$/, '').replace(/^::ffff:(?=\d+\.)/, '');
  for (const [name, addresses = []] of Object.entries(interfaces)) {
    const own = addresses.find((entry) => entry.address === address);
    if (own === undefined) continue;
    if (own.internal) return { kind: 'loopback', rdma: false };
    return { kind: kindOf(name, devices), rdma: hasRdma(name, devices) };
  }
  return UNKNOWN;
}

function kindOf(name: string, devices: string): InterfaceKind | null {
  const device = join(devices, 'net', name);
  if (existsSync(device)) {
    if (existsSync(join(device, 'wireless')) || existsSync(join(device, 'phy80211'))) return 'wifi';
    return realpathSync(device).includes('/virtual/') ? 'virtual' : 'wired';
  }
  if (WIFI_NAME.test(name)) return 'wifi';
  if (VIRTUAL_NAME.test(name)) return 'virtual';
  // On a Mac both are called en0, en1, …
  return WIRED_NAME.test(name) ? 'wired' : null;
}

/** Each device names its network interfaces, and the state of its ports as in "4: ACTIVE". */
function hasRdma(name: string, devices: string): boolean {
  const folder = join(devices, 'infiniband');
  try {
    return readdirSync(folder).some((device) => {
      if (!existsSync(join(folder, device, 'device', 'net', name))) return false;
      const ports = join(folder, device, 'ports');
      return readdirSync(ports).some((port) =>
        readFileSync(join(ports, port, 'state'), 'utf8').includes('ACTIVE'),
      );
    });
  } catch {
    // There is no such folder on a machine without RDMA, and none on other systems.
    return false;
  }
}
