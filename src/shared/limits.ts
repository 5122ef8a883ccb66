/**
 * Every bound and default of the product, named once, with its unit.
 * Each one that a user can meet is documented in docs/limits.md, which is generated from this file's table.
 */
export const LIMITS = {
  /** Largest HTTP request body. */
  requestBodyBytes: 8 * 1024 * 1024,
  /**
   * Requests waiting or running on one instance, and those that wait on one node for a model while no instance takes
   * any; one more gets `queue_full` (429).
   */
  instanceQueueRequests: 256,
  /** Places that one request may lose after they began, or in a row before they did; and runners that may die while they compute it. */
  requestMoves: 8,
  requestCrashes: 3,
  /** Requests that the runner's scheduler holds back while the KV cache is full; they wait in arrival order. */
  runnerQueueRequests: 512,
  /** Choices (`n`) of one request. */
  choicesPerRequest: 16,
  /** Stop strings of one request, and the length of each. */
  stopStrings: 16,
  stopStringCharacters: 256,
  /** Alternatives of `top_logprobs`. */
  topLogprobs: 20,
  logitBiasEntries: 1024,
  messagesPerRequest: 4096,
  /** One frame on the channel between node and runner. */
  runnerFrameBytes: 32 * 1024 * 1024,
  /** Bytes that may wait to be written to a runner before it counts as blocked. */
  runnerWriteBufferBytes: 64 * 1024 * 1024,
  /** Last lines of a runner's standard error that are kept for its failure report. */
  stderrTailLines: 40,
  stderrLineCharacters: 500,
  /** Bytes that may wait for one slow streaming client before its stream is ended with `client_too_slow`. */
  streamBufferBytes: 4 * 1024 * 1024,
  /** Control events that a reconnecting reader of `/events` can catch up on; before them it gets the whole state. */
  recentEvents: 2_000,
  /** Readers of `/events` at once. */
  eventReaders: 64,
  /** Readers of `/instance/await` at once. */
  instanceWaiters: 64,
  /** Finished tasks that stay visible in the state. */
  finishedTasks: 200,
  /** Deleted instances that the state remembers, so that a late word about one does not bring it back. */
  deletedInstances: 1_000,
  /** The same for MetaInstances, and the newest errors that each of them keeps. */
  deletedMetaInstances: 1_000,
  metaInstanceErrors: 20,
  /** MetaInstances of a cluster; one more is refused with `queue_full`. */
  metaInstances: 512,
  /** Times that a failed instance of a MetaInstance is started anew where it is, before it goes elsewhere. */
  instanceRetries: 3,
  /** Models whose files one node holds, and layers of one model, in a message between nodes. */
  modelsPerNode: 1_024,
  modelLayers: 1_024,
  /** Characters of a node's id in an id that it gives out. */
  shortIdCharacters: 8,
  /**
   * Decisions of one look at what should run; the next look, in the next turn of the node, goes on. Each is a placement,
   * which takes milliseconds with a hundred nodes, and the master must be heard meanwhile.
   */
  reconcilePasses: 16,
  /** Commands that a master which stood still keeps until it knows whether it still rules; more are sent again. */
  heldCommands: 1_000,
  /** Entries of the control log that a node keeps at hand for others that missed some; one that missed more gets the state. */
  logTailEntries: 2_000,
  /** Of them in one message; one that missed more gets the state, which is shorter. */
  appendEntries: 512,
  /** `Idempotency-Key` of a request that makes something. */
  idempotencyKeyCharacters: 256,
  /** An identifier of a node, instance, runner or task in a message between nodes. */
  idCharacters: 128,
  addressesPerNode: 64,
  shardsPerInstance: 64,
  /** Sequences that one instance may be asked to decode side by side, and tokens of context for one of them. */
  sequencesPerInstance: 256,
  contextTokens: 16_777_216,
  /** Numbers of nodes that `/instance/previews` looks at: 1 to this. */
  previewNodes: 8,
  /** Newest measured values that a node tells the others in one message. */
  registerBytes: 256 * 1024,
  /** Entries after which the state is stored whole and the log on disk begins anew. */
  entriesPerSnapshot: 5_000,
  /** Header of a GGUF file: metadata and tensor table together. */
  ggufHeaderBytes: 512 * 1024 * 1024,
  /** Shape of a JSON request body: depth, objects and arrays in all, members of one object. */
  jsonDepth: 32,
  jsonContainers: 65_536,
  jsonMembers: 4_096,
  /** Content parts of one message, and the length of its `name`. */
  contentPartsPerMessage: 1_024,
  messageNameCharacters: 64,
  /** Token ids of a prompt that is given as tokens. */
  promptTokens: 1_048_576,
  modelIdCharacters: 256,
  /** Text, tokens and log probabilities of one answer that is not streamed. */
  answerBytes: 32 * 1024 * 1024,
  /** Open connections to the API; more are closed unanswered. */
  apiConnections: 4_096,
  /** One part of a request's path, such as a model or a command id. */
  pathSegmentCharacters: 512,
  /** `--models`: folders within folders, and files and folders in all. */
  modelFolderDepth: 16,
  modelFolderEntries: 100_000,
  /** A model file's chat template, and the prompt that it may render to. */
  templateCharacters: 256 * 1024,
  renderedPromptCharacters: 16 * 1024 * 1024,
  /** Expressions that rendering one prompt may evaluate (long texts count more), and elements of one list in it. */
  templateSteps: 4_000_000,
  templateListElements: 1_000_000,
  /** One event of a generation on its way between two nodes. */
  eventFrameBytes: 4 * 1024 * 1024,
  /** Requests of other nodes that one node works on at once; one more gets `queue_full`. */
  servedGenerations: 2_048,
  /** Bytes of requests of other nodes that are still arriving, all together. */
  arrivingRequestBytes: 256 * 1024 * 1024,
  /** Body of a call between nodes, and of its reply, unless its kind has bounds of its own. */
  callBodyBytes: 1024 * 1024,
  /** Calls of other nodes that one node works on at once; one more gets `queue_full`. */
  servedCalls: 256,
  /** Message and details of a fault that another node reports; what is longer is cut, or left out. */
  faultMessageCharacters: 16_384,
  faultDetailsCharacters: 65_536,
  /** Nodes that one node is linked to at once, and that the state remembers: for a newcomer the longest dead one goes. */
  peers: 256,
  /** Connections of other nodes that have yet to prove who they are: from one address, and in all. */
  linkHandshakesPerAddress: 32,
  linkHandshakes: 256,
  /** What one end says of itself before a link is open. */
  linkHelloBytes: 4 * 1024,
  /** One frame on a link; longer messages and streams travel in pieces of this. */
  linkFrameBytes: 32 * 1024,
  /** One control message to another node. */
  linkMessageBytes: 16 * 1024 * 1024,
  /** Control messages that may wait for a node that reads too slowly; past it the link to it is closed. */
  linkControlBufferBytes: 64 * 1024 * 1024,
  /** Streams that are open on one link, counted for the node that opened them. */
  linkStreams: 1_024,
  /** Measurements of a node's own speed that others disturbed, until the best of them counts. */
  speedAttempts: 6,
  /** Round trips of a link of which the shortest counts, and bytes that are sent over it at once to measure its speed. */
  linkRoundTrips: 10,
  linkBurstBytes: 4 * 1024 * 1024,
  /** Probes in a row during which nothing arrives on a link; then it is closed. */
  linkSilentProbes: 5,
  /** First words of a stream between nodes. */
  streamHeadBytes: 16 * 1024,
  /** What one end of a stream may send before the other has read: at first, and on a link with few streams. */
  streamWindowBytes: 64 * 1024,
  streamWideWindowBytes: 1024 * 1024,
  streamsWithWideWindow: 32,
  /** Addresses of other nodes that are dialled, in all and for one node. */
  dialAddresses: 1_024,
  dialAddressesPerNode: 8,
  /** Attempts after which an address that never worked, and that no person gave, is forgotten. */
  dialAttempts: 8,
  nodeNameCharacters: 256,
  /** Notices of failed connections in the time after which one is repeated. */
  linkNotices: 256,
  /** Control log on disk since its snapshot: past the first a snapshot is wanted, past the second no record is taken. */
  controlLogBytes: 8 * 1024 * 1024,
  controlLogHardBytes: 32 * 1024 * 1024,
  /** One record of the control log (a longer one is kept by the next snapshot only), and one snapshot. */
  controlRecordBytes: 1024 * 1024,
  controlSnapshotBytes: 64 * 1024 * 1024,
  /** One announcement of a node on the network; a longer packet is dropped unread. */
  announcementBytes: 256,
  /** Nodes whose announcements are told apart from repetitions. */
  discoveredNodes: 1_024,
  /** Announcements that are looked at, in all and from one address; those past it are dropped. */
  announcementsPerSecond: 2_000,
  announcementsPerSourcePerSecond: 200,
  /** Addresses of this machine from which a node announces itself. */
  announcedAddresses: 64,
  /** Nodes that are remembered from earlier runs, and addresses of each. */
  rememberedNodes: 256,
  rememberedAddressesPerNode: 4,
  /** Conversations that the dashboard keeps in a browser, and their characters in all; the oldest leave first. */
  keptConversations: 50,
  keptConversationCharacters: 2_000_000,
  /** Of the moves of one answer it keeps the newest. */
  keptMoves: 16,
  /** Samples of the last hour that a node keeps, one every `hourStepMs`. */
  hourSamples: 360,
  /** Lines of what happens that an open dashboard keeps. */
  dashboardFeedLines: 500,
  /** One event of a stream that the dashboard reads; a longer one breaks the connection. */
  dashboardEventCharacters: 64 * 1024 * 1024,
  /** One tensor between two ranks, and what may be on the way before the reader has taken it. */
  collectiveTensorBytes: 64 * 1024 * 1024,
  collectiveWindowBytes: 96 * 1024 * 1024,
  /** One control frame from a rank to all others, and what of them may be on the way on one link. */
  collectiveControlBytes: 64 * 1024,
  collectiveControlWindowBytes: 1024 * 1024,
  /** Questions in a row that a rank may leave unanswered. */
  collectiveUnanswered: 4,
  /** What a rank counts for each message beside its length, so that many empty ones are bounded too. */
  collectiveMessageOverheadBytes: 256,
  /** Paths to another rank that are tried and measured. */
  collectivePaths: 16,
  /** What one rank tells all others through the side channel in one round. */
  sideChannelBlobBytes: 64 * 1024,
  /** Answers that may wait in a side channel for a runner that does not read; instances whose ranks meet at once. */
  sideChannelRounds: 4,
  sideChannelInstances: 256,
} as const;

