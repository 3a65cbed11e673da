package conformance

import (
	"encoding/json"
	"errors"
	"sync"

	"github.com/s2attention/s2c/launch"
	"github.com/s2attention/s2c/runtime"
)

// kernels are those that a device has loaded. Cases that differ in lengths alone
// share one, because the device's compiler takes longer than most launches.
type kernels struct {
	dev runtime.Device

	mu   sync.Mutex
	byID map[string]*loaded
}

type loaded struct {
	once sync.Once
	a    *runtime.Attention
	err  error
}

// load loads a plan, or finds it loaded; many goroutines may at once.
func (k *kernels) load(plan *launch.Plan) (*runtime.Attention, error) {
	id, err := json.Marshal(plan)
	if err != nil {
		return nil, err
	}
	key := string(id) + plan.PTX + string(plan.Table) // all that a plan is
	k.mu.Lock()
	l := k.byID[key]
	if l == nil {
		l = &loaded{}
		k.byID[key] = l
	}
	k.mu.Unlock()
	l.once.Do(func() { l.a, l.err = runtime.Load(k.dev, plan) })
	return l.a, l.err
}

// unload gives all of them back. No load may be under way.
func (k *kernels) unload() error {
	var errs []error
	for _, l := range k.byID {
		if l.a != nil {
			errs = append(errs, l.a.Unload())
		}
	}
	return errors.Join(errs...)
}
