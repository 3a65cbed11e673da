// Starts `s2c lsp` for .s2 files. All else is in the server.
const vscode = require('vscode');
const { LanguageClient, TransportKind } = require('vscode-languageclient/node');

let client;

function activate() {
  const command = vscode.workspace.getConfiguration('s2').get('path') || 's2c';
  client = new LanguageClient('s2', 's2c', { command, args: ['lsp'], transport: TransportKind.stdio }, {
    documentSelector: [{ language: 's2' }],
    synchronize: { fileEvents: vscode.workspace.createFileSystemWatcher('**/*.s2') },
  });
  return client.start();
}

function deactivate() {
  return client && client.stop();
}

module.exports = { activate, deactivate };