/** Deadlines and intervals, in milliseconds. */
export const TIMES = {
  /** Whole request, from arrival to last byte. A client may shorten it with `deadline_ms`. */
  requestDeadlineMs: 600_000,
  /** Waiting for a place in the batch. */
  queueDeadlineMs: 120_000,
  /** First token after admission: a base plus an allowance for each prompt token. */
  firstTokenBaseMs: 60_000,
  firstTokenPerPromptTokenMs: 50,
  /** Between two tokens of one stream. */
  betweenTokensMs: 60_000,
  /** Silence on a stream after which a keep-alive comment is sent. */
  keepAliveMs: 10_000,
  /** Heartbeat counter of the runner's compute loop is reported this often. */
  heartbeatMs: 500,
  /** Stop: cancel everything, then SIGTERM, then SIGKILL, then give up waiting. */
  stopCancelMs: 2_000,
  stopTermMs: 1_500,
  stopKillMs: 2_000,
  /** A runner that must end gives its compute thread this long to leave the engine, then it kills itself. */
  runnerExitMs: 1_000,
  /** SIGINT or SIGTERM to the node: requests in flight may end within this. */
  drainMs: 5_000,
  /** The API ends a request by itself this long after its deadline, when nobody else did. */
  deadlineGraceMs: 2_000,
  /** Arrival of a whole HTTP request, headers and body. */
  requestReceiveMs: 60_000,
  /** A stopping node waits this long for the last bytes of the answers that it ended; then it cuts connections. */
  drainFlushMs: 500,
  /** A client may take this long to read what is left of its ended stream; then it is cut. */
  streamLingerMs: 30_000,
  /** `/instance/await`: wait unless the reader says how long, the longest wait, and how often the state is looked at. */
  instanceAwaitMs: 600_000,
  longestInstanceAwaitMs: 86_400_000,
  instanceAwaitLookMs: 200,
  /** What `Retry-After` advises. */
  retryAfterMs: 1_000,
  /** A browser may remember for this long what CORS allows. */
  corsMaxAgeMs: 600_000,
  /** A node takes a sample of what happens in the cluster this often. */
  hourStepMs: 10_000,
  /** An open dashboard that lost its node tries again after this, then after twice as long, up to the longest pause. */
  dashboardRetryMs: 500,
  dashboardLongestRetryMs: 10_000,
  /** Silence on `/events` after which the dashboard makes its connection anew. */
  dashboardSilenceMs: 25_000,
  /** A dashboard that is seen asks for the measured values this often. */
  dashboardMeasureMs: 2_000,
  /** While its charts are seen, it asks for the last hour this often. */
  dashboardHourMs: 5_000,
  /** It hides the join token by itself after this. */
  dashboardTokenShownMs: 60_000,
  /** The dashboard waits this long for an answer that is no stream. */
  dashboardAnswerMs: 30_000,
  /** Nodes tell each other this often that they are there. */
  pulseMs: 250,
  /** Between two pulses at least, however much there is to say. */
  pulseGapMs: 25,
  /** Silence after which a node is suspect, and how long it stays so before it is dead when nobody vouches for it. */
  suspectAfterMs: 800,
  confirmDeathMs: 500,
  /** A starting node listens this long for a master before it looks for one among those that are there. */
  joinGraceMs: 500,
  /** Between the loss of the master and the next one: time to hear how far the others' logs are. */
  electionDelayMs: 250,
  /** A node with a newer log that does not take the rule within this is passed over. */
  electionPatienceMs: 1_500,
  /** A gap between two looks at the clock in which this node heard nobody: it counts as nobody's silence. */
  stallMs: 400,
  /** A gap after which others may have taken this node for dead. */
  pauseMs: 1_000,
  /** After it stood still, a master listens this long whether there is another by now. */
  resumeMs: 600,
  /** A master that does not send its log within this is given up. */
  followTimeoutMs: 3_000,
  /** The core of a node looks at its clock this often. */
  tickMs: 100,
  /** Facts that the state does not show, and commands without an answer, are sent again after this. */
  reportRetryMs: 500,
  commandRetryMs: 1_000,
  /** The answer to a command waits this long at most until followers and disk have what it rests on. */
  replicationWaitMs: 500,
  /** A command of a person to the master, such as the creation of an instance. */
  commandDeadlineMs: 15_000,
  /** A node tells the others its newest measured values this often when they changed, and at least that often. */
  registerMs: 1_000,
  registerRepeatMs: 5_000,
  /** Between two looks at what should run and what runs. */
  reconcileMs: 1_000,
  /** A node that is gone for this long is not waited for any more where its instances fit elsewhere. */
  nodeLossGraceMs: 10_000,
  /** Of two instances of one wish that both serve, an idle one is kept this long: its users may still be joining. */
  surplusGraceMs: 5_000,
  /**
   * Two living nodes that an instance needs a link between have none for this long: longer than it takes to give a link
   * up and to dial another path.
   */
  linkLossConfirmMs: 10_000,
  /** An instance that served for this long is healthy: failures before are forgiven. */
  healthyMs: 300_000,
  /** Between two attempts: this, doubled each time, at most that. */
  attemptBaseMs: 2_000,
  attemptMaxMs: 60_000,
  /** A request that lost its place does not go back there before this: the others may not know yet. */
  avoidMs: 500,
  /** One that finds no other place looks again after this, doubled each time, at most that. */
  moveRetryMs: 250,
  moveLongestRetryMs: 2_000,
  /** A request waits this long at most for a master that says where it may run. */
  assignDeadlineMs: 15_000,
  /** A new request that prefers to wait does so this long at most, within its deadline, while its model is being placed or started anew. */
  placeWaitMs: 30_000,
  /** Before a runner is started, its model's file must be found within this: folders may be large, and disks slow. */
  modelLookUpMs: 60_000,
  /** Self-test of a model's shards, with a tiny likeness of it, before a runner says that its shard is ready. */
  shardSelfTestMs: 60_000,
  /** Rendering one prompt with the model's chat template. */
  templateRenderMs: 5_000,
  /** A call to another node, unless its kind has a deadline of its own; and the longest that one may ask for. */
  callMs: 5_000,
  longestCallMs: 600_000,
  /** The answer of every other node to a cancel. */
  cancelCallMs: 2_000,
  /** An ended stream between nodes closes by itself within this, or is cut. */
  peerLingerMs: 5_000,
  /** A connection between nodes, from its first byte or from the dialling of it to the open link. */
  linkHandshakeMs: 5_000,
  /**
   * A node measures its own speed for about this long, in a child process that is ended at the limit; it looks whether it
   * has nothing else to do this often, and measures again after a longer pause when others took its cores meanwhile,
   * and when the result is old.
   */
  speedBudgetMs: 800,
  speedLimitMs: 30_000,
  speedLookMs: 3_000,
  speedRetryMs: 600_000,
  speedAgeMs: 30 * 86_400_000,
  /** A link is probed this often. */
  linkProbeMs: 1_000,
  /**
   * The speed of a link: how often a node looks whether one is due, how long a burst shall take to count, after what time
   * one is measured again, or was not measured and is tried again, and how long a busy node puts it off.
   */
  linkSpeedLookMs: 1_000,
  linkBurstMs: 25,
  linkSpeedAgeMs: 6 * 3_600_000,
  linkSpeedRetryMs: 5_000,
  linkSpeedPatienceMs: 120_000,
  /** A link whose node dials anew must answer a probe within this, or the new one takes its place. */
  linkRivalProbeMs: 1_000,
  /** A closing link may take this long to hand over its last words. */
  linkFarewellMs: 500,
  /** Pause before an address is dialled again: at first, at most. */
  dialPauseMs: 250,
  dialLongestPauseMs: 5_000,
  /** Clocks of two nodes that differ by more are worth a warning. */
  clockSkewMs: 300_000,
  /** The same notice about the same address is given again after this. */
  noticeRepeatMs: 60_000,
  /** A disk that refuses the control log is tried again after this long. */
  storeRetryMs: 1_000,
  /** A disk that does not answer for this long counts as refusing. */
  storeStallMs: 5_000,
  /** A node announces itself this often, give or take a quarter. */
  announceMs: 2_000,
  /** The network interfaces are read again this often. */
  interfaceScanMs: 2_000,
  /** Newcomers that come within this time get one answer. */
  announceAnswerMs: 40,
  /** Addresses given by a person, and remembered ones, are told again this often. */
  knownPeersMs: 5_000,
  /** One operation between the ranks of an instance, unless its caller says otherwise. */
  collectiveOperationMs: 60_000,
  /** A rank that is late is asked for a sign of life, and then for better word of who keeps it, for this long each. */
  collectiveProbeMs: 1_000,
  /** A rank asks those that it is linked to whether they live this often, and waits for an answer as long. */
  collectiveVigilMs: 2_500,
  /** All links between the ranks of an instance, from the listening to the first barrier. */
  collectiveConnectMs: 30_000,
  /** Once one path to a rank works, the others have this long to show that they are faster. */
  collectiveRivalPathMs: 250,
  /**
   * A rank that lives must answer a step, and come to a sum, within this: longer than any request waits for its first or
   * its next token.
   */
  rankAnswerMs: 120_000,
  /** A closing link between ranks may take this long to hand over its last words. */
  collectiveFarewellMs: 500,
  /** The other end of a side channel's pipe must have opened it within this. */
  sideChannelOpenMs: 10_000,
  /** One round of the side channel, until every rank has contributed. */
  sideChannelRoundMs: 60_000,
  /** Those that wait in a round for this long are told who is missing, before it is over. */
  sideChannelMissingMs: 55_000,
  /** A round whose master was lost, or is not there yet, is asked for again after this. */
  sideChannelRetryMs: 250,
} as const;

/** Engine and scheduler defaults, in tokens unless said. */
export const ENGINE = {
  /** Context of one sequence when neither user nor model says less. */
  contextTokens: 4_096,
  /** Shortest context that a model is loaded with when memory is short and nothing was asked for. */
  leastContextTokens: 512,
  /** The KV cache grows past one full context, up to one for each sequence, within this share of the memory offered. */
  cacheMemoryShare: 0.125,
  /** Sequences that one instance decodes side by side. */
  sequences: 16,
  /** Longest prefill chunk of one step: running streams wait at most for one of these. */
  prefillChunkTokens: 256,
  /** Rows of one engine step: a prefill chunk plus one row for each decoding sequence. */
  batchRows: 512,
  /** Finished prompts whose KV cells are kept for reuse. */
  prefixCacheEntries: 32,
  /**
   * A kept prompt is dropped when attention has walked over its cells this often since its last use, once for each
   * decoded token and for each 8 prefilled ones: about then, computing it again would have cost as much.
   */
  prefixCacheWalks: 256,
} as const;
