"""Drives `s2c lsp` with the client of pygls, as an editor would: open, type,
hover, complete, go to a definition, format, close. Usage: client.py S2C."""

import asyncio
import os
import sys

from lsprotocol import types as lsp
from pygls.lsp.client import LanguageClient

URI = "file:///work/editor.s2"
TEXT = """// \U0001f600 an example
model m { heads 4  kv_heads 2  head_dim 64  causal }
param local = 16
layer   * -> window(local)
"""


async def main(s2c):
    client = LanguageClient("s2c-test", "1")
    published = asyncio.Queue()

    @client.feature(lsp.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS)
    def diagnostics(params):
        published.put_nowait(params)

    async def diagnosed(version):
        while True:
            p = await asyncio.wait_for(published.get(), 60)
            if p.uri == URI and p.version == version:
                return [(d.code, d.range.start.line, d.range.start.character) for d in p.diagnostics], p.diagnostics

    await client.start_io(s2c, "lsp")
    result = await client.initialize_async(
        lsp.InitializeParams(
            capabilities=lsp.ClientCapabilities(
                text_document=lsp.TextDocumentClientCapabilities(
                    publish_diagnostics=lsp.PublishDiagnosticsClientCapabilities(related_information=True, version_support=True)
                )
            ),
            process_id=os.getpid(),
            root_uri="file:///work",
        )
    )
    assert result.server_info.name == "s2c", result
    assert result.capabilities.text_document_sync.change == lsp.TextDocumentSyncKind.Incremental
    client.initialized(lsp.InitializedParams())

    document = lsp.TextDocumentIdentifier(URI)
    client.text_document_did_open(lsp.DidOpenTextDocumentParams(lsp.TextDocumentItem(URI, "s2", 1, TEXT)))
    got, _ = await diagnosed(1)
    assert got == [], got

    # Type a mistake behind the last bracket, character by character, as editors do.
    column = len("layer   * -> window(local)")
    for n, c in enumerate(" | snk(1)"):
        at = lsp.Position(3, column + n)
        client.text_document_did_change(
            lsp.DidChangeTextDocumentParams(
                lsp.VersionedTextDocumentIdentifier(version=n + 2, uri=URI),
                [lsp.TextDocumentContentChangePartial(range=lsp.Range(at, at), text=c)],
            )
        )
    last = len(" | snk(1)") + 1
    got, full = await diagnosed(last)
    assert got == [("S2C0204", 3, column + 3)], got
    assert full[0].code_description.href.endswith("#s2c0204-no-such-pattern-or-function"), full[0]

    actions = await client.text_document_code_action_async(
        lsp.CodeActionParams(document, full[0].range, lsp.CodeActionContext(diagnostics=full))
    )
    assert [a.title for a in actions] == ["Replace `snk` by `sink`"], actions
    edit = actions[0].edit.changes[URI][0]
    client.text_document_did_change(
        lsp.DidChangeTextDocumentParams(
            lsp.VersionedTextDocumentIdentifier(version=last + 1, uri=URI),
            [lsp.TextDocumentContentChangePartial(range=edit.range, text=edit.new_text)],
        )
    )
    got, _ = await diagnosed(last + 1)
    assert got == [], got

    def place(character, line=3):
        return {"text_document": document, "position": lsp.Position(line, character)}

    hover = await client.text_document_hover_async(lsp.HoverParams(**place(14)))
    for part in ["The nearest blocks.", "The 16 nearest key blocks", "| 4096 | 904 of 2080 |", "j = i-15…i"]:
        assert part in hover.contents.value, hover.contents.value

    items = (await client.text_document_completion_async(lsp.CompletionParams(**place(13)))).items
    labels = {i.label for i in items}
    assert {"window", "stride", "dense", "head"} <= labels and "local" not in labels, labels

    help = await client.text_document_signature_help_async(lsp.SignatureHelpParams(**place(20)))
    assert help.signatures[0].label == "window(left, right)", help

    where = await client.text_document_definition_async(lsp.DefinitionParams(**place(22)))
    assert [(w.uri, w.range.start.line, w.range.start.character) for w in where] == [(URI, 2, 6)], where

    places = await client.text_document_references_async(
        lsp.ReferenceParams(context=lsp.ReferenceContext(include_declaration=True), **place(22))
    )
    assert len(places) == 2, places

    renamed = await client.text_document_rename_async(lsp.RenameParams(new_name="near", **place(22)))
    assert len(renamed.changes[URI]) == 2, renamed

    symbols = await client.text_document_document_symbol_async(lsp.DocumentSymbolParams(document))
    assert [s.name for s in symbols][:2] == ["m", "local"], symbols

    edits = await client.text_document_formatting_async(
        lsp.DocumentFormattingParams(document, lsp.FormattingOptions(tab_size=2, insert_spaces=True))
    )
    assert [e.new_text for e in edits] == ["layer * -> window(local) | sink(1)\n"], edits

    client.text_document_did_close(lsp.DidCloseTextDocumentParams(document))
    await client.shutdown_async(None)
    client.exit(None)
    # The server ends by itself, with its standard input still open.
    status = await asyncio.wait_for(client._server.wait(), 60)
    assert status == 0, status
    print("an editor is served")


asyncio.run(main(sys.argv[1]))
