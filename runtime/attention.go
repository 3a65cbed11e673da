package runtime

import (
	"encoding/binary"
	"fmt"
	"math"
	"sync"
)

// Attention is a kernel loaded on a device, ready to launch from any number of
// goroutines.
type Attention struct {
	dev    Device
	kernel Kernel
	module Module
	fn     Function
	table  Ptr
	maps   mapCache
	blocks sync.Pool // of *[]byte, parameter blocks

	offsets    [scalarCount]int // of each scalar parameter; −1: the kernel has none
	mapOffsets []int            // parallel to kernel.Maps
	size       int              // bytes of the parameter block

	mu       sync.RWMutex // held for reading while a launch uses module and table
	unloaded bool
}

// scalarCount is the number of parameters in ParamNames that are no tensor maps.
const scalarCount = 22

// Load compiles the kernel on the device and uploads its table. It fails with
// an ErrArchitecture where the kernel's target is not the device's, and with
// what Device.LoadModule and Device.Alloc say.
func Load(dev Device, k *Kernel) (*Attention, error) {
	if dev == nil || k == nil {
		return nil, Errorf(ErrKernel, "Load needs a device and a kernel, not nil")
	}
	if err := k.Check(); err != nil {
		return nil, err
	}
	if err := checkTarget(k.Target, dev); err != nil {
		return nil, err
	}
	a := &Attention{dev: dev, kernel: *k}
	a.plan()
	if err := a.load(); err != nil {
		a.Unload() // the first error says why
		return nil, err
	}
	return a, nil
}

func (a *Attention) load() (err error) {
	k := &a.kernel
	if a.module, err = a.dev.LoadModule(k.PTX); err != nil {
		return err
	}
	if a.fn, err = a.module.Function(k.Entry, k.SharedBytes); err != nil {
		return err
	}
	if len(k.Table) == 0 {
		return nil
	}
	if a.table, err = a.dev.Alloc(int64(len(k.Table))); err != nil {
		return err
	}
	return a.dev.Upload(a.table, k.Table)
}

// plan finds where each value goes in the parameter block.
func (a *Attention) plan() {
	at := map[string]int{}
	for _, p := range a.kernel.Params {
		at[p.Name] = p.Offset
		a.size = max(a.size, p.Offset+p.Size)
	}
	for i, name := range ParamNames[:scalarCount] {
		a.offsets[i] = -1
		if off, ok := at[name]; ok {
			a.offsets[i] = off
		}
	}
	for i := range a.kernel.Maps {
		a.mapOffsets = append(a.mapOffsets, at[a.kernel.Maps[i].Param])
	}
	a.blocks.New = func() any { b := make([]byte, a.size); return &b }
}

// Kernel is the kernel that was loaded; not to be changed.
func (a *Attention) Kernel() *Kernel { return &a.kernel }

// JITLog is what the device's compiler said while it loaded the kernel, in the
// form of `ptxas -v`; empty where the device keeps none.
func (a *Attention) JITLog() string {
	if l, ok := a.module.(Logger); ok {
		return l.JITLog()
	}
	return ""
}

// Launch checks the arguments and queues the kernel on a stream; nil is the
// default stream. What the kernel cannot serve is an ErrArgs, and nothing is
// queued. Launch neither waits nor allocates, save for tensor maps that it sees
// for the first time.
func (a *Attention) Launch(s Stream, args Args) error {
	k := &a.kernel
	if err := args.check(k); err != nil {
		return err
	}
	grid, err := a.grid(&args)
	if err != nil {
		return err
	}
	a.mu.RLock()
	defer a.mu.RUnlock()
	if a.unloaded {
		return Errorf(ErrClosed, "launch of %s after Unload", k.Entry)
	}
	block := a.blocks.Get().(*[]byte)
	defer a.blocks.Put(block)
	a.packScalars(*block, &args)
	for i, off := range a.mapOffsets {
		m, err := a.maps.get(a.dev, k, i, &args)
		if err != nil {
			return err
		}
		copy((*block)[off:], m[:])
	}
	return a.fn.Launch(s, [3]int{grid, 1, 1}, [3]int{k.BlockThreads, 1, 1}, *block)
}

// grid is the number of thread blocks, see GridRule.
func (a *Attention) grid(args *Args) (int, error) {
	rule := a.kernel.Grid
	p := int64(rule.Positions)
	tiles := (int64(args.KLen)+p-1)/p - int64(args.KLen-args.QLen)/p
	items := tiles * int64(rule.HeadTiles) // below 2⁴⁷
	if items <= maxGrid {
		items *= int64(args.Batch)
	}
	if items > maxGrid {
		return 0, badArgs(&a.kernel, fmt.Sprintf("%d query tiles × %d head tiles × batch %d exceed 2³¹ − 1 thread blocks; split the batch",
			tiles, rule.HeadTiles, args.Batch))
	}
	if rule.Persistent > 0 {
		items = min(items, int64(rule.Persistent)*int64(max(a.dev.Multiprocessors(), 1)))
	}
	return int(items), nil
}

// packScalars writes the parameters in the order of ParamNames.
func (a *Attention) packScalars(block []byte, args *Args) {
	scale := args.Scale
	if scale == 0 {
		scale = a.kernel.Scale
	}
	values := [scalarCount]uint64{
		uint64(args.Q.Ptr), uint64(args.K.Ptr), uint64(args.V.Ptr), uint64(args.O.Ptr), uint64(args.LSE), uint64(a.table),
		uint64(args.Q.Batch), uint64(args.Q.Head), uint64(args.Q.Seq),
		uint64(args.K.Batch), uint64(args.K.Head), uint64(args.K.Seq),
		uint64(args.V.Batch), uint64(args.V.Head), uint64(args.V.Seq),
		uint64(args.O.Batch), uint64(args.O.Head), uint64(args.O.Seq),
		uint64(args.Batch), uint64(args.QLen), uint64(args.KLen), uint64(math.Float32bits(float32(scale))),
	}
	const wide = 18 // the first of them take 8 bytes, the rest 4
	for i, off := range a.offsets {
		switch {
		case off < 0:
		case i < wide:
			binary.LittleEndian.PutUint64(block[off:], values[i])
		default:
			binary.LittleEndian.PutUint32(block[off:], uint32(values[i]))
		}
	}
}

// Unload frees the module and the table. Streams with launches of it must have
// been waited for. A second call does nothing.
func (a *Attention) Unload() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.unloaded {
		return nil
	}
	a.unloaded = true
	var first error
	if a.module != nil {
		first = a.module.Unload()
	}
	if a.table != 0 {
		if err := a.dev.Free(a.table); first == nil {
			first = err
		}
	}
	return first
}
