/** Entry point of the runner process, which a node spawns for one model. */
import { Socket } from 'node:net';
import { RUNNER_CHANNEL_FD } from '../shared/runnerProtocol.js';
import { leaveNoCoreFile } from './coreFile.js';
import { RunnerProcess } from './runnerProcess.js';

leaveNoCoreFile();
new RunnerProcess(new Socket({ fd: RUNNER_CHANNEL_FD, readable: true, writable: true }));
