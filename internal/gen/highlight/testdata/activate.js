// Activates the VS Code extension with stand-ins for VS Code and its client
// library, and prints what it asks of them. Usage: node activate.js EXTENSION
const Module = require('module');
const asked = {};
const stand = {
  vscode: {
    workspace: {
      getConfiguration: (section) => ({ get: (name) => (section === 's2' && name === 'path' ? '/opt/s2c' : undefined) }),
      createFileSystemWatcher: (glob) => { asked.watches = glob; return {}; },
    },
  },
  'vscode-languageclient/node': {
    TransportKind: { stdio: 0 },
    LanguageClient: class {
      constructor(id, name, server, client) { Object.assign(asked, { server, selector: client.documentSelector }); }
      async start() { asked.started = true; }
      async stop() { asked.stopped = true; }
    },
  },
};
const load = Module._load;
Module._load = (name, ...rest) => stand[name] || load(name, ...rest);
const extension = require(require('path').resolve(process.argv[2]));
(async () => {
  await extension.activate();
  await extension.deactivate();
  console.log(JSON.stringify(asked));
})();
