package emu

func multiplyTile(a *tileA, b *tileB, c *tileC) { multiplyTileGo(a, b, c) }
