/** The folder rules of ARCHITECTURE.md: which room may import which. */
const rooms = {
  shared: [],
  control: ['shared'],
  cluster: ['control', 'shared'],
  models: ['shared'],
  telemetry: ['shared'],
  collective: ['shared'],
  engine: ['models', 'shared'],
  runner: ['engine', 'collective', 'models', 'shared'],
  worker: ['control', 'cluster', 'models', 'shared'],
  api: ['control', 'cluster', 'models', 'shared'],
};

const roomRules = Object.entries(rooms).map(([room, allowed]) => ({
  name: `${room}-imports`,
  comment: `src/${room} may import only ${[room, ...allowed].join(', ')}`,
  severity: 'error',
  from: { path: `^src/${room}/` },
  to: { path: '^(src|test|bench|tools|dashboard)/', pathNot: `^src/(${[room, ...allowed].join('|')})/` },
}));

module.exports = {
  forbidden: [
    ...roomRules,
    {
      name: 'dashboard-imports',
      comment: 'the page shares what is pure with the node, and its tests may use anything of control',
      severity: 'error',
      from: { path: '^dashboard/model/' },
      to: { path: '^(src|test|bench|tools)/', pathNot: '^src/(control|shared)/' },
    },
    {
      name: 'no-cycles',
      severity: 'error',
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    {
      name: 'pure-control',
      comment: 'src/control is the functional core: no Node.js module, no package',
      severity: 'error',
      from: { path: '^src/control/', pathNot: '(\\.test|/arbitraries)\\.ts$' },
      to: { dependencyTypes: ['core', 'npm'] },
    },
    {
      name: 'native-code-in-its-room',
      comment: 'only the C binding may load the foreign function library',
      severity: 'error',
      from: { pathNot: '^src/engine/llama/binding/' },
      to: { path: 'node_modules/koffi' },
    },
    {
      name: 'not-unresolvable',
      severity: 'error',
      from: {},
      to: { couldNotResolve: true, pathNot: '^@node-llama-cpp/' },
    },
    {
      name: 'no-source-imports-tests',
      severity: 'error',
      from: { path: '^src/', pathNot: '\\.test\\.ts$' },
      to: { path: '^(test|bench)/|\\.test\\.ts$' },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsConfig: { fileName: 'tsconfig.json' },
    tsPreCompilationDeps: true,
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'default'] },
  },
};
