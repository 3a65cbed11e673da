package emu

// blockHopper and warpHopper are the state that sm_90 adds.
type blockHopper struct{}

func (h *blockHopper) reset(*block) {}

type warpHopper struct{ inFlight bool }

func (h *warpHopper) reset(*warp) { h.inFlight = false }

func (w *warp) settled(*instr, uint32) bool { return true }

func (b *block) earlyHopper(*warp) {}

// idle says whether a round of all warps only polled.
func (b *block) idle(ran bool) bool { return !ran }

// complete finishes some pending asynchronous work; it returns false if there is none.
func (b *block) complete() bool { return false }

// end is called when all threads have exited.
func (b *block) end() *Fault { return nil }
