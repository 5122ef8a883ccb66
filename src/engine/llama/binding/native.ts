/**
 * The native libraries, opened and checked: the only door to them. One set a thread, opened when it is first asked
 * for. Nothing here validates what it is given: callers must, because a failed assertion in native code ends the
 * process.
 */
import { ShoalError } from '../../../shared/errors.js';
import { type PlainCallbacks, plainCallbacks } from './callbacks.js';
import { contextFunctions } from './context.js';
import { type Address, Declarations } from './declarations.js';
import { DEVICE_TYPE, deviceFunctions, extraBufferTypes } from './devices.js';
import { fileMapper, type MapFile } from './fileMap.js';
import { ggufFunctions } from './gguf.js';
import { type Libraries, openLibraries } from './libraries.js';
import { memoryFunctions } from './memory.js';
import { modelFunctions } from './model.js';
import { logFunctions, NativeLog } from './nativeLog.js';
import { GGML_VERSION, LLAMA_VERSION } from './pins.js';
import { installedPackages, type PlatformPackage } from './platformPackage.js';
import { defaultMismatches } from './structDefaults.js';
import { declareStructs } from './structs.js';
import { tensorFunctions } from './tensors.js';
import { threadPoolFunctions } from './threadPool.js';
import { vocabularyFunctions } from './vocabulary.js';

export type Devices = ReturnType<typeof deviceFunctions>;

interface Device {
  readonly address: Address;
  /** Such as `CPU` or `CUDA0`. */
  readonly name: string;
  readonly description: string;
  /** One of `DEVICE_TYPE`. */
  readonly type: number;
  readonly isGpu: boolean;
}

export interface Native {
  /** Name of the npm package that the libraries come from. */
  readonly packageName: string;
  readonly model: ReturnType<typeof modelFunctions>;
  readonly context: ReturnType<typeof contextFunctions>;
  readonly memory: ReturnType<typeof memoryFunctions>;
  readonly vocabulary: ReturnType<typeof vocabularyFunctions>;
  readonly threadPool: ReturnType<typeof threadPoolFunctions>;
  readonly gguf: ReturnType<typeof ggufFunctions>;
  readonly tensor: ReturnType<typeof tensorFunctions>;
  readonly device: Devices;
  readonly devices: readonly Device[];
  /** The device that is the processor. */
  readonly cpu: Address;
  extraBufferTypes(): readonly Address[];
  readonly plain: PlainCallbacks;
  /** Null where files cannot be mapped. */
  readonly mapFile: MapFile | null;
  readonly log: NativeLog;
}

let opened: Native | null = null;

/**
 * Opens the libraries of the best package that works here.
 * @throws {ShoalError} `engine_unavailable`, naming what is missing, of another version or laid out differently
 */
export function native(): Native {
  opened ??= openBest(installedPackages());
  return opened;
}

function openBest(packages: readonly PlatformPackage[]): Native {
  const failures: string[] = [];
  for (const candidate of packages) {
    try {
      return declare(candidate.name, openLibraries(candidate.folder));
    } catch (error) {
      failures.push(`${candidate.name}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  throw new ShoalError('engine_unavailable', `No native engine could be used. ${failures.join('; ')}`);
}

let structsDeclared = false;

function declare(packageName: string, libraries: Libraries): Native {
  if (!structsDeclared) declareStructs();
  structsDeclared = true;
  const declarations = new Declarations();
  const functions = {
    model: modelFunctions(declarations, libraries.llama),
    context: contextFunctions(declarations, libraries.llama),
    memory: memoryFunctions(declarations, libraries.llama),
    vocabulary: vocabularyFunctions(declarations, libraries.llama),
    threadPool: threadPoolFunctions(declarations, libraries.ggmlBase),
    gguf: ggufFunctions(declarations, libraries.ggmlBase),
    tensor: tensorFunctions(declarations, libraries.ggmlBase),
    device: deviceFunctions(declarations, libraries.ggmlBase, libraries.ggml),
  };
  const log = logFunctions(declarations, libraries.llama);
  if (declarations.missing.length > 0) {
    throw new Error(`the libraries lack ${declarations.missing.join(', ')}`);
  }
  check(functions);

  const plain = plainCallbacks(libraries);
  const nativeLog = new NativeLog(log, plain);
  functions.device.loadAll(libraries.folder);
  functions.model.backendInit();
  const devices = listDevices(functions.device);
  const cpu = devices.find((device) => device.type === DEVICE_TYPE.cpu)?.address;
  if (cpu === undefined) throw new Error('no CPU backend fits this processor');
  if (devices.some((device) => device.isGpu)) nativeLog.neverKeep();
  const mapFile = fileMapper(libraries.c);
  return {
    packageName,
    ...functions,
    devices,
    cpu,
    extraBufferTypes: () => extraBufferTypes(functions.device, cpu),
    plain,
    mapFile,
    log: nativeLog,
  };
}

function check(functions: Pick<Native, 'model' | 'context' | 'device'>): void {
  const versions = { llama: functions.model.version(), ggml: functions.device.version() };
  if (versions.llama !== LLAMA_VERSION || versions.ggml !== GGML_VERSION) {
    throw new Error(
      `llama.cpp ${versions.llama} with ggml ${versions.ggml}, but ${LLAMA_VERSION} with ${GGML_VERSION} is needed`,
    );
  }
  const mismatches = defaultMismatches(
    functions.model.defaultParameters(),
    functions.context.defaultParameters(),
  );
  if (mismatches.length > 0) throw new Error(`struct layouts differ: ${mismatches.join(', ')}`);
}

function listDevices(functions: Devices): Device[] {
  return Array.from({ length: functions.count() }, (_, index) => {
    const address = functions.get(index);
    const type = functions.type(address);
    return {
      address,
      name: functions.name(address),
      description: functions.description(address),
      type,
      isGpu: type === DEVICE_TYPE.gpu || type === DEVICE_TYPE.integratedGpu,
    };
  });
}
