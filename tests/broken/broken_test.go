package broken

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/s2attention/s2c/target"
)

// least is how many broken kernels there must be for a target.
var least = map[target.Target]int{target.SM80: 175, target.SM90a: 225}

func TestMain(m *testing.M) {
	start := time.Now()
	code := m.Run()
	fmt.Printf("tests/broken: took %.1f s\n", time.Since(start).Seconds())
	os.Exit(code)
}

// variants are all broken kernels.
func variants() []variant { return append(sm80Variants(), sm90aVariants()...) }

// subjects are the good kernels that some variant is made of.
func subjects() []*subject {
	var list []*subject
	seen := map[*subject]bool{}
	for _, v := range append(variants(), harmlessVariants()...) {
		if !seen[v.of] {
			seen[v.of] = true
			list = append(list, v.of)
		}
	}
	return list
}

// TestSound runs the unchanged kernels: nothing may be reported in any order.
func TestSound(t *testing.T) {
	for _, s := range subjects() {
		t.Run(s.target.String()+"/"+s.Name, func(t *testing.T) {
			t.Parallel()
			if err := s.prepare(); err != nil {
				t.Fatal(err)
			}
			for n, o := range orders {
				start := time.Now()
				r, err := s.run(s.plan, o)
				if err != nil || r.kind != 0 {
					t.Errorf("order %d: %v, %v", n, r.err, err)
				}
				if s.spoil != nil && r.redone == 0 {
					t.Errorf("order %d: no row is computed again", n)
				}
				t.Logf("order %d: %v, %d rows looked at again", n, time.Since(start).Round(time.Millisecond), r.redone)
			}
		})
	}
}

// TestBroken runs every broken kernel. It must be reported in one of the orders,
// and in none of them as something that it is not.
func TestBroken(t *testing.T) {
	count := map[target.Target]int{}
	var texts sync.Map
	var reported atomic.Int64
	for _, v := range variants() {
		count[v.of.target]++
		t.Run(v.of.target.String()+"/"+strings.ReplaceAll(v.name, " ", "_"), func(t *testing.T) {
			t.Parallel()
			k, err := v.broken()
			if err != nil {
				t.Fatal(err)
			}
			launches, err := json.Marshal(k.Kernels)
			if err != nil {
				t.Fatal(err)
			}
			key := k.PTX + string(launches)
			if other, twice := texts.LoadOrStore(key, v.name); twice {
				t.Errorf("this is the same kernel as %q", other)
			}
			for n, o := range orders {
				r, err := v.of.run(k, o)
				switch {
				case err != nil:
					t.Fatalf("order %d: %v", n, err)
				case r.kind == 0:
					continue
				case r.kind&v.want == 0:
					t.Fatalf("order %d: want %v, got %v", n, v.want, r.err)
				}
				t.Logf("order %d: %v", n, r.err)
				reported.Add(1)
				return
			}
			t.Errorf("not reported, want %v", v.want)
		})
	}
	total := 0
	for on, n := range least {
		total += count[on]
		if count[on] < n {
			t.Errorf("%d broken kernels for %s, there must be at least %d", count[on], on, n)
		}
	}
	t.Cleanup(func() {
		fmt.Printf("tests/broken: %d broken kernels (%d for sm_80, %d for sm_90a), %d reported\n",
			total, count[target.SM80], count[target.SM90a], reported.Load())
	})
}

// TestHarmless runs the changes that are said to break nothing: nothing may be
// reported, or else they belong among the others.
func TestHarmless(t *testing.T) {
	for _, v := range harmlessVariants() {
		t.Run(v.of.target.String()+"/"+strings.ReplaceAll(v.name, " ", "_"), func(t *testing.T) {
			t.Parallel()
			k, err := v.broken()
			if err != nil {
				t.Fatal(err)
			}
			for n, o := range orders {
				if r, err := v.of.run(k, o); err != nil || r.kind != 0 {
					t.Errorf("order %d: %v, %v", n, r.err, err)
				}
			}
		})
	}
}
