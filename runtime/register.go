package runtime

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
)

// Opener opens a device. The argument is what follows the colon of the name
// that the user gave: "1" of "cuda:1", usually "".
type Opener func(arg string) (Device, error)

type driver struct {
	name string
	rank int
	open Opener
}

var drivers struct {
	sync.Mutex
	list []driver // by rank
}

// Register makes a kind of device known to OpenDevice. "auto" tries the kinds
// in order of rank. Packages runtime/cuda (rank 10) and runtime/emu (rank 90)
// register themselves, so a blank import is enough. Registering a name twice
// panics: it is a mistake in the program.
func Register(name string, rank int, open Opener) {
	drivers.Lock()
	defer drivers.Unlock()
	for _, d := range drivers.list {
		if d.name == name {
			panic("runtime: device kind " + name + " is registered twice")
		}
	}
	drivers.list = append(drivers.list, driver{name, rank, open})
	slices.SortStableFunc(drivers.list, func(a, b driver) int { return a.rank - b.rank })
}

// DeviceKinds is the kinds of device that this program can open, in the order
// in which "auto" tries them.
func DeviceKinds() []string {
	var names []string
	for _, d := range registered() {
		names = append(names, d.name)
	}
	return names
}

func registered() []driver {
	drivers.Lock()
	defer drivers.Unlock()
	return slices.Clone(drivers.list)
}

// OpenDevice opens a device by name: a registered kind such as "cuda" or "emu",
// with an argument after a colon where the kind takes one ("cuda:1"), or "auto"
// for the first kind that has a device. An unknown name and an absent device
// are an ErrNoDevice. "auto" passes over absent devices only: a GPU that fails
// otherwise is an error, never a slow run without a word.
func OpenDevice(name string) (Device, error) {
	kind, arg, _ := strings.Cut(name, ":")
	list := registered()
	if kind == "auto" && arg == "" {
		return openFirst(list)
	}
	for _, d := range list {
		if d.name == kind {
			return d.open(arg)
		}
	}
	return nil, Errorf(ErrNoDevice, "device %q is unknown; this program has auto, %s", name, strings.Join(DeviceKinds(), ", "))
}

func openFirst(list []driver) (Device, error) {
	var why []string
	for _, d := range list {
		dev, err := d.open("")
		if err == nil {
			return dev, nil
		}
		if !errors.Is(err, ErrNoDevice) {
			return nil, err
		}
		why = append(why, fmt.Sprintf("%s: %v", d.name, err))
	}
	if len(why) == 0 {
		return nil, Errorf(ErrNoDevice, "no kind of device is linked in; import runtime/cuda or runtime/emu")
	}
	return nil, Errorf(ErrNoDevice, "no device: %s", strings.Join(why, "; "))
}
